"""Opening of media that anybody may have made: what is opened at all, and how large a thing may say that it is."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from mien.errors import InputError

MOST_PIXELS = 250_000_000
"""Largest picture or frame; the largest sensors give 150 million, and one of 250 million takes 0.75 GB."""
MOST_BYTES = 2**30
"""Largest picture file."""
# of moving pictures and sound; none that names other files or addresses (playlists, edit lists, series of images)
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,obu,ivf,asf,flv,live_flv,ogg,gif,"
    "mjpeg,dv,mxf,nut,rm,wav,w64,mp3,aac,flac,amr,aiff,au,caf"
)
# tags that are no UTF-8; from PyAV 19 on they are kept as they are without being asked
_BROKEN_TEXT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xDA)))


def open_media(path: str | Path) -> InputContainer:
    """Open a container for reading: local files only, and only kinds that hold their media themselves.

    Raises:
        OSError, av.FFmpegError, ValueError: as PyAV raises them.
    """
    # a name such as `http:...` or `concat:...` is a file's name here, and nothing else
    container: InputContainer = av.open(
        f"file:{os.fspath(path)}",
        options={"protocol_whitelist": "file", "format_whitelist": CONTAINERS},
        **_BROKEN_TEXT,
    )
    return container
    return container


def regular(path: str | Path) -> bool:
    """Whether this is a file, also through a link: a pipe or device might never end."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def check_size(width: int, height: int, what: str) -> None:
    """Refuse what takes too much memory.

    Raises:
        InputError: more pixels than `MOST_PIXELS`.
    """
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{what} has {width} x {height} pixels by its header, more than {MOST_PIXELS // 10**6} million; "
            "make it smaller"
        )


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a JPEG, PNG, WebP, BMP, TIFF, GIF, PGM or PPM states; None for other kinds.

    A header that is cut short or contradicts itself gives (0, 0): the decoder says what is wrong with it.

    >>> picture_size(b"GIF89a" + bytes([2, 1, 3, 0]))
    (258, 3)
    """
    for signature, read in _KINDS:
        if data.startswith(signature):
            try:
                width, height = read(data)
            except (struct.error, IndexError, ValueError):
                return 0, 0
            return abs(width), abs(height)
    return None


def _png(data: bytes) -> Sequence[int]:
    return struct.unpack_from(">II", data, 16)


def _gif(data: bytes) -> Sequence[int]:
    return struct.unpack_from("<HH", data, 6)


def _bmp(data: bytes) -> Sequence[int]:
    old = struct.unpack_from("<I", data, 14)[0] == 12
    return struct.unpack_from("<HH" if old else "<ii", data, 18)


def _jpeg(data: bytes) -> Sequence[int]:
    """The largest of the frame headers before the first scan."""
    place, largest = 2, (0, 0)
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            place += 1
            continue
        kind = data[place + 1]
        if kind == 0xFF or kind in _JPEG_BARE:
            place += 1 if kind == 0xFF else 2
            continue
        if kind in (0xDA, 0x00):
            break
        if kind in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            largest = max(largest, (width, height), key=lambda size: size[0] * size[1])
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    return largest


def _webp(data: bytes) -> Sequence[int]:
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        raise ValueError(kind)
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _tiff(data: bytes) -> Sequence[int]:
    """The first directory's width (256) and height (257); of BigTIFF too."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    start = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)[0]
    count = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, start)[0]
    size = {256: 0, 257: 0}
    for entry in range(min(count, 4096)):
        place = start + (8 + 20 * entry if big else 2 + 12 * entry)
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        if tag in size:
            form = {3: "H", 16: "Q"}.get(kind, "I")
            size[tag] = struct.unpack_from(order + form, data, place + (12 if big else 8))[0]
    return size[256], size[257]


def _pnm(data: bytes) -> Sequence[int]:
    lines = (line.partition(b"#")[0] for line in data[2:1024].split(b"\n"))
    width, height = b" ".join(lines).split()[:2]
    return int(width), int(height)


_KINDS = (
    (b"\xff\xd8", _jpeg),
    (b"\x89PNG", _png),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    (b"RIFF", _webp),
    *((signature, _tiff) for signature in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *((b"P%d" % number, _pnm) for number in (2, 3, 5, 6)),
)
