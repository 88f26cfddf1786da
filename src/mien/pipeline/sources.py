"""Sources: pictures, folders, globs, videos and cameras become a stream of Frames."""

from __future__ import annotations

import glob
import os
import re
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from mien.errors import InputError
from mien.media import MOST_BYTES, MOST_PIXELS, check_size, open_media, picture_size, regular
from mien.types import Frame

PICTURES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm"})
VIDEOS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts"})


FORMULA = "=+-@\t\r"
"""What a spreadsheet takes for the beginning of a formula."""
CAMERA = re.compile("camera(:[0-9]{1,4})?")


@dataclass(frozen=True)
class Source:
    """One thing to analyse.

    Attributes:
        name: as the user gave it, or the path found inside the folder that the user gave.
        kind: `picture`, `video` or `camera`.
    """

    name: str
    kind: str

    @property
    def stem(self) -> str:
        """Short name for output files."""
        return self.name.replace(":", "") if self.kind == "camera" else Path(self.name).stem


@dataclass(frozen=True)
class Problem:
    """A source that cannot be analysed, with the reason in one sentence."""

    source: str
    reason: str


def find_sources(names: list[str]) -> tuple[list[Source], list[Problem]]:
    """Expand what the user named: pictures, videos, folders (recursive), globs, `camera[:N]`.

    In a folder or glob, files of other types are passed over; a file named outright is tried whatever its suffix.
    Links to files are followed, links to folders inside a folder are not. Pipes, devices, links that lead nowhere and
    names that are no text are problems. A name that a spreadsheet would take for a formula gets `./` in front.
    """
    sources: list[Source] = []
    problems: list[Problem] = []
    for name in names:
        if CAMERA.fullmatch(name):
            sources.append(Source(name, "camera"))
        elif _exists(name) and os.path.isdir(name):
            _walk(name, sources, problems)
        elif _exists(name):
            _add(name, sources, problems)
        elif glob.has_magic(name) and "\0" not in name:
            found = sorted(path for path in glob.glob(name, recursive=True) if _known(path))
            for path in found:
                _add(path, sources, problems)
            if not found:
                problems.append(Problem(name, "no picture or video matches"))
        else:
            problems.append(Problem(name, "there is no such file or folder"))
    unique = {source.name: source for source in sources}
    return list(unique.values()), problems


def _exists(name: str) -> bool:
    try:
        return os.path.lexists(name)
    except ValueError:  # it holds a NUL
        return False


def _walk(folder: str, sources: list[Source], problems: list[Problem]) -> None:
    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), f"cannot be read ({error.strerror})"))

    before = len(sources) + len(problems)
    for root, folders, files in os.walk(folder, onerror=unreadable):
        folders.sort()
        for path in (os.path.join(root, file) for file in sorted(files)):
            if _known(path):
                _add(path, sources, problems)
    if len(sources) + len(problems) == before:
        problems.append(Problem(folder, "holds no picture or video"))


def _add(path: str, sources: list[Source], problems: list[Problem]) -> None:
    if not path.isprintable() and not _is_text(path):
        problems.append(Problem(path, "its name is no UTF-8; rename it"))
    elif not regular(path):
        what = "is neither a file nor a folder" if os.path.exists(path) else "is a link that leads to no file"
        problems.append(Problem(path, what))
    else:
        name = f".{os.sep}{path}" if path[0] in FORMULA or CAMERA.fullmatch(path) else path
        sources.append(Source(name, _kind(path)))


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: one that the system could not decode holds half characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _known(path: str) -> bool:
    return Path(path).suffix.lower() in PICTURES | VIDEOS


def _kind(path: str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix in PICTURES:
        return "picture"
    if suffix in VIDEOS:
        return "video"
    try:
        with open(path, "rb") as file:
            return "picture" if _picture_signature(file.read(16)) else "video"
    except OSError:
        return "picture"


def _picture_signature(head: bytes) -> bool:
    starts = (b"\xff\xd8", b"\x89PNG", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"P5", b"P6")
    return head.startswith(starts) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def frames(
    source: Source, *, every: int = 1, start: int = 0, threads: int = 0, alive: Callable[[], None] = lambda: None
) -> Iterator[Frame]:
    """Frames of a source, in order; `index` counts decoded frames from 0 whatever `every` is.

    Args:
        every: take frames 0, every, 2 every, ...
        start: first frame to give, for resuming.
        threads: threads for decoding; 0 leaves it to FFmpeg.
        alive: called for each frame of a video that is decoded and not given.

    Raises:
        InputError: the source cannot be read, or ends in a damaged part (after the frames before it were given).
    """
    if source.kind == "picture":
        if start == 0:
            yield Frame(read_picture(source.name), 0, None, source.name)
    elif source.kind == "camera":
        yield from _camera(source, every)
    else:
        yield from _video(source, every, start, threads, alive)


def read_picture(path: str | Path) -> np.ndarray:
    """A picture as uint8 RGB [H, W, 3], upright by its EXIF orientation; the first one of an animation.

    Raises:
        InputError: the file is missing, empty, cut short, not a picture, or too large (`mien.media`).
    """
    data = _contents(path)
    if _cut_short(data):
        raise InputError(f"{path}: the picture is cut short; copy or save it again")
    size = picture_size(data)
    if size is not None:
        check_size(*size, f"{path}: the picture")
    try:
        image = None if size is None else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        text = getattr(error, "err", "") or "too large"
        raise InputError(f"{path}: the picture cannot be decoded ({text})") from error
    if image is None:
        raise InputError(f"{path}: not a picture that can be read (JPEG, PNG, WebP, BMP, TIFF, GIF)")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _check_regular(path: str | Path) -> None:
    """A pipe or device would be waited for, or never end."""
    if _exists(os.fspath(path)) and os.path.exists(path) and not regular(path):
        raise InputError(f"{path}: is not a file")


def _contents(path: str | Path) -> bytes:
    _check_regular(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not data:
        raise InputError(f"{path}: the file is empty")
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: larger than {MOST_BYTES >> 30} GiB, too large for a picture; save it again, smaller")
    return data


def _cut_short(data: bytes) -> bool:
    """A JPEG without its end marker after the last scan, or a PNG with a chunk that goes on beyond the file."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if not data.startswith(b"\x89PNG"):
        return False
    place, kind = 8, b""
    # the decoder takes as much memory as a chunk says that it is long, up to 2 GB
    while kind != b"IEND" and place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length
    return kind != b"IEND" or place > len(data)


def length(source: Source) -> tuple[int, float]:
    """Number of frames and seconds that a video's header states; 0 where it states none."""
    if source.kind != "video":
        return int(source.kind == "picture"), 0.0
    try:
        with open_media(source.name) as container:
            stream = container.streams.video[0]
            seconds = container.duration / av.time_base if container.duration else 0.0
            count = stream.frames or round(seconds * float(stream.average_rate or 0))
            return max(0, count), max(0.0, seconds)
    except (OSError, av.FFmpegError, IndexError, ValueError):
        return 0, 0.0


def _video(source: Source, every: int, start: int, threads: int, alive: Callable[[], None]) -> Iterator[Frame]:
    path, given = source.name, 0
    _check_regular(path)
    if os.path.exists(path) and not os.path.getsize(path):
        raise InputError(f"{path}: the file is empty")
    try:
        with open_media(path) as container:
            if not container.streams.video:
                raise InputError(f"{path}: has no picture track")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InputError(f"{path}: its picture track is of a kind that cannot be decoded; save it as H.264")
            check_size(stream.width or 0, stream.height or 0, f"{path}: the video's frame")
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            stream.thread_type = "AUTO"
            if threads:
                stream.codec_context.thread_count = threads
            decoder = _Decoder(container, stream)
            period = 1 / float(stream.average_rate or 25)
            for index, frame in enumerate(decoder.frames()):
                given += 1
                if index < start or index % every:
                    alive()
                    continue
                image = upright(frame.to_ndarray(format="rgb24"), frame.rotation)
                stamp = frame.time if frame.time is not None else index * period
                yield Frame(image, index, float(stamp), path)
            trouble = decoder.trouble()
    except (OSError, av.FFmpegError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        where = f"damaged after frame {given - 1}" if given else "not a video that can be read"
        raise InputError(f"{path}: {where} ({text})") from error
    if not given:
        raise InputError(f"{path}: the video has no frame" + (f" that can be decoded ({trouble})" if trouble else ""))
    if trouble:
        raise InputError(f"{path}: {trouble}; the other frames were analysed")


class _Decoder:
    """Decodes one picture track past damaged packets, and notices a file that ends before its time."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._bad, self._reached = 0, 0.0

    def frames(self) -> Iterator[Any]:
        # all tracks are read, for a sound track that goes on shows that the file is whole
        for packet in self._container.demux():
            if packet.pts is not None and packet.time_base:
                self._reached = max(self._reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream.index != self._stream.index:
                continue
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                self._bad += 1

    def trouble(self) -> str:
        """What was wrong, or an empty text."""
        begin = (self._container.start_time or 0) / av.time_base
        stated = (self._container.duration or 0) / av.time_base
        if self._bad:
            return f"damaged: {self._bad} pieces could not be decoded"
        if stated and self._reached - begin < 0.95 * stated - 0.5:
            return f"damaged: the file ends after {self._reached - begin:.1f} s of {stated:.1f} s"
        return ""


def upright(image: np.ndarray, rotation: int) -> np.ndarray:
    """Turn a decoded frame by the container's rotation (degrees, counter-clockwise), in quarter turns."""
    quarters = round(rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _camera(source: Source, every: int) -> Iterator[Frame]:
    number = int(source.name.partition(":")[2] or 0)
    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise InputError(f"{source.name}: no camera answers there; is it plugged in and free, or is it camera:1?")
        begin, index = time.monotonic(), 0
        while True:
            right, image = capture.read()
            if not right:
                raise InputError(f"{source.name}: the camera stopped after {index} frames")
            if index % every == 0:
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), index, time.monotonic() - begin, source.name)
            index += 1
    finally:
        capture.release()
