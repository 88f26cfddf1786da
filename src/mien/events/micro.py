"""Micro-expressions: movements of the face that come and go within half a second.

For each frame, the movement towards it from a little before is set against the movement away from it to a little after:
a movement that returns stands out, one that goes on, as a turning head, cancels. Peaks of this contrast are candidates;
the skin is then followed from the peak back and forth to find onset, apex and offset.

Paper: Moilanen, Zhao, Pietikainen, "Spotting rapid facial movements from videos using appearance-based feature
    difference analysis", ICPR 2014 (contrast over a micro-interval, threshold mean + p (max - mean)); Wang et al., "A
    main directional maximal difference analysis for spotting facial movements from long-term videos", Neurocomputing
    2017 (optical flow in its main direction).

Differs: vectors of optical flow at points of the face, less the head's motion, in place of distances of binary
    patterns; the maximum is that of candidates that come and go in time, so that a sneeze does not hide the rest; a
    floor, relative to the recording's own noise, so that a face at rest gives nothing; onset and offset from the
    followed skin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np

from mien.errors import InputError
from mien.events.baseline import Thinned
from mien.events.event import MISSED_STEPS, Event, since
from mien.faces.movement import REGIONS, Patch, by_region, follow, patch_of

MICRO = "micro"
"""Label of micro-expressions among the bars of a timeline."""
FLAT_S = 0.06
"""Seconds for which the skin must have come to rest."""
LEAST_FPS = 60
"""Frames per second below which 0.04 to 0.5 s are too few frames."""


@dataclass(frozen=True)
class MicroOptions:
    """What counts as a micro-expression.

    Attributes:
        share: p of the threshold mean + p (max - mean), in [0, 1].
        min_s, max_s: shortest and longest from onset to offset, seconds. 0.5: Yan et al., "How fast are the leaked
            facial expressions", Journal of Nonverbal Behavior, 2013.
        lag_s: how far before and after a frame it is compared, seconds. Moilanen et al. take half of the longest, 0.16;
            less lets a moving head do less harm.
        least: a contrast below this is none, per cent of the distance between the eyes.
        noise: nor one below this many times the recording's median contrast.
        level: share of the way to the apex at which onset and offset lie.
    """

    share: float = 0.3
    min_s: float = 0.04
    max_s: float = 0.5
    lag_s: float = 0.1
    least: float = 0.4
    noise: float = 3.0
    level: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 < self.min_s < self.max_s and 0 < self.lag_s <= self.max_s):
            raise InputError(f"{self}: expected a share in [0, 1] and 0 < min_s < max_s, 0 < lag_s <= max_s")


@dataclass(frozen=True)
class Spot:
    """One micro-expression.

    Attributes:
        onset_s, apex_s, offset_s: presentation times, seconds.
        onset_frame, apex_frame, offset_frame: the same as frame numbers.
        strength: contrast of the movement, per cent of the distance between the eyes.
        duration_s: offset minus onset, seconds.
        region: part of the face that moved most, one of `mien.faces.movement.REGIONS`.
    """

    onset_s: float
    apex_s: float
    offset_s: float
    onset_frame: int
    apex_frame: int
    offset_frame: int
    strength: float
    duration_s: float
    region: str

    def event(self, source: str, track: int | None, person: str | None = None) -> Event:
        """As an event, for a timeline."""
        times = (self.onset_s, self.apex_s, self.offset_s)
        places = (self.onset_frame, self.apex_frame, self.offset_frame)
        return Event(source, track, MICRO, *times, *places, self.strength, self.duration_s, person)


COLUMNS = ("source", "track", *(field.name for field in fields(Spot)))
"""Columns of micro.csv, in order."""


class _Moment(NamedTuple):
    """A frame that is held: its movement from the frame a lag before, NaN where there is none.

    Once the frame a lag after it is known, `contrast` holds one value and `ways` one [R, 2], what it is the length of.
    """

    time_s: float
    frame: int
    patch: Patch
    moved: np.ndarray
    contrast: list[float]
    ways: list[np.ndarray]


@dataclass
class Spotter:
    """Finds the micro-expressions of one face; holds about a second and a half of small grey pictures.

    Args:
        fps: frames per second.

    Raises:
        InputError: fewer than `LEAST_FPS` frames per second.
    """

    fps: float
    options: MicroOptions = field(default_factory=MicroOptions)
    _held: list[_Moment] = field(default_factory=list)
    _done: int = 0  # of the frames held, those that have been looked at as a peak
    _sum: float = 0.0
    _all: Thinned[float] = field(default_factory=Thinned)
    _found: list[Spot] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.fps < LEAST_FPS:
            raise InputError(
                f"{self.fps:g} frames/s: a micro-expression needs {LEAST_FPS} at least, and 100 or more are better"
            )
        self._lag = max(2, round(self.options.lag_s * self.fps))
        self._reach = max(self._lag + 1, math.ceil(self.options.max_s * self.fps))

    @property
    def last(self) -> Patch | None:
        """The newest patch; None at the beginning."""
        return self._held[-1].patch if self._held else None

    def add(self, time_s: float, frame: int, patch: Patch) -> None:
        """Take the next frame; a gap in time, or a patch of another size, begins anew."""
        if last := self.last:
            again = not 0 < since(self._held[-1].time_s, time_s) <= MISSED_STEPS / self.fps
            if again or last.half != patch.half:
                self.close()
        k = self._lag
        moved = np.full((len(REGIONS), 2), np.nan)
        if len(self._held) >= k:
            moved = by_region(follow(self._held[-k].patch, patch))
            middle = self._held[-k]
            if np.isfinite(middle.moved[0, 0]):
                self._contrast(middle, moved)
        self._held.append(_Moment(time_s, frame, patch, moved, [], []))
        while len(self._held) - self._done > self._reach:
            self._look(self._done)
            self._done += 1
        first = self._done - self._reach - k
        if first > self.fps / 2:  # not at each frame, for lists are slow to shorten
            self._held, self._done = self._held[first:], self._done - first

    def _contrast(self, middle: _Moment, after: np.ndarray) -> None:
        way = (middle.moved - after) / 2
        length = np.linalg.norm(way, axis=1)
        # two regions: a movement shows in neighbours, an error of the flow in one
        value = 100 * float(np.sort(length)[-2:].mean())
        middle.contrast.append(value)
        middle.ways.append(way)
        self._sum += value
        self._all.add(value)

    @property
    def floor(self) -> float:
        """Contrast below which nothing counts, per cent of the distance between the eyes."""
        median = float(np.median(self._all.items)) if self._all.items else 0.0
        return max(self.options.least, self.options.noise * median)

    def _look(self, place: int) -> None:
        """Is this frame a peak, and of something that comes and goes?"""
        middle = self._held[place]
        if not middle.contrast or middle.contrast[0] < self.floor:
            return
        near = (m for m in self._held[max(0, place - self._lag) : place + self._lag + 1] if m.contrast)
        higher = (m for m in near if (m.contrast[0], -m.frame) > (middle.contrast[0], -middle.frame))
        # coming and going stand out too, but in the other direction
        if any(float((m.ways[0] * middle.ways[0]).sum()) > 0 for m in higher):
            return
        spot = self._trace(place)
        if spot is not None and self.options.min_s <= spot.duration_s <= self.options.max_s + 0.5 / self.fps:
            self._found.append(spot)

    def _trace(self, place: int) -> Spot | None:
        """Follow the skin from the peak back and forth."""
        middle = self._held[place]
        window = range(max(0, place - self._reach), min(len(self._held), place + self._reach + 1))
        length = np.linalg.norm(middle.ways[0], axis=1)
        rows = length >= 0.5 * length.max()
        moved = np.stack([by_region(follow(middle.patch, self._held[j].patch))[rows] for j in window])
        centre = place - window.start
        ends = [max(0, centre - self._lag), min(len(moved) - 1, centre + self._lag)]
        way = -moved[ends].mean(0)
        course = 1 + (moved * way).sum((1, 2)) / max(float((way**2).sum()), 1e-12)
        found = bounds(course, centre, self.options.level, max(3, round(FLAT_S * self.fps)))
        if found is None:
            return None
        onset, apex, offset = (self._held[window.start + i] for i in found)
        first, middle_s, last = (round(m.time_s, 6) for m in (onset, apex, offset))
        region = list(REGIONS)[int(length.argmax())]
        strength = round(middle.contrast[0], 3)
        places = (onset.frame, apex.frame, offset.frame)
        return Spot(first, middle_s, last, *places, strength, since(first, last), region)

    def close(self) -> None:
        """The face was away, or the recording ends."""
        for place in range(self._done, len(self._held)):
            self._look(place)
        self._held, self._done = [], 0

    def spots(self) -> list[Spot]:
        """What was found, by onset; call it when all frames have been seen.

        Of two that overlap the stronger one stays.
        """
        if not self._found:
            return []
        mean = self._sum / max(1, self._all.count)
        best = max(spot.strength for spot in self._found)
        least = max(self.floor, mean + self.options.share * (best - mean))
        kept: list[Spot] = []
        for spot in sorted(self._found, key=lambda s: -s.strength):
            free = all(spot.offset_s < other.onset_s or spot.onset_s > other.offset_s for other in kept)
            if spot.strength >= least and free:
                kept.append(spot)
        return sorted(kept, key=lambda s: s.onset_s)


def bounds(course: np.ndarray, peak: int, level: float = 0.1, flat: int = 6) -> tuple[int, int, int] | None:
    """Onset, apex and offset of a movement that comes and goes.

    From the peak outwards on each side, rest is where the course has fallen by half the way at least and falls no
    further than by a tenth of that within `flat` frames; onset and offset are the frames nearest to the apex that have
    not risen above `level` of the way from rest to apex.

    Args:
        course: [T], how far the skin has moved; about 1 at the peak and 0 at rest.
        peak: index of the peak.

    Returns:
        Three indices; None where it does not come, or not go.

    >>> bounds(np.clip(1 - abs(np.arange(31) - 14) / 8, 0, 1), 14)
    (7, 14, 21)
    """
    smooth = np.convolve(np.pad(course, 1, mode="edge"), np.ones(3) / 3, "valid")
    before, after = _rest(smooth[peak::-1], flat), _rest(smooth[peak:], flat)
    if before is None or after is None:
        return None
    low, high = peak - before, peak + after
    apex = low + int(smooth[low : high + 1].argmax())
    top = smooth[apex]
    first = np.flatnonzero(smooth[low : apex + 1] <= smooth[low] + level * (top - smooth[low]))
    last = np.flatnonzero(smooth[apex : high + 1] <= smooth[high] + level * (top - smooth[high]))
    return low + int(first[-1]), apex, apex + int(last[0])


def _rest(side: np.ndarray, flat: int) -> int | None:
    """Steps from the peak to rest; None where there is none."""
    for i in range(1, len(side)):
        fallen = side[0] - side[i]
        if fallen >= 0.5 and side[i] - side[i : i + flat + 1].min() < 0.1 * fallen:
            return i
    return None


def spot_clip(
    frames: Iterable[np.ndarray], landmarks: Sequence[np.ndarray] | np.ndarray, fps: float,
    options: MicroOptions | None = None,
) -> list[Spot]:  # fmt: skip
    """Micro-expressions of a raw clip of one face: onset, apex and offset of each.

    Args:
        frames: T pictures, uint8 [H, W] or RGB [H, W, 3].
        landmarks: [T, 68, 2] in iBUG order, pixels.
        fps: frames per second.

    Raises:
        InputError: too few frames per second, or another number of landmarks.
    """
    spotter = Spotter(fps, options or MicroOptions())
    for number, (image, points) in enumerate(zip(frames, landmarks, strict=True)):
        spotter.add(number / fps, number, patch_of(image, np.asarray(points), spotter.last))
    spotter.close()
    return spotter.spots()
