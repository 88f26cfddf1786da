"""A folder that `mien analyze` has written, read back for the report."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.events.cells import unguarded
from mien.events.event import Event
from mien.events.micro import MICRO
from mien.table import PLACE, VERDICT, Row, read_rows

FORMS = ("faces.csv", "faces.jsonl", "faces.parquet")


@dataclass(frozen=True)
class Happening(Event):
    """A line of events.csv, or of micro.csv: its label is `micro` and its peak how far the skin moves, % of the eyes'
    distance.

    Attributes:
        more: further columns that are of use to the reader: marker, region, the sequence model's verdict.
    """

    more: dict[str, str] = field(default_factory=dict)

    @property
    def is_micro(self) -> bool:
        return self.label == MICRO


@dataclass(frozen=True)
class Folder:
    """What an analysis has left.

    Attributes:
        path: the folder.
        summary: summary.json.
        labels: of the model, in order.
        entries: of the sources, as in the summary.
        events: of events.csv and micro.csv, in order of the files.
        rows_path: the file with the rows.
        agreement: agreement.json, where `mien agree` has put it there too; else empty.
    """

    path: Path
    summary: dict[str, Any]
    labels: tuple[str, ...]
    entries: list[dict[str, Any]]
    events: list[Happening]
    rows_path: Path
    agreement: dict[str, Any]

    def rows(self) -> Iterator[Row]:
        """All rows, one at a time.

        Raises:
            InputError: the file is damaged.
        """
        count = 0
        needed = {*PLACE, *VERDICT, *(f"p_{label}" for label in self.labels)}
        try:
            for row in read_rows(self.rows_path):
                if not count and (missing := sorted(needed - set(row))):
                    raise InputError(f"{self.rows_path}: lacks the column {missing[0]}; analyse again")
                count += 1
                yield row
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, csv.Error, OSError) as error:
            raise InputError(
                f"{self.rows_path}: damaged after row {count} ({error}); analyse again, or go on with --resume"
            ) from error


def open_folder(path: Path) -> Folder:
    """Read everything but the rows.

    Raises:
        InputError: this is no folder of results, or a file of it is damaged.
    """
    summary = _summary(path)
    rows_path = next((path / name for name in FORMS if (path / name).is_file()), None)
    if rows_path is None:
        raise InputError(f"{path}: holds no faces.csv; finish the analysis with --resume")
    labels = tuple(str(label) for label in summary["labels"])
    events = [*_events(path / "events.csv"), *_events(path / "micro.csv")]
    return Folder(path, summary, labels, summary["sources"], events, rows_path, _agreement(path))


def _summary(path: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads((path / "summary.json").read_text(encoding="utf-8"))
        entries, labels, model = summary["sources"], summary["labels"], summary["model"]
        whole = all({"source", "faces", "frames", "share", "mean_score", "tracks"} <= set(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: holds no summary.json of `mien analyze`; name its --out folder") from error
    if not whole or not isinstance(labels, list) or not isinstance(model, dict):
        raise InputError(f"{path}/summary.json: lacks parts that `mien analyze` writes; analyse again")
    return summary


def _agreement(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / "agreement.json").read_text(encoding="utf-8"))
        found["events"]["f1"], found["frames"]["count"], found["frames"]["events"]["kappa"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(found)


def _events(path: Path) -> list[Happening]:
    """Lines of an events file; none where there is none."""
    if not path.is_file():
        return []
    found, number = [], 1
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for line in reader:
                number = reader.line_num
                texts = {name: text for name, text in line.items() if isinstance(text, str)}
                found.append(_happening({name: unguarded(text) for name, text in texts.items()}))
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error, OSError) as error:
        raise InputError(f"{path}, line {number}: no event as `mien analyze` writes it ({error!r})") from error
    return found


def _happening(line: dict[str, str]) -> Happening:
    more = {name: line[name] for name in ("marker", "since_marker_s", "region") if line.get(name)}
    read = {name.removeprefix("sequence_"): v for name, v in line.items() if (name or "").startswith("sequence_") and v}
    if read:
        best = max(read, key=lambda name: float(read[name]))
        more["sequence"] = f"{best} {float(read[best]):.2f}"
    onset_s, apex_s, offset_s = (float(line[f"{name}_s"]) for name in ("onset", "apex", "offset"))
    onset, apex, offset = (int(line[f"{name}_frame"]) for name in ("onset", "apex", "offset"))
    return Happening(
        line["source"],
        int(line["track"]) if line["track"] else None,
        line.get("label") or MICRO,
        *(onset_s, apex_s, offset_s),
        *(onset, apex, offset),
        float(line.get("peak") or line.get("strength") or 0.0),
        max(0.0, offset_s - onset_s),
        line.get("person") or None,
        more,
    )
