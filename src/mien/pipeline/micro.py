"""Micro-expressions of a video that has been analysed: a second look at its frames, face by face."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.events.baseline import Thinned
from mien.events.event import MISSED_STEPS, step_s
from mien.events.micro import LEAST_FPS, MicroOptions, Spot, Spotter
from mien.faces.landmarks import Landmarks
from mien.faces.movement import patch_of
from mien.pipeline.sources import Source, frames
from mien.types import Faces, Frame

SMALLEST = 64
"""Shorter side of a box, pixels, below which small movements cannot be told from noise."""
STEADY = 0.3
"""Weight of the newest landmarks in their running mean, at 100 frames/s: the net's jitter would move the points."""

Row = dict[str, Any]


def frame_rate(rows: Iterable[Row]) -> float:
    """Frames per second at which a video was analysed, by the median step between frames with a face; 0 if unknown."""
    steps: Thinned[float] = Thinned()
    last: float | None = None
    for row in rows:
        if last is not None and row["time_s"] > last:
            steps.add(row["time_s"] - last)
        last = row["time_s"]
    step = step_s(steps.items)
    return round(1 / step, 3) if step else 0.0


class _Face:
    """One track: its spotter, and its landmarks, steadied."""

    def __init__(self, fps: float, options: MicroOptions) -> None:
        self.spotter = Spotter(fps, options)
        self.last_s = 0.0
        self._points: np.ndarray | None = None
        self._step_s = 1 / fps
        self._weight = 1 - (1 - STEADY) ** (100 / fps)

    def add(self, frame: Frame, landmarks: np.ndarray) -> None:
        time_s = float(frame.time_s or 0.0)
        if self._points is None or time_s - self.last_s > MISSED_STEPS * self._step_s:
            self._points = landmarks.astype(np.float64)
        self._points = self._points + self._weight * (landmarks - self._points)
        self.last_s = time_s
        self.spotter.add(time_s, frame.index, patch_of(frame.image, self._points, self.spotter.last))


def spot_video(
    source: Source,
    rows: Callable[[], Iterator[Row]],
    landmarks: Landmarks,
    detector: str,
    options: MicroOptions | None = None,
    *,
    threads: int = 0,
) -> dict[int, list[Spot]]:
    """Micro-expressions of each track of a video.

    Args:
        source: the video, which is read again.
        rows: gives the rows of this video, in order; called twice.
        landmarks, detector: as the analysis used them.
        threads: for decoding; 0 uses all cores.

    Returns:
        Track -> micro-expressions by onset; tracks without one are left out.

    Raises:
        InputError: the video was analysed at too few frames per second, or cannot be read.
    """
    fps = frame_rate(rows())
    if fps == 0:
        return {}
    if fps < LEAST_FPS:
        raise InputError(
            f"{source.name}: was analysed at {fps:.3g} frames/s, but --micro needs {LEAST_FPS} at least: record at 100 "
            "or more, and leave --every at 1"
        )
    options = options or MicroOptions()
    faces: dict[int, _Face] = {}
    for frame, mine in _with_rows(source, rows(), threads):
        for track, points in _points(frame, mine, landmarks, detector):
            faces.setdefault(track, _Face(fps, options)).add(frame, points)
        for face in faces.values():
            if float(frame.time_s or 0.0) - face.last_s > 1:
                face.spotter.close()
    for face in faces.values():
        face.spotter.close()
    found = {track: face.spotter.spots() for track, face in sorted(faces.items())}
    return {track: spots for track, spots in found.items() if spots}


def _with_rows(source: Source, rows: Iterator[Row], threads: int) -> Iterator[tuple[Frame, list[Row]]]:
    """Frames of a video that have rows, with these; a video that is damaged midway ends there."""
    groups = groupby(rows, key=lambda row: int(row["frame"]))
    wanted, group = next(groups, (-1, iter(())))
    seen = False
    try:
        for frame in frames(source, threads=threads):
            seen = True
            if frame.index == wanted:
                yield frame, list(group)
                wanted, group = next(groups, (-1, iter(())))
    except InputError:
        if not seen:  # else the analysis has said so
            raise


def _points(frame: Frame, rows: list[Row], landmarks: Landmarks, detector: str) -> Iterator[tuple[int, np.ndarray]]:
    """Tracks of a frame with their 68 points, but for faces that are too small."""
    boxes = [[row[name] for name in ("x1", "y1", "x2", "y2")] for row in rows]
    large = [
        i for i, box in enumerate(boxes)
        if rows[i]["track"] is not None and min(box[2] - box[0], box[3] - box[1]) >= SMALLEST
    ]  # fmt: skip
    if not large:
        return
    box = np.array([boxes[i] for i in large], np.float32)
    found = landmarks(frame.image, Faces(box, np.ones(len(box), np.float32)), detector).landmarks
    for i, points in zip(large, found, strict=True):
        yield int(rows[i]["track"]), points
