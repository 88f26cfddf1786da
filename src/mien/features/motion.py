"""Motion capture of a face or body as statistics of windows: where each marker is, and how much and fast it moves."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.features import FEATURES, Extractor
from mien.features.band_powers import Windows


def motion(points: np.ndarray, rate: float, seconds: float = 1.0, step: float = 0.5) -> Windows:
    """Statistics float32 [T, 3 P] of markers [F, P, 3]: each one's place, spread and speed in windows.

    Place is the distance of the window's mean from the marker's median over the recording, spread the deviation about
    the window's mean, speed the mean path a second; lost frames (NaN) are left out, and a marker that a window never
    shows stands still there: zero for all three.

    Paper: as an input beside the voice Busso et al., "IEMOCAP", Language Resources and Evaluation 2008.

    Args:
        points: in the set's own unit (millimetres for IEMOCAP), the head's own motion removed.
        rate: frames/s, 120 for IEMOCAP.
        seconds, step: of the windows; a recording shorter than one is one window.

    Raises:
        DataError: points of another shape, or a rate, window or step that is not above 0.
    """
    if points.ndim != 3 or points.shape[2] != 3 or not points.size:
        raise DataError(f"markers of shape {points.shape}, expected [frames, markers, 3]")
    if min(rate, seconds * rate, step * rate) <= 0:
        raise DataError(f"{rate:g} frames/s, windows of {seconds:g} s every {step:g} s; all must be above 0")
    size, stride = max(1, min(round(seconds * rate), len(points))), max(1, round(step * rate))
    starts = np.arange(0, len(points) - size + 1, stride)
    seen = np.isfinite(points).all(2)
    places = np.where(seen[:, :, None], points, 0.0).astype(np.float64)
    middle = _median(places, seen)
    pairs = seen[1:] & seen[:-1]
    path = np.where(pairs, np.linalg.norm(np.diff(places, axis=0), axis=2), 0.0)
    rows = []
    for start in starts:
        span, there = places[start : start + size], seen[start : start + size]
        count = np.maximum(there.sum(0), 1)
        mean = span.sum(0) / count[:, None]
        spread = np.sqrt((np.square(span - mean).sum(2) * there).sum(0) / count)
        moves = slice(start, start + size - 1)
        speed = path[moves].sum(0) / np.maximum(pairs[moves].sum(0), 1) * rate
        place = np.linalg.norm(mean - middle, axis=1) * there.any(0)
        rows.append(np.concatenate([place, spread, speed]))
    return Windows(np.array(rows, np.float32), (starts + size / 2) / rate, size / rate)


def _median(places: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Median place [P, 3] over the frames in which each marker is seen; 0 where it never is."""
    found = np.zeros(places.shape[1:])
    for marker in np.flatnonzero(seen.any(0)):
        found[marker] = np.median(places[seen[:, marker], marker], 0)
    return found


@FEATURES.register(
    "motion",
    about="place, spread and speed of each marker of motion capture in windows",
    paper="Busso et al. 2008",
    reads="markers [frames, P, 3]",
    gives="T, D",
    version=1,
)
def extractor(rate: float = 120.0, seconds: float = 1.0, step: float = 0.5) -> Extractor:
    """`motion` of a recording, [T, 3 P].

    Args:
        rate: frames/s, 120 for IEMOCAP.
        seconds, step: of the windows.

    Raises:
        DataError: when a recording is malformed.
    """

    def extract(item: Any) -> np.ndarray:
        return motion(np.asarray(item), rate, seconds, step).values

    return extract
