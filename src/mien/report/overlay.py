"""Annotated copies of pictures, videos and what a camera saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from mien.errors import InputError
from mien.media import open_media
from mien.pipeline.sources import Source, read_picture, upright
from mien.report.draw import draw
from mien.report.hide import hide
from mien.report.rows import Playback, Shown, faces_of
from mien.report.sound import Sound
from mien.report.video import Encoder, open_target, to_rgb, whole_file
from mien.table import Row
from mien.types import FrameResult

_LIVE_UNIT = Fraction(1, 1000)


def overlay_picture(
    source_path: str | Path,
    rows: Iterable[Row],
    labels: Sequence[str],
    out_path: str | Path,
    *,
    anonymous: bool = False,
) -> None:
    """Write an annotated copy of a picture as PNG; nothing but the pixels is taken over.

    Args:
        source_path: the picture.
        rows: the rows of this picture.
        labels: names of the scores.
        out_path: the PNG.
        anonymous: make the faces unrecognisable.

    Raises:
        InputError: the picture cannot be read.
    """
    faces, unsure = faces_of(list(rows), labels)
    image = draw(read_picture(source_path), faces, labels, unsure, anonymous=anonymous)
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with whole_file(out_path) as part:
        part.write_bytes(data.tobytes())


def overlay_video(
    source: Source,
    rows: Iterable[Row],
    labels: Sequence[str],
    out_path: str | Path,
    *,
    anonymous: bool = False,
    every: int = 1,
    threads: int = 0,
) -> int:
    """Write an annotated copy of a video as MP4: upright, with the times of its frames and its sound.

    Rows are read as the frames come. Between analysed frames the last rows stay. A source that is damaged midway gives
    a copy up to there. Names, places and other notes in the file are not taken over; the sound is, also when anonymous.

    Args:
        source: the video.
        rows: the rows of this video alone, in the order of `frame`.
        labels: names of the scores.
        out_path: the MP4.
        anonymous: make the faces unrecognisable, also for half a second before and after they are found.
        every: the analysis took each `every`-th frame.
        threads: threads for decoding and for encoding; 0 uses all cores.

    Returns:
        Number of frames written.

    Raises:
        InputError: not one frame can be read.
    """
    playback = Playback(rows, labels, every)

    def change(image: np.ndarray, index: int) -> np.ndarray:
        return _drawn(image, playback.at(index), labels, anonymous)

    return copy_video(source.name, out_path, change, threads=threads)


def copy_video(
    path: str,
    out_path: str | Path,
    change: Callable[[np.ndarray, int], np.ndarray],
    *,
    size: tuple[int, int] | None = None,
    threads: int = 0,
) -> int:
    """Write a changed copy of a video as MP4: upright, with the times of its frames and its sound.

    Args:
        path: the video; one that is damaged midway gives a copy up to there.
        out_path: the MP4.
        change: makes the new picture, uint8 [h, w, 3], of a frame [H, W, 3] and its number from 0.
        size: h and w; None if it is that of the frames.
        threads: for decoding and for encoding; 0 uses all cores.

    Returns:
        Number of frames written.

    Raises:
        InputError: not one frame can be read.
    """
    with ExitStack() as stack:
        shape = _shape(path)
        container = stack.enter_context(_opened(path))
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        target = stack.enter_context(open_target(stack.enter_context(whole_file(out_path))))
        unit = stream.time_base or Fraction(1, 90000)
        rate = stream.average_rate or Fraction(25)
        high, wide = size or shape
        encoder = Encoder(target, wide, high, rate, unit, threads, None if size else _aspect(stream, shape))
        sound, reformatter, count = Sound(container, target), VideoReformatter(), 0
        for count, frame in enumerate(_decoded(container, stream, sound), 1):
            image = change(upright(to_rgb(frame, reformatter), frame.rotation), count - 1)
            encoder.add(image, frame.pts if frame.pts is not None else round((count - 1) / rate / unit))
        encoder.close()
        sound.close()
    return count


def _drawn(image: np.ndarray, shown: Shown, labels: Sequence[str], anonymous: bool) -> np.ndarray:
    if anonymous:
        hide(image, shown.hidden)
    return draw(image, shown.faces, labels, shown.unsure, anonymous=anonymous)


def _opened(path: str) -> InputContainer:
    try:
        container = open_media(path)
    except (OSError, av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path}: not a video that can be read ({getattr(error, 'strerror', None) or error})"
        ) from error
    if not container.streams.video:
        container.close()
        raise InputError(f"{path}: has no picture track")
    return container


def _shape(path: str) -> tuple[int, int]:
    """Height and width of the first frame, upright: where a file keeps its rotation, only a frame tells."""
    with _opened(path) as container:
        try:
            frame = next(container.decode(container.streams.video[0]), None)
        except (OSError, av.FFmpegError, ValueError) as error:
            raise InputError(f"{path}: not a video that can be read ({error})") from error
        if frame is None:
            raise InputError(f"{path}: the video has no frame")
        turned = round(frame.rotation / 90) % 2
        return (frame.width, frame.height) if turned else (frame.height, frame.width)


def _aspect(stream: VideoStream, shape: tuple[int, int]) -> Fraction | None:
    """Shape of a pixel, upright; None where it is square or unknown."""
    aspect = stream.sample_aspect_ratio
    if not aspect or aspect == 1:
        return None
    return 1 / aspect if shape[0] == stream.width and shape[0] != shape[1] else aspect


def _decoded(container: InputContainer, stream: VideoStream, sound: Sound) -> Iterator[VideoFrame]:
    """Frames in order, up to damage if there is any; packets of sound go to `sound` on the way."""
    streams = [stream, sound.stream] if sound.stream else [stream]
    try:
        for packet in container.demux(*streams):
            if packet.stream.type == "audio":
                sound.add(packet)
            else:
                yield from stream.codec_context.decode(packet)
    except (OSError, av.FFmpegError, ValueError):
        return


class LiveOverlay:
    """Annotated video of what a camera sees, without sound; frames keep the times at which they came.

    Args:
        out_path: the MP4; complete once closed.
        labels: names of the scores.
        anonymous: make the faces unrecognisable; there is no looking ahead, so that a face which the detector finds
            late is seen until then.
        fps: frames per second, as a hint, and for frames that have no time.
    """

    def __init__(self, out_path: str | Path, labels: Sequence[str], anonymous: bool = False, fps: float = 25.0) -> None:
        self._labels, self._anonymous = tuple(labels), anonymous
        self._rate = Fraction(fps).limit_denominator(1001)
        self._path, self._stack = out_path, ExitStack()
        self._encoder: Encoder | None = None
        self._count = 0

    def add(self, result: FrameResult) -> None:
        """Draw and encode one frame."""
        image = draw(result.frame.image, result.faces, self._labels, result.unsure, anonymous=self._anonymous)
        if self._encoder is None:
            height, width = image.shape[:2]
            target = self._stack.enter_context(open_target(self._stack.enter_context(whole_file(self._path))))
            self._encoder = Encoder(target, width, height, self._rate, _LIVE_UNIT)
        time_s = self._count / float(self._rate) if result.time_s is None else result.time_s
        self._encoder.add(image, round(time_s / _LIVE_UNIT))
        self._count += 1

    def close(self) -> None:
        """Finish the file; without a frame there is none. Closing twice does no harm."""
        with self._stack:
            if self._encoder is not None:
                self._encoder.close()
                self._encoder = None
