"""The sound of a video in blocks of equal length that overlap, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from mien.errors import InputError
from mien.media import open_media

RATE = 16000
GAP_S = 0.05
"""Pieces whose time stamps lie further apart than this have silence between them."""
LONGEST_GAP_S = 3600.0
"""A longer gap is an error of the time stamps."""
SILENCE_S = 10.0


class Block(NamedTuple):
    """A stretch of sound: when its first sample is heard, seconds of the video's clock, and float32 [samples]."""

    start_s: float
    samples: np.ndarray


def has_sound(path: str | Path) -> bool:
    """Whether a file has a sound track; False also where it cannot be opened."""
    try:
        with open_media(path) as container:
            return bool(container.streams.audio)
    except (av.FFmpegError, OSError, ValueError):
        return False


def blocks(path: str | Path, seconds: float = 30.0, overlap: float = 3.0) -> Iterator[Block]:
    """The first sound track, mono at 16 kHz, in blocks; each begins with the last `overlap` seconds of the one before.

    Times are those of the container, as the pictures have them, so that sound and picture fall together. Gaps in the
    track are filled with silence, damaged pieces are passed over. The last block may be shorter.

    Raises:
        InputError: the file cannot be opened, or has no sound.
    """
    size, kept = round(seconds * RATE), round(overlap * RATE)
    held, start_s = np.zeros(0, np.float32), 0.0
    given = False
    for at, piece in _pieces(path):
        if not given and not len(held):
            start_s = at
        held = np.concatenate([held, piece])
        while len(held) >= size:
            yield Block(start_s, held[:size])
            given = True
            start_s += (size - kept) / RATE
            held = held[size - kept :]
    if len(held):
        yield Block(start_s, held)
    elif not given:
        raise InputError(f"{path}: the sound track holds no sound")


def _pieces(path: str | Path) -> Iterator[tuple[float, np.ndarray]]:
    """Decoded pieces with their times; silence where there is a gap."""
    try:
        with open_media(path) as container:
            if not container.streams.audio:
                raise InputError(f"{path}: has no sound track")
            if container.streams.audio[0].codec_context is None:
                raise InputError(f"{path}: its sound track is of a kind that cannot be decoded; save it as AAC")
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
            clock: float | None = None
            for frame in _frames(container):
                stamp = frame.time if frame is not None and frame.time is not None else clock or 0.0
                if clock is None:
                    clock = stamp
                gap = stamp - clock if frame is not None else 0.0
                while GAP_S < gap < LONGEST_GAP_S:
                    piece = min(gap, SILENCE_S)
                    yield clock, np.zeros(round(piece * RATE), np.float32)
                    clock, gap = clock + piece, gap - piece
                for part in resampler.resample(frame):
                    samples = part.to_ndarray()[0].astype(np.float32)
                    yield clock, samples
                    clock += len(samples) / RATE
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: its sound cannot be read ({error})") from error


def _frames(container: Any) -> Iterator[Any]:
    for packet in container.demux(audio=0):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue
    yield None  # empties the resampler
