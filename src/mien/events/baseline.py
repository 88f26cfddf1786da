"""How each person looks at rest, and scores corrected for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from mien.events.event import NEUTRAL

Item = TypeVar("Item")

FLOOR = 0.01
"""Scores below this count as this much where rest is measured: smaller ones are noise, of which the logarithm would
make large differences."""
REST = {NEUTRAL: 0.88, "sadness": 0.018}
"""Between the median scores of mien-s and mien-m (0.874 and 0.880, 0.020 and 0.017) on 700 neutral validation faces of
FER+; those of all other expressions are below FLOOR, which stands for them."""
REST_SHARE = 0.25
"""Share of a track's frames, those with the highest neutral score, that count as rest."""
LEAST_FRAMES = 40
"""A track with fewer frames, and so fewer than ten at rest, keeps its raw scores."""
LEAST_NEUTRAL = 0.1
"""So does one whose neutral score at rest has a median below this: such a person was never seen at rest."""

MOST_SHIFT = 3.0
"""And one whose rest would differ from most people's by more than this, twentyfold odds: what was taken for rest is an
expression, which a correction would erase."""


@dataclass
class Thinned(Generic[Item]):
    """A sample of a long series: every N-th item, evenly, with N doubling as the series grows; constant memory."""

    most: int = 4096
    count: int = 0
    items: list[Item] = field(default_factory=list)
    _stride: int = 1

    def add(self, item: Item) -> None:
        """Take the next item."""
        if self.count % self._stride == 0:
            self.items.append(item)
            if len(self.items) > self.most:
                self.items, self._stride = self.items[::2], self._stride * 2
        self.count += 1


@dataclass(frozen=True)
class Baseline:
    """What one person's rest adds to the logarithm of each score, compared with most people.

    Attributes:
        frames: of the track.
        shift: float64 [K], subtracted from the logarithms; None where raw scores are kept.
        reason: why they are kept.
    """

    frames: int
    shift: np.ndarray | None = None
    reason: str = ""

    def facts(self, labels: Sequence[str]) -> dict[str, Any]:
        """For summary.json: what undoes the correction, or why there is none."""
        if self.shift is None:
            return {"frames": self.frames, "raw_kept": self.reason}
        subtracted = {label: float(value) for label, value in zip(labels, self.shift, strict=True)}
        return {"frames": self.frames, "subtracted": subtracted}


def rest_of(scores: np.ndarray, labels: Sequence[str], frames: int | None = None) -> Baseline:
    """Measure how a person looks at rest.

    The median of log max(score, FLOOR) over the quarter of the frames with the highest neutral score, minus the same
    of most people (REST), relative to neutral.

    Args:
        scores: [T, K] in [0, 1], of one track.
        labels: names of the K scores.
        frames: of the track, where `scores` holds only a sample of them.

    Returns:
        The shifts, rounded to 4 decimals; that of neutral is 0.
    """
    scores = np.asarray(scores, np.float64).reshape(-1, len(labels))
    frames = len(scores) if frames is None else frames
    if NEUTRAL not in labels:
        return Baseline(frames, None, "the model has no label neutral")
    if frames < LEAST_FRAMES:
        return Baseline(frames, None, f"fewer than {LEAST_FRAMES} frames")
    k = list(labels).index(NEUTRAL)
    order = np.argsort(-scores[:, k], kind="stable")
    rest = scores[order[: max(1, round(REST_SHARE * len(scores)))]]
    if (seen := float(np.median(rest[:, k]))) < LEAST_NEUTRAL:
        return Baseline(frames, None, f"never at rest: neutral scores {seen:.2g} at most, expected {LEAST_NEUTRAL:g}")
    own = np.median(np.log(np.maximum(rest, FLOOR)), axis=0)
    people = np.log([REST.get(label, FLOOR) for label in labels])
    shift = (own - people) - (own - people)[k]
    if abs(shift).max() > MOST_SHIFT:
        label = labels[int(abs(shift).argmax())]
        return Baseline(frames, None, f"never at rest: {label} stands out even in the most neutral frames")
    return Baseline(frames, np.round(shift, 4) + 0.0)


def correct(scores: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Scores [..., K] with `shift` [K] subtracted from their logarithms, renormalised; `correct(_, -shift)` undoes it.

    >>> shift = np.array([0.7, 0.0])
    >>> corrected = correct(np.array([0.4, 0.6]), shift)
    >>> corrected.round(3).tolist(), correct(corrected, -shift).round(3).tolist()
    ([0.249, 0.751], [0.4, 0.6])
    """
    weighted = np.asarray(scores, np.float64) * np.exp(-shift)
    return np.asarray(weighted / np.maximum(weighted.sum(-1, keepdims=True), 1e-12))
