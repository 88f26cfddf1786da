"""Small pictures of faces for the page: read again from the sources, inside the page as JPEG."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from mien.errors import InputError
from mien.faces.align import box_square, cut
from mien.media import open_media
from mien.pipeline.sources import read_picture, upright
from mien.report.hide import hide
from mien.report.page.gather import Box, Gathered, Key

SIDE = 144
ROOM = 1.5  # side of the picture, in sides of the box
QUALITY = 82
FAR = 6000  # frames that are decoded at most from the key frame before a face


@dataclass(frozen=True)
class Wanted:
    """A face that the page wants to show; `time_s` is None for a picture."""

    key: Key
    time_s: float | None


@dataclass
class Thumbs:
    """The pictures.

    Attributes:
        images: `data:` addresses.
        lost: sources that are no longer where they were, or cannot be read.
        missing: faces that were not found again in a source that can be read.
    """

    images: dict[Key, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    missing: int = 0


def thumbnails(wanted: Iterable[Wanted], found: Gathered, *, blur: bool) -> Thumbs:
    """Read the faces.

    Args:
        wanted: which.
        found: where they are.
        blur: make every face unrecognisable that was found on, or up to 15 frames before or after, the same frame.
    """
    made = Thumbs()
    by_source: dict[str, list[Wanted]] = {}
    for one in wanted:
        if one.key in found.boxes:
            by_source.setdefault(one.key[0], []).append(one)
    for source, some in by_source.items():
        if not Path(source).is_file():
            made.lost.append(source)
            continue
        images = _of_video(source, some) if some[0].time_s is not None else _of_picture(source, some)
        count = 0
        for key, image in images:
            count += 1
            made.images[key] = _thumbnail(image, found.boxes[key], found.near.get(key[:2], ()) if blur else ())
        if count:
            made.missing += len(some) - count
        else:
            made.lost.append(source)
    return made


def _of_picture(source: str, wanted: Sequence[Wanted]) -> Iterator[tuple[Key, np.ndarray]]:
    with suppress(InputError):
        image = read_picture(source)
        yield from ((one.key, image) for one in wanted)


def _of_video(source: str, wanted: Sequence[Wanted]) -> Iterator[tuple[Key, np.ndarray]]:
    """Frames by their presentation time, each sought from the key frame before it; up to damage if there is any."""
    with suppress(OSError, av.FFmpegError, IndexError, ValueError), open_media(source) as container:
        stream = container.streams.video[0]
        for one in sorted(wanted, key=lambda w: w.time_s or 0.0):
            image = _frame_at(container, stream, one.time_s or 0.0)
            if image is not None:
                yield one.key, image


def _frame_at(container: InputContainer, stream: VideoStream, time_s: float) -> np.ndarray | None:
    """The frame that is shown at just this time, uint8 [H, W, 3]; None where there is none."""
    base = stream.time_base
    if base is None:
        return None
    container.seek(int(time_s / base), stream=stream, backward=True)
    for count, frame in enumerate(container.decode(stream)):
        if frame.time is None or count > FAR or frame.time > time_s + 1e-3:
            return None
        if abs(frame.time - time_s) <= 1e-3:
            return upright(frame.to_ndarray(format="rgb24"), frame.rotation)
    return None


def _thumbnail(image: np.ndarray, box: Box, hidden: Sequence[Box]) -> str:
    if hidden:
        image = image.copy()
        hide(image, np.array(hidden, np.float32))
    face = cut(image, box_square(np.array(box), ROOM, 0.0), SIDE)
    return data_address(face)


def data_address(image: np.ndarray) -> str:
    """A picture, uint8 RGB [H, W, 3], as a JPEG inside an address."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
