"""Scores over time, averaged in bins that widen as a recording grows: constant memory for any length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mien.table import Row

_FINEST_S = 1 / 1024  # doubling makes whole seconds of it
_MANY = 400  # tracks held; of more, those least seen are dropped


@dataclass(frozen=True)
class Series:
    """What one person showed.

    Attributes:
        track: track id, of the first frame; -1 for faces that are not tracked.
        rows: number of frames with this face.
        time_s: float64 [T], mean time of each bin, rising.
        scores: float64 [T, K], mean scores in [0, 1].
        unsure: bool [T], most of the bin's frames are unsure.
        person: name that the user gave; None where there is none.
    """

    track: int
    rows: int
    time_s: np.ndarray
    scores: np.ndarray
    unsure: np.ndarray
    person: str | None = None


@dataclass
class Bins:
    """Collects rows.

    Args:
        labels: names of the K scores.
        most: bins over the whole time at most; as many are half full at least, once there are enough frames.

    Attributes:
        width_s: width of a bin; frames further apart than this are not averaged.
        people: number of tracks ever seen.
    """

    labels: Sequence[str]
    most: int = 1200
    width_s: float = _FINEST_S
    people: int = 0
    _tracks: dict[int | str, dict[int, np.ndarray]] = field(default_factory=dict)
    _first: dict[str, int] = field(default_factory=dict)  # first track of each named person
    _times: set[int] = field(default_factory=set)
    _first_s: float = 0.0

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; those without a time, of still pictures, are passed over."""
        for row in rows:
            if row["time_s"] is None:
                continue
            time_s = float(row["time_s"])
            if not self._times:
                self._first_s = time_s
            track: int | str = -1 if row.get("track") is None else int(row["track"])
            if row.get("person"):
                self._first.setdefault(row["person"], int(track))
                track = row["person"]
            if track not in self._tracks:
                self.people += 1
                self._prune(int((time_s - self._first_s) / self.width_s))
                self._tracks[track] = {}
            scores = (float(row.get(f"p_{label}") or 0.0) for label in self.labels)
            values = np.array([1.0, time_s, bool(row.get("unsure")), *scores])
            bin_ = int((time_s - self._first_s) // self.width_s)
            bins = self._tracks[track]
            if bin_ in bins:
                bins[bin_] += values
            else:
                bins[bin_] = values
                self._times.add(bin_)
                while len(self._times) > self.most:
                    self._widen()

    def _widen(self) -> None:
        """Make one bin of each two."""
        self.width_s *= 2
        self._times = {i // 2 for i in self._times}
        for track, bins in self._tracks.items():
            wider: dict[int, np.ndarray] = {}
            for i, values in bins.items():
                wider[i // 2] = wider[i // 2] + values if i // 2 in wider else values
            self._tracks[track] = wider

    def _prune(self, now: int) -> None:
        """Of very many tracks keep the half most seen, and those that may still go on."""
        if len(self._tracks) < _MANY:
            return
        order = sorted(self._tracks, key=lambda track: -self._seen(track))
        kept = order[: _MANY // 2]
        kept += [track for track in order[_MANY // 2 :] if max(self._tracks[track]) >= now - 2][: _MANY // 4]
        self._tracks = {track: self._tracks[track] for track in kept}

    def _seen(self, track: int | str) -> float:
        return sum(float(values[0]) for values in self._tracks[track].values())

    def series(self, count: int) -> list[Series]:
        """The `count` people seen most, the most seen first."""
        order = sorted(self._tracks, key=lambda track: (-self._seen(track), str(track)))[:count]
        return [self._one(track) for track in order]

    def _one(self, track: int | str) -> Series:
        bins = self._tracks[track]
        sums = np.stack([bins[i] for i in sorted(bins)])
        means = sums / sums[:, :1]
        number = self._first[track] if isinstance(track, str) else track
        name = track if isinstance(track, str) else None
        return Series(number, int(sums[:, 0].sum()), means[:, 1], means[:, 3:], means[:, 2] > 0.5, name)

    def gap_s(self) -> float:
        """Time between two points of a person from which on the person counts as absent in between."""
        steps = [np.diff(self._one(track).time_s) for track in self._tracks]
        joined = np.concatenate(steps) if steps else np.zeros(0)
        return 3.0 * float(np.median(joined)) if len(joined) else 3.0 * self.width_s
