"""What a worker checks before and while it decodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import av
from PIL import Image

from mien.errors import InputError
from mien.media import open_media
from mien.pipeline.sources import Source

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")


def confine(memory_bytes: int, max_pixels: int) -> None:
    """Bound what this process may take; call it before OpenCV is imported.

    Linux counts memory that is written to (RLIMIT_DATA); elsewhere the limits on pixels must do.
    """
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(max_pixels)
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    av.logging.set_level(None)
    # the header alone is read with Pillow, and its own warning would come too late
    Image.MAX_IMAGE_PIXELS = None
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the picture
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def too_large(width: int, height: int, max_pixels: int, what: str) -> str:
    """The sentence for too many pixels, or an empty text."""
    if width * height <= max_pixels:
        return ""
    return (
        f"{what} is {width} x {height} = {width * height} pixels, more than {max_pixels}; make it smaller, or ask "
        "whoever runs this server to raise --max-pixels"
    )


def too_long(seconds: float, max_s: float) -> str:
    """The sentence for too long a video, or an empty text."""
    if seconds <= max_s:
        return ""
    return (
        f"the video lasts {seconds:.1f} s, more than {max_s:g} s; cut it into pieces, or ask whoever runs this server "
        "to raise --max-duration"
    )


def check_picture(path: str | Path | BinaryIO, max_pixels: int) -> None:
    """Look at a picture's header.

    Raises:
        InputError: it is no picture, or has too many pixels.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
    except Exception as error:  # Pillow raises many kinds on damaged headers
        raise InputError("not a picture that can be read (JPEG, PNG, WebP, BMP, TIFF, GIF)") from error
    if trouble := too_large(width, height, max_pixels, "the picture"):
        raise InputError(trouble)


def check_video(path: str | Path, max_pixels: int, max_s: float) -> None:
    """Look at a video's header; what it does not state is checked while it is decoded.

    Raises:
        InputError: it is no video, has too many pixels or lasts too long.
    """
    try:
        with open_media(path) as container:
            streams = container.streams.video
            known = streams and streams[0].codec_context is not None
            width, height = (streams[0].width or 0, streams[0].height or 0) if known else (0, 0)
            seconds = container.duration / av.time_base if container.duration else 0.0
    except (OSError, av.FFmpegError, ValueError) as error:
        raise InputError("not a video that can be read") from error
    if not streams:
        raise InputError("has no picture track")
    if trouble := too_large(width, height, max_pixels, "the video's frame") or too_long(seconds, max_s):
        raise InputError(trouble)


def check(source: Source, max_pixels: int, max_s: float) -> None:
    """Look at the header of a picture or video.

    Raises:
        InputError: it cannot be read, or is too large or too long.
    """
    if source.kind == "picture":
        check_picture(source.name, max_pixels)
    else:
        check_video(source.name, max_pixels, max_s)
