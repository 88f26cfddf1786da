"""summary.json: what each source and each person showed, from the rows on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mien.table import Row


@dataclass
class Tally:
    """Running sums over rows."""

    rows: int = 0
    unsure: int = 0
    tops: dict[str, int] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    first_s: float | None = None
    last_s: float | None = None

    def add(self, row: Row, labels: Sequence[str]) -> None:
        self.rows += 1
        self.unsure += bool(row["unsure"])
        self.tops[row["label"]] = self.tops.get(row["label"], 0) + 1
        for label in labels:
            self.sums[label] = self.sums.get(label, 0.0) + float(row[f"p_{label}"] or 0.0)
        time_s = row["time_s"]
        if time_s is not None:
            self.first_s = time_s if self.first_s is None else min(self.first_s, time_s)
            self.last_s = time_s if self.last_s is None else max(self.last_s, time_s)

    def facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """Share and mean score of each expression, and the share of `unsure`."""
        n = max(self.rows, 1)
        facts: dict[str, Any] = {"faces": self.rows, "unsure_share": round(self.unsure / n, 4)}
        if self.first_s is not None and self.last_s is not None:
            facts |= {"first_s": round(self.first_s, 3), "last_s": round(self.last_s, 3)}
        facts["share"] = {label: round(self.tops.get(label, 0) / n, 4) for label in labels}
        facts["mean_score"] = {label: round(self.sums.get(label, 0.0) / n, 4) for label in labels}
        return facts


def summarise(rows: Iterable[Row], labels: Sequence[str], sources: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Summary of each source, with one entry per track.

    Args:
        rows: all rows, one at a time.
        sources: facts per source, such as `frames` and `seconds`, in the order of the summary.
    """
    whole: dict[str, Tally] = {}
    tracks: dict[str, dict[int, Tally]] = {}
    seen: dict[str, tuple[int, int]] = {}  # source -> last frame with a face, number of such frames
    for row in rows:
        name = row["source"]
        whole.setdefault(name, Tally()).add(row, labels)
        if row["track"] is not None:
            tracks.setdefault(name, {}).setdefault(row["track"], Tally()).add(row, labels)
        last, count = seen.get(name, (-1, 0))
        if row["frame"] != last:
            seen[name] = (row["frame"], count + 1)
    result = []
    for name, facts in sources.items():
        with_face = seen.get(name, (-1, 0))[1]
        entry = {"source": name, **facts, "frames_with_face": with_face}
        entry |= whole.get(name, Tally()).facts(labels)
        people = sorted(tracks.get(name, {}).items())
        entry["tracks"] = [{"track": track, **tally.facts(labels)} for track, tally in people]
        result.append(entry)
    return result
