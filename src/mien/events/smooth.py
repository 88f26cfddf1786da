"""A zero-phase filter over presentation time, frame by frame, in constant memory."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import numpy as np

from mien.errors import InputError
from mien.events.event import since

Tag = TypeVar("Tag")
CHUNK = 64  # frames that are filtered together


class Moment(NamedTuple, Generic[Tag]):
    """One frame of one person: its time, its values, and what the caller tied to it."""

    time_s: float
    values: np.ndarray
    tag: Tag


def kernel_mean(times: np.ndarray, values: np.ndarray, part: slice, reach_s: float) -> np.ndarray:
    """Weighted means around the frames of `part`, renormalised to sum 1.

    The weight falls linearly from 1 at the frame itself to 0 at `reach_s` before and after it, and is multiplied by the
    time that a frame stands for, so that a burst of frames does not outweigh the rest.

    Args:
        times: float64 [T], strictly rising, seconds.
        values: float64 [T, B, K], B sets of K scores in [0, 1].
        part: of the T frames, those wanted.

    Returns:
        float64 [P, B, K] for the P frames of `part`.
    """
    spans = np.gradient(times) if len(times) > 1 else np.ones(1)
    apart = np.abs(times[part, None] - times[None, :])
    weights = np.clip(1 - apart / reach_s, 0, None) * spans
    means = np.tensordot(weights / weights.sum(1, keepdims=True), values, 1)
    return np.asarray(means / np.maximum(means.sum(-1, keepdims=True), 1e-12))


class Smoother(Generic[Tag]):
    """Filters a stretch without absence; a frame comes out once all frames within its reach are known.

    Args:
        reach_s: of the filter, seconds; 0 hands frames on unchanged.
    """

    def __init__(self, reach_s: float) -> None:
        self.reach_s = reach_s
        self._held: list[Moment[Tag]] = []
        self._next = 0  # first frame that has not come out

    def add(self, moment: Moment[Tag]) -> list[Moment[Tag]]:
        """Take a frame, later than the last one; returns the frames that are ready, if there are many."""
        self._held.append(moment)
        return self._ready() if len(self._held) - self._next >= CHUNK else []

    def _ready(self) -> list[Moment[Tag]]:
        """The frames whose neighbours are all known."""
        known = self._held[-1].time_s - self.reach_s
        stop = self._next
        while stop < len(self._held) and self._held[stop].time_s < known:
            stop += 1
        return self._out(stop)

    def close(self) -> list[Moment[Tag]]:
        """The frames that are left; the stretch ends here."""
        out = self._out(len(self._held))
        self._held, self._next = [], 0
        return out

    def _out(self, stop: int) -> list[Moment[Tag]]:
        if stop == self._next:
            return []
        part, ripe = slice(self._next, stop), self._held[self._next : stop]
        if self.reach_s > 0:
            times = np.array([m.time_s for m in self._held])
            means = kernel_mean(times, np.stack([m.values for m in self._held]), part, self.reach_s)
            ripe = [Moment(m.time_s, mean, m.tag) for m, mean in zip(ripe, means, strict=True)]
        self._next = stop
        self._forget()
        return ripe

    def _forget(self) -> None:
        """Drop what is out of reach, but for one frame, which tells how long its neighbour stands for."""
        if self._next >= len(self._held):
            return
        oldest = self._held[self._next].time_s - self.reach_s
        first = 0
        while first + 1 < self._next and self._held[first + 1].time_s <= oldest:
            first += 1
        self._held, self._next = self._held[first:], self._next - first


def smooth(times: np.ndarray, scores: np.ndarray, seconds: float, absence_s: float) -> np.ndarray:
    """Smooth one person's scores.

    Args:
        times: [T] strictly rising, seconds.
        scores: [T, K] in [0, 1].
        seconds: reach of the filter: a frame this far away weighs nothing, one half as far away half.
        absence_s: two frames further apart than this, seconds, are not mixed.

    Returns:
        float64 [T, K]; each row sums to 1.

    Raises:
        InputError: the arrays do not fit together, or times do not rise.

    >>> times = np.arange(5) / 10
    >>> scores = np.array([[0, 1], [0, 1], [1, 0], [0, 1], [0, 1]])
    >>> smooth(times, scores, 0.2, 1.0)[:, 0].round(2).tolist()
    [0.0, 0.25, 0.5, 0.25, 0.0]
    """
    times, scores = checked(times, scores)
    smoother: Smoother[None] = Smoother(seconds)
    out: list[Moment[None]] = []
    for i, time_s in enumerate(times.tolist()):
        if i and since(times[i - 1], time_s) > absence_s:
            out += smoother.close()
        out += smoother.add(Moment(time_s, scores[i, None], None))
    out += smoother.close()
    return np.stack([moment.values[0] for moment in out]) if out else scores


def checked(times: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times and scores as float64 [T] and [T, K].

    Raises:
        InputError: the arrays do not fit together, hold values that are not finite, or times do not rise.
    """
    times, scores = np.asarray(times, np.float64), np.asarray(scores, np.float64)
    if times.ndim != 1 or scores.ndim != 2 or len(times) != len(scores):
        raise InputError(f"expected times [T] and scores [T, K], got {list(times.shape)} and {list(scores.shape)}")
    if not (np.isfinite(times).all() and np.isfinite(scores).all()):
        raise InputError("times and scores must be finite: leave out the frames without a value")
    if (wrong := np.flatnonzero(np.diff(times) <= 0)).size:
        i = int(wrong[0])
        raise InputError(f"times must rise, but {times[i + 1]:g} s follows {times[i]:g} s: sort the frames by time")
    return times, scores
