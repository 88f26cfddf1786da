"""Does the cost grow in step with the work: faces in a frame, and minutes of video."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from mien.bench.speed import ClipRun, clip_speed, loop_clip
from mien.errors import InputError
from mien.pipeline.sources import PICTURES, read_picture

SIDE, CELL = 1280, 160
"""A crowd's frame, and the square of each portrait in it, pixels: at most 64."""
STEP = 4
"""Pixels by which the portraits sway from frame to frame, so that a frame is not the one before."""


def portraits(folder: Path, count: int) -> list[np.ndarray]:
    """Portraits of a folder, the same few over and over where there are not enough, uint8 RGB [CELL, CELL, 3].

    Raises:
        InputError: there is no picture in the folder.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise InputError(f"{folder}: holds no picture; name a folder of portraits")
    pictures = []
    for path in paths[: min(count, len(paths))]:
        image = read_picture(path)
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        pictures.append(cv2.resize(square, (CELL, CELL), interpolation=cv2.INTER_AREA))
    return [pictures[i % len(pictures)] for i in range(count)]


def crowd(faces: Sequence[np.ndarray], shift: int = 0) -> np.ndarray:
    """One frame uint8 [SIDE, SIDE, 3]: the portraits spread over a grey square, swayed to the right by `shift` pixels.

    Raises:
        InputError: there are more portraits than the frame has room for.
    """
    columns = math.ceil(math.sqrt(len(faces)))
    room = SIDE // max(columns, 1)
    if room < CELL:
        raise InputError(f"{len(faces)} faces: a frame has room for {(SIDE // CELL) ** 2}")
    frame = np.full((SIDE, SIDE, 3), 127, np.uint8)
    for number, face in enumerate(faces):
        y, x = (number // columns) * room + (room - CELL) // 2, (number % columns) * room + (room - CELL) // 2
        frame[y : y + CELL, x : x + CELL] = face
    return np.roll(frame, shift, axis=1) if shift else frame


def crowd_clip(faces: Sequence[np.ndarray], out: Path, frames: int) -> Path:
    """A clip of such frames, 25 a second, H.264."""
    # the outermost portraits of a full frame stand at its very edge: sway to the right and back by a few pixels
    sway = [STEP * abs((index + 2) % 4 - 2) for index in range(frames)]
    with av.open(str(out), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18", "preset": "ultrafast"}
        stream.codec_context.time_base = Fraction(1, 25)
        for index, shift in enumerate(sway):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(crowd(faces, shift)), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out


@dataclass(frozen=True)
class Line:
    """cost = fixed + slope * work, by least squares.

    Attributes:
        worst: largest distance of a point from the line, as a share of the point's cost.
    """

    fixed: float
    slope: float
    worst: float


def line(work: Sequence[float], cost: Sequence[float]) -> Line:
    """The line through the points; relative distances are made small, so that large points do not rule.

    >>> line([1, 2, 4], [3, 5, 9])
    Line(fixed=1.0, slope=2.0, worst=0.0)
    """
    y = np.asarray(cost, float)
    rows = np.stack([np.ones(len(y)), np.asarray(work, float)], 1) / y[:, None]
    found = np.linalg.lstsq(rows, np.ones(len(y)), rcond=None)[0]
    worst = float(np.abs(rows @ found - 1).max())
    return Line(round(float(found[0]), 9), round(float(found[1]), 9), round(worst, 9))


def by_faces(
    folder: Path,
    counts: Sequence[int],
    scratch: Path,
    *,
    frames: int = 50,
    rounds: int = 3,
    threads: int = 1,
    detector: str = "auto",
    say: Callable[[str], None] = print,
) -> list[tuple[int, ClipRun]]:
    """A clip for each number of faces, analysed whole; of the rounds the one with the least processor time."""
    clips = {count: crowd_clip(portraits(folder, count), scratch / f"{count}.mp4", frames) for count in counts}
    runs: dict[int, list[ClipRun]] = {count: [] for count in counts}
    for number in range(rounds):
        for count, clip in clips.items():
            run = clip_speed(clip, scratch / f"{count}-{number}", threads, detector=detector)
            say(f"{count} faces, round {number + 1}: {run.faces} rows, {run.cpu_s:.2f} s of processor time")
            runs[count].append(run)
    return [(count, min(found, key=lambda run: run.cpu_s)) for count, found in runs.items()]


def by_minutes(
    clip: Path,
    minutes: Sequence[float],
    scratch: Path,
    *,
    every: int = 1,
    threads: int = 1,
    say: Callable[[str], None] = print,
) -> list[tuple[float, ClipRun]]:
    """The clip repeated to each length, analysed once; lengths are in minutes of video."""
    found = []
    for length in minutes:
        looped = loop_clip(clip, scratch / f"{length:g}min.mp4", length * 60)
        run = clip_speed(looped, scratch / f"{length:g}", threads, every)
        say(f"{length:g} minutes: {run.frames} frames, {run.cpu_s:.1f} s of processor time, {run.peak_mb:.1f} MB")
        found.append((length, run))
        looped.unlink()
    return found
