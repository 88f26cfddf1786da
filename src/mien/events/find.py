"""Onset, apex and offset: two thresholds over smoothed scores, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from mien.errors import InputError
from mien.events.event import NEUTRAL, Event, EventOptions, since, step_s
from mien.events.smooth import Moment, Smoother, Tag, checked


@dataclass
class Stretch:
    """Neighbouring frames with a score at or above the low threshold; (time, frame) of three of them."""

    onset: tuple[float, int]
    apex: tuple[float, int]
    offset: tuple[float, int]
    peak: float


class Thresholds:
    """Finds the events of one expression of one person."""

    def __init__(self, options: EventOptions) -> None:
        self.options = options
        self.found: list[Stretch] = []
        self._open: Stretch | None = None
        self._whole: Stretch | None = None  # may still be joined with the next

    def add(self, at: tuple[float, int], score: float) -> None:
        """Take the next frame: its time and number, its smoothed score."""
        if score < self.options.low:
            self._end()
        elif self._open is None:
            self._open = Stretch(at, at, at, score)
        else:
            self._open.offset = at
            if score > self._open.peak:
                self._open.apex, self._open.peak = at, score

    def close(self) -> None:
        """The face was absent, or the recording ends."""
        self._end()
        if self._whole is not None and since(self._whole.onset[0], self._whole.offset[0]) >= self.options.min_s:
            self.found.append(self._whole)
        self._whole = None

    def _end(self) -> None:
        ended, self._open = self._open, None
        if ended is None or ended.peak < self.options.threshold:
            return
        if self._whole is not None and since(self._whole.offset[0], ended.onset[0]) <= self.options.gap_s:
            self._whole.offset = ended.offset
            if ended.peak > self._whole.peak:
                self._whole.apex, self._whole.peak = ended.apex, ended.peak
            return
        self.close()
        self._whole = ended


class Follower(Generic[Tag]):
    """One person's frames in; smoothed frames and events out, a little later.

    Args:
        labels: names of the K scores.
        absence_s: two frames further apart than this are not mixed, and no event goes on.

    Attributes:
        last_s: time of the last frame; None before the first.
    """

    def __init__(self, labels: Sequence[str], options: EventOptions, absence_s: float) -> None:
        self.absence_s = absence_s
        self.last_s: float | None = None
        self._smoother: Smoother[tuple[int, Tag]] = Smoother(options.smooth_s)
        self._labels = tuple(labels)
        self._thresholds = [Thresholds(options) for _ in self._labels]

    def add(self, time_s: float, frame: int, values: np.ndarray, tag: Tag) -> list[Moment[Tag]]:
        """Take a frame with values [B, K], of which the last set makes the events; returns smoothed frames."""
        out: list[Moment[Tag]] = []
        if self.last_s is not None and not 0 < since(self.last_s, time_s) <= self.absence_s:
            out = self.close()
        self.last_s = time_s
        return out + self._take(self._smoother.add(Moment(time_s, values, (frame, tag))))

    def close(self) -> list[Moment[Tag]]:
        """The person is absent, or the recording ends: what is left of the smoothed frames."""
        out = self._take(self._smoother.close())
        for thresholds in self._thresholds:
            thresholds.close()
        return out

    def _take(self, moments: list[Moment[tuple[int, Tag]]]) -> list[Moment[Tag]]:
        for moment in moments:
            at = (moment.time_s, moment.tag[0])
            for label, thresholds, score in zip(
                self._labels, self._thresholds, moment.values[-1].tolist(), strict=True
            ):
                if label != NEUTRAL:
                    thresholds.add(at, score)
        return [Moment(m.time_s, m.values, m.tag[1]) for m in moments]

    def events(self, source: str = "", track: int | None = None) -> list[Event]:
        """The events that are over, each once, by onset."""
        events = []
        for label, thresholds in zip(self._labels, self._thresholds, strict=True):
            events += [_event(source, track, label, stretch) for stretch in thresholds.found]
            thresholds.found = []
        return sorted(events, key=lambda event: event.onset_s)


def _event(source: str, track: int | None, label: str, s: Stretch) -> Event:
    times = (round(s.onset[0], 6), round(s.apex[0], 6), round(s.offset[0], 6))
    peak, duration = round(s.peak, 4), since(s.onset[0], s.offset[0])
    return Event(source, track, label, *times, s.onset[1], s.apex[1], s.offset[1], peak, duration)


def find_events(
    times: np.ndarray,
    scores: np.ndarray,
    labels: Sequence[str],
    options: EventOptions | None = None,
    *,
    frames: Sequence[int] | None = None,
) -> list[Event]:
    """Events of one person, by onset.

    Args:
        times: [T] strictly rising, seconds.
        scores: [T, K] in [0, 1].
        labels: names of the K scores; `neutral` makes no event.
        frames: [T] numbers of the frames; 0, 1, 2 ... if not given.

    Raises:
        InputError: the arrays do not fit together, or times do not rise.

    >>> smile = np.repeat([0.0, 0.9, 0.0], 50)
    >>> scores = np.stack([smile, 1 - smile], 1)
    >>> [(e.label, e.onset_s, e.offset_s) for e in find_events(np.arange(150) / 25, scores, ["happiness", "neutral"])]
    [('happiness', 1.96, 4.0)]
    """
    options = options or EventOptions()
    times, scores = checked(times, scores)
    if scores.shape[1] != len(labels):
        raise InputError(f"{scores.shape[1]} scores for {len(labels)} labels: give one label per column")
    numbers = range(len(times)) if frames is None else [int(frame) for frame in frames]
    if len(numbers) != len(times):
        raise InputError(f"{len(numbers)} frame numbers for {len(times)} times: give one per frame")
    follower: Follower[None] = Follower(labels, options, options.absence_s(step_s(np.diff(times).tolist())))
    for time_s, frame, row in zip(times.tolist(), numbers, scores, strict=True):
        follower.add(time_s, frame, row[None], None)
    follower.close()
    return follower.events()
