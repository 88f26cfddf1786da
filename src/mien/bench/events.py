"""Does `mien analyze` find expressions in time? Measured on SYNTHETIC clips, whose truth is known to the frame.

A found event matches a true one where they overlap by at least half (intersection over union of [onset, offset]), or
where the found apex lies within the true [onset, offset] and the found event lasts at most twice as long as the true
one, so that one that goes on through the whole clip finds nothing. Each matches one other at most, the best overlaps
first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.analysis import stream
from mien.datasets.synthetic import read_truth, synthesise
from mien.datasets.synthetic_scene import Settings
from mien.errors import DataError
from mien.events.baseline import correct
from mien.events.event import NEUTRAL, Event, EventOptions, temporal_iou
from mien.events.find import find_events
from mien.events.second_pass import SecondPass, Survey, Timing, scores_of
from mien.table import Row, rows_of

LEAST_OVERLAP, LONGEST = 0.5, 2.0
RULES = ("labels", "any label", "activity", "change")
"""What must agree: events of events.csv with the same label, or with any; events of a signal without labels, which is
`activity`, 1 - p(neutral), or `change`, how far the scores are from their median over the track (half the sum of the
absolute differences, in [0, 1]), which works whatever the net takes the face at rest for."""
MOVED = "expression"
TIMES = ("onset", "apex", "offset")

_MACRO = Settings(people=7, clips=1, seed=1)
_MICRO = Settings(people=7, clips=1, seed=1, fps=100, micro=True)
CONDITIONS: dict[str, Settings] = {
    "macro 1.0": _MACRO,
    "macro 0.6": replace(_MACRO, intensity=0.6),
    "macro 0.3": replace(_MACRO, intensity=0.3),
    "macro 1.0, noise": replace(_MACRO, noise=12),
    "macro 1.0, head motion": replace(_MACRO, motion=1.0),
    "macro 1.0, light": replace(_MACRO, light=1.0),
    "micro 0.25": replace(_MICRO, intensity=0.25),
    "micro 0.5": replace(_MICRO, intensity=0.5),
}
"""Seven people a condition, each with one expression; the same people and times in all conditions of a kind."""

SHORT = EventOptions(min_s=0.1, smooth_s=0.04)
"""For micro-expressions, which the default `min_s` of 0.5 s leaves out on purpose."""


@dataclass(frozen=True)
class Span:
    """An event's label and times, seconds."""

    label: str
    onset_s: float
    apex_s: float
    offset_s: float

    @classmethod
    def of(cls, event: Event) -> Span:
        return cls(event.label, event.onset_s, event.apex_s, event.offset_s)


def match(found: Sequence[Span], true: Sequence[Span], *, labels: bool = True) -> list[tuple[int, int]]:
    """Pairs (found, true) by the rule above.

    Args:
        labels: a pair must have one label.
    """
    pairs = []
    for f, one in enumerate(found):
        for t, other in enumerate(true):
            share = temporal_iou(one, other)
            brief = one.offset_s - one.onset_s <= LONGEST * (other.offset_s - other.onset_s)
            near = share >= LEAST_OVERLAP or (brief and other.onset_s <= one.apex_s <= other.offset_s)
            if near and (not labels or one.label == other.label):
                pairs.append((-share, f, t))
    chosen: list[tuple[int, int]] = []
    for _, f, t in sorted(pairs):
        if all(f != other and t != another for other, another in chosen):
            chosen.append((f, t))
    return chosen


@dataclass
class Tally:
    """Counts and errors over clips.

    Attributes:
        found, true, hits: events.
        errors: onset, apex and offset of each hit, found minus true, ms.
    """

    found: int = 0
    true: int = 0
    hits: int = 0
    errors: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, found: Sequence[Span], true: Sequence[Span], *, labels: bool = True) -> None:
        """Count one clip."""
        pairs = match(found, true, labels=labels)
        self.found, self.true, self.hits = self.found + len(found), self.true + len(true), self.hits + len(pairs)
        for f, t in pairs:
            one, other = found[f], true[t]
            late = one.onset_s - other.onset_s, one.apex_s - other.apex_s, one.offset_s - other.offset_s
            self.errors.append((round(1000 * late[0], 1), round(1000 * late[1], 1), round(1000 * late[2], 1)))

    def facts(self) -> dict[str, Any]:
        """Precision, recall, F1; median and 90th percentile of the absolute errors, ms; None where nothing counts."""
        facts: dict[str, Any] = {"found": self.found, "true": self.true, "hits": self.hits}
        facts["precision"] = round(self.hits / self.found, 4) if self.found else None
        facts["recall"] = round(self.hits / self.true, 4) if self.true else None
        both = self.found + self.true
        facts["f1"] = round(2 * self.hits / both, 4) if both else None
        sizes = np.abs(np.array(self.errors)) if self.errors else None
        for k, name in enumerate(TIMES):
            facts[f"{name}_ms"] = None if sizes is None else np.percentile(sizes[:, k], (50, 90)).round(1).tolist()
        return {**facts, "errors_ms": self.errors}


@dataclass(frozen=True)
class Way:
    """One way to look for events in the same rows."""

    name: str
    timing: Timing


def ways(micro: bool) -> list[Way]:
    """`mien analyze` as it stands and with `--baseline`; for micro-expressions also with `SHORT`."""
    plain = [Way("defaults", Timing()), Way("baseline", Timing(baseline=True))]
    short = [Way("short", Timing(events=SHORT)), Way("short, baseline", Timing(baseline=True, events=SHORT))]
    return plain + (short if micro else [])


def spans_of(rows: list[Row], labels: Sequence[str], timing: Timing) -> dict[str, list[Span]]:
    """Events of one clip: `label` those of events.csv, `activity` and `change` those of the two signals (`RULES`).

    The signals of each track are looked through with the same options and, with `baseline`, after the same correction.
    """
    survey = Survey(labels, timing)
    survey.add(rows)
    second = SecondPass(labels, timing, survey.baselines(), survey.absences())
    for _ in second.run(rows):
        pass
    found: dict[str, list[Span]] = {"label": [Span.of(event) for event in second.events], "activity": [], "change": []}
    for track in sorted({row["track"] for row in rows if row["track"] is not None}):
        mine = [row for row in rows if row["track"] == track]
        scores = np.stack([scores_of(row, labels) for row in mine])
        rest = second.baselines.get((mine[0]["source"], track))
        if rest is not None and rest.shift is not None:
            scores = correct(scores, rest.shift)
        times = np.array([row["time_s"] for row in mine])
        apart = np.abs(scores - np.median(scores, 0)).sum(1).clip(0, 2) / 2
        for name, signal in (("activity", 1 - scores[:, list(labels).index(NEUTRAL)]), ("change", apart)):
            events = find_events(times, np.stack([signal, 1 - signal], 1), (MOVED, NEUTRAL), timing.options)
            found[name] += [Span.of(event) for event in events]
    return found


def readings(rows: list[Row], truth: Mapping[str, str]) -> tuple[str, float]:
    """What the net said at the true apex ("" without a face), and the share of the frames at rest taken for neutral."""
    first, apex, last = (int(truth[name]) for name in ("onset_frame", "apex_frame", "offset_frame"))
    said = next((row["label"] for row in rows if row["frame"] == apex), "")
    rest = [row["label"] == NEUTRAL for row in rows if not first < row["frame"] < last]
    return said, sum(rest) / max(1, len(rest))


def read_clip(path: Path, options: Mapping[str, Any]) -> tuple[list[Row], tuple[str, ...]]:
    """Rows and labels of one clip by the real pipeline."""
    rows: list[Row] = []
    labels: tuple[str, ...] = ()
    for result in stream(path, **options):
        labels = result.labels
        rows += rows_of(result)
    return rows, labels


def measure(folder: Path, **options: Any) -> list[dict[str, Any]]:
    """Run the pipeline on a folder of clips and compare its events with the true ones.

    Args:
        folder: as `mien data synthesise` writes it.
        options: of `mien.pipeline.flow.Options`.

    Returns:
        A row for each way (`ways`) and rule (`RULES`).

    Raises:
        DataError: no such folder.
    """
    truth = read_truth(folder)
    clips = [(read_clip(folder / row["source"], options), row) for row in truth]
    micro = any(float(row["offset_s"]) - float(row["onset_s"]) < EventOptions().min_s for row in truth)
    results = []
    for way in ways(micro):
        tallies = {rule: Tally() for rule in RULES}
        for (rows, labels), row in clips:
            true = [Span(row["label"], *(float(row[f"{name}_s"]) for name in TIMES))]
            found = spans_of(rows, labels, way.timing) if rows else {}
            for rule, tally in tallies.items():
                tally.add(found.get(rule, found.get("label", [])), true, labels=rule == "labels")
        results += [{"way": way.name, "rule": rule, **tally.facts()} for rule, tally in tallies.items()]
    said = [readings(rows, row) for (rows, _), row in clips]
    facts = {
        "clips": len(truth),
        "frames": sum(int(row["frames"]) for row in truth),
        "seen": sum(len({row["frame"] for row in rows}) for (rows, _), _ in clips),
        "at_apex": [[row["label"], name] for (name, _), row in zip(said, truth, strict=True)],
        "rest_neutral": round(float(np.mean([share for _, share in said])), 4),
    }
    return [{**facts, **result} for result in results]


def run(folder: Path, ict: Path | None, say: Callable[[str], None], **options: Any) -> list[dict[str, Any]]:
    """Measure all conditions.

    Args:
        folder: holds a folder of clips for each condition, or is itself one.
        ict: face model, with which missing conditions are made; None takes what is there.

    Raises:
        DataError: there are no clips.
    """
    if (folder / "truth.csv").is_file():
        return [{"condition": folder.name, **row} for row in measure(folder, **options)]
    results = []
    for name, settings in CONDITIONS.items():
        place = folder / name.replace(",", "").replace(" ", "-")
        if ict is not None:
            say(f"{name}: {sum(1 for _ in synthesise(ict, place, settings))} clips")
        if (place / "truth.csv").is_file():
            facts = {"condition": name, "settings": asdict(settings)}
            results += [{**facts, **row} for row in measure(place, **options)]
    if not results:
        raise DataError(
            f"{folder} holds no clips; name a face model to make them: mien bench events {folder} --ict FOLDER"
        )
    return results


Cells = list[list[str]]


def tables(results: Sequence[Mapping[str, Any]]) -> list[Cells]:
    """Markdown tables, the heads first: how the net reads the renders, what was found, how far off in time."""
    read = [["condition", "clips", "frames", "face found", "right at the apex", "rest seen as neutral"]]
    for condition in dict.fromkeys(r["condition"] for r in results):
        r = next(r for r in results if r["condition"] == condition)
        right = sum(true == said for true, said in r["at_apex"])
        counts = [str(r["clips"]), f"{r['frames']:,}", f"{r['seen'] / r['frames']:.3f}"]
        read.append([condition, *counts, f"{right} of {r['clips']}", f"{r['rest_neutral']:.2f}"])
    groups: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for r in results:
        groups.setdefault((r["condition"], r["way"]), {})[r["rule"]] = r
    counted = [["condition", "way", *(f"{rule}: hits of true, found, F1" for rule in RULES)]]
    timed = [["condition", "way", "rule", "hits", "onset, ms", "apex, ms", "offset, ms"]]
    for names, rules in groups.items():
        counted.append([*names, *(_counts(rules[rule]) for rule in RULES)])
        for rule in ("labels", "change"):
            if rules[rule]["hits"]:
                spread = [f"{m:.0f} / {p:.0f}" for m, p in (rules[rule][f"{part}_ms"] for part in TIMES)]
                timed.append([*names, rule, str(rules[rule]["hits"]), *spread])
    return [read, counted, timed]


def _counts(r: Mapping[str, Any]) -> str:
    return f"{r['hits']} of {r['true']}, {r['found']}, {r['f1']:.2f}"
