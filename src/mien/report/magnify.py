"""A copy of a video in which small movements are large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from mien.errors import InputError
from mien.faces.magnify import Magnifier
from mien.faces.steady import Steady
from mien.media import open_media
from mien.report.overlay import copy_video
from mien.types import Faces


def frame_rate(path: str) -> float:
    """Frames per second that a video states.

    Raises:
        InputError: the file cannot be read as a video, or states none.
    """
    try:
        with open_media(path) as container:
            rate = float(container.streams.video[0].average_rate or 0)
    except (OSError, av.FFmpegError, ValueError, IndexError) as error:
        text = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: not a video that can be read ({text})") from error
    if not rate:
        raise InputError(f"{path}: states no frame rate, which the band in Hz needs; convert it to an MP4")
    return rate


def magnified_copy(
    path: str,
    out_path: str | Path,
    factor: float,
    low: float,
    high: float,
    *,
    cutoff: float = 16.0,
    find: Callable[[np.ndarray], Faces] | None = None,
    size: int = 384,
    watch: Callable[[], None] = lambda: None,
    threads: int = 0,
) -> int:
    """Write a copy of a video as MP4, with its sound, whose movements within a band are `factor` times as large.

    Args:
        path: the video; its frames are taken to be equally far apart.
        out_path: the MP4.
        factor, low, high, cutoff: as `mien.faces.magnify.Magnifier`.
        find: finds faces with 68 points: the largest one alone is shown, held still, so that the head's own motion is
            not magnified. None shows the whole picture.
        size: side of the picture of the face, pixels.
        watch: called after each frame.
        threads: for decoding and for encoding; 0 uses all cores.

    Returns:
        Number of frames written.

    Raises:
        InputError: the video cannot be read, shows no face, or a value is out of its range.
    """
    magnifier = Magnifier(factor, low, high, frame_rate(path), cutoff)
    steady = None if find is None else Steady(find, size)
    seen = 0

    def change(image: np.ndarray, index: int) -> np.ndarray:
        nonlocal seen
        watch()
        if steady is None:
            return magnifier(image)
        face = steady(image)
        if face is None:  # before the first face
            return np.zeros((size, size, 3), np.uint8)
        seen += 1
        return magnifier(face)

    try:
        count = copy_video(path, out_path, change, size=None if find is None else (size, size), threads=threads)
    except OSError as error:
        raise InputError(f"{out_path}: cannot be written to ({error.strerror})") from error
    if steady is not None and not seen:
        Path(out_path).unlink(missing_ok=True)
        raise InputError(f"{path}: shows no face; leave --face out to magnify the whole picture")
    return count
