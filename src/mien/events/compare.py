"""How well two codings of one face agree: frame by frame, and event by event. Arrays and bouts in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.events.coding import Bout
from mien.events.event import temporal_iou
from mien.metrics.agreement import cohen_kappa

TIMES = ("onset", "apex", "offset")
ROUNDED_S = 0.0005
"""ELAN and BORIS know times to the millisecond."""


@dataclass(frozen=True)
class Pair:
    """Two bouts that were taken for the same: of the first coding and of the second, the reference."""

    first: Bout
    second: Bout
    iou: float

    def apart_ms(self, which: str) -> float | None:
        """First minus second, milliseconds, of the `onset`, `apex` or `offset`; None where one was not coded."""
        if which == "apex":
            a, b = self.first.peak_s, self.second.peak_s
        else:
            if self.first.is_point or self.second.is_point:
                return None
            a, b = getattr(self.first, f"{which}_s"), getattr(self.second, f"{which}_s")
        return None if a is None or b is None else round((a - b) * 1000, 3)


def bout_iou(a: Bout, b: Bout) -> float:
    """`temporal_iou` of two bouts; a point inside the other counts as 1.

    >>> bout_iou(Bout("fear", 0, 2), Bout("fear", 1, 3))
    0.3333333333333333
    """
    if a.is_point or b.is_point:
        return float(a.onset_s <= b.offset_s and b.onset_s <= a.offset_s)
    return temporal_iou(a, b)


def match(first: Sequence[Bout], second: Sequence[Bout], least: float = 0.25) -> list[Pair]:
    """Bouts of one label that overlap, one to one: the pair with the largest temporal IoU first, then the next.

    Args:
        least: temporal IoU that a pair must reach, in (0, 1].

    Raises:
        InputError: `least` out of its range.
    """
    if not 0 < least <= 1:
        raise InputError(f"--iou {least:g}: expected a share above 0 and at most 1, such as 0.25")
    found = [
        (-iou, i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if a.label == b.label and (iou := bout_iou(a, b)) >= least
    ]
    taken: tuple[set[int], set[int]] = (set(), set())
    pairs = []
    for less, i, j in sorted(found):
        if i not in taken[0] and j not in taken[1]:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append(Pair(first[i], second[j], -less))
    return sorted(pairs, key=lambda pair: pair.second.onset_s)


def states(bouts: Sequence[Bout], times: np.ndarray, labels: Sequence[str], rest: int) -> np.ndarray:
    """What a coding says of each time: the label of the bout there, of several the one that began last.

    Args:
        times: [T] rising, seconds.
        labels: names; bouts of others are passed over.
        rest: index for times without a bout.

    Returns:
        int64 [T], indices into `labels`.
    """
    out = np.full(len(times), rest, np.int64)
    index = {label: k for k, label in enumerate(labels)}
    for bout in sorted(bouts, key=lambda b: b.onset_s):
        if bout.label in index and not bout.is_point:
            out[_covered(bout, times)] = index[bout.label]
    return out


def covers(bouts: Sequence[Bout], times: np.ndarray, label: str) -> np.ndarray:
    """bool [T]: a bout of this label covers the time."""
    out = np.zeros(len(times), bool)
    for bout in bouts:
        if bout.label == label and not bout.is_point:
            out[_covered(bout, times)] = True
    return out


def _covered(bout: Bout, times: np.ndarray) -> slice:
    first, last = bout.onset_s - ROUNDED_S, bout.offset_s + ROUNDED_S
    return slice(int(np.searchsorted(times, first)), int(np.searchsorted(times, last, "right")))


def counts(first: np.ndarray, second: np.ndarray, k: int) -> np.ndarray:
    """int64 [K, K]: how often the first said the row's label and the second the column's."""
    return np.bincount(first * k + second, minlength=k * k).reshape(k, k)


def kappa(first: np.ndarray, second: np.ndarray, k: int) -> float | None:
    """Cohen's kappa of two codings of the same frames, rounded; None where both always say the same one thing."""
    value = cohen_kappa(counts(first, second, k))
    return None if value != value else round(value, 4)


def frame_figures(first: np.ndarray, second: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Agreement of two states per frame, int64 [T] each, over all labels."""
    table = counts(first, second, len(labels))
    share = float(np.trace(table) / max(1, table.sum()))
    return {"agreement": round(share, 4), "kappa": kappa(first, second, len(labels)), "confusion": table.tolist()}


def event_figures(first: int, second: int, matched: int) -> dict[str, Any]:
    """Precision, recall and F1 of the first coding's events, with the second as reference; None where undefined."""
    return {
        "first": first,
        "second": second,
        "matched": matched,
        "precision": round(matched / first, 4) if first else None,
        "recall": round(matched / second, 4) if second else None,
        "f1": round(2 * matched / (first + second), 4) if first + second else None,
    }


def time_figures(pairs: Sequence[Pair]) -> dict[str, Any]:
    """How far onset, apex and offset of matched events lie apart: median of first minus second, of its size; ms."""
    figures = {}
    for which in TIMES:
        apart = [ms for pair in pairs if (ms := pair.apart_ms(which)) is not None]
        figures[which] = {
            "count": len(apart),
            "median_ms": round(float(np.median(apart)), 1) if apart else None,
            "median_size_ms": round(float(np.median(np.abs(apart))), 1) if apart else None,
        }
    return figures


def _seconds(bouts: Sequence[Bout], label: str) -> list[tuple[float, float]]:
    """Stretches that a label covers, joined where they overlap."""
    out: list[tuple[float, float]] = []
    for bout in sorted((b for b in bouts if b.label == label and not b.is_point), key=lambda b: b.onset_s):
        if out and bout.onset_s <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], bout.offset_s))
        else:
            out.append((bout.onset_s, bout.offset_s))
    return out


def overlap_figures(first: Sequence[Bout], second: Sequence[Bout], label: str) -> dict[str, Any]:
    """Seconds that each coding gives to a label, that both give to it, and the share of both in either."""
    a, b = _seconds(first, label), _seconds(second, label)
    one, two = (sum(z - s for s, z in spans) for spans in (a, b))
    both = sum(max(0.0, min(za, zb) - max(sa, sb)) for sa, za in a for sb, zb in b)
    either = one + two - both
    seconds = {"first_s": round(one, 3), "second_s": round(two, 3), "both_s": round(both, 3)}
    return {**seconds, "jaccard": round(both / either, 4) if either else None}


@dataclass(frozen=True)
class Sides:
    """Two codings of one face, ready to be compared.

    Attributes:
        first, second: the bouts; the second is the reference.
        labels: names, of which `rest` stands for times without a bout.
        times: float64 [T] rising, at which states are compared, seconds.
        top: int64 [T], the label that the first gives each of these times by itself; None to take it from its bouts.
    """

    first: Sequence[Bout]
    second: Sequence[Bout]
    labels: Sequence[str]
    rest: str
    times: np.ndarray
    top: np.ndarray | None = None


def compare(sides: Sides, least: float = 0.25) -> tuple[dict[str, Any], list[Pair]]:
    """All figures of agreement, and the events that were matched.

    Frame by frame: the share of times with the same label, and Cohen's kappa over all labels; per label a kappa of
    "this label or not". Event by event, without `rest`: `match`, precision, recall, F1, differences in time, overlap.

    Args:
        least: temporal IoU of a match.
    """
    labels, rest = list(sides.labels), list(sides.labels).index(sides.rest)
    shown = [label for label in labels if label != sides.rest]
    first = [b for b in sides.first if b.label in shown]
    second = [b for b in sides.second if b.label in shown]
    pairs = match(first, second, least)
    theirs = states(second, sides.times, labels, rest)
    ours = states(first, sides.times, labels, rest)
    frames: dict[str, Any] = {"count": len(sides.times), "events": frame_figures(ours, theirs, labels)}
    if sides.top is not None:
        frames["top_label"] = frame_figures(sides.top, theirs, labels)
    per_label = {}
    for k, label in enumerate(labels):
        if label == sides.rest:
            continue
        both = [covers(bouts, sides.times, label).astype(np.int64) for bouts in (first, second)]
        mine = [[b for b in bouts if b.label == label] for bouts in (first, second)]
        own = [pair for pair in pairs if pair.second.label == label]
        if not mine[0] and not mine[1] and (sides.top is None or not (sides.top == k).any()):
            continue
        per_label[label] = {
            **event_figures(len(mine[0]), len(mine[1]), len(own)),
            "kappa_events": kappa(both[0], both[1], 2),
            **(
                {"kappa_top_label": kappa((sides.top == k).astype(np.int64), both[1], 2)}
                if sides.top is not None
                else {}
            ),
            "times": time_figures(own),
            "overlap": overlap_figures(first, second, label),
        }
    events = {"least_iou": least, **event_figures(len(first), len(second), len(pairs)), "times": time_figures(pairs)}
    return {"labels": labels, "rest": sides.rest, "frames": frames, "events": events, "per_label": per_label}, pairs
