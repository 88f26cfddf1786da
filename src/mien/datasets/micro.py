"""What the micro-expression data sets share: clips of numbered frames, coded with onset, apex and offset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.datasets import NO_SPLIT, Index, one_hot
from mien.datasets.media import FrameFiles
from mien.datasets.workbooks import integer, plain, read_table
from mien.errors import DataError

UNKNOWN = -1
"""An onset, apex or offset that the authors do not give."""

COLUMNS = ("Subject", "Filename", "Estimated Emotion")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True)
class Clip:
    """One coded clip; onset, apex and offset are the authors' own frame numbers."""

    subject: str
    name: str
    emotion: str
    onset: int
    apex: int
    offset: int
    frames: tuple[Path, ...]


def frame_number(path: Path) -> int:
    """The last whole number in a frame's name.

    >>> frame_number(Path("sub01/EP02_01f/reg_img46.jpg")), frame_number(Path("006_1_2/006_05562.jpg"))
    (46, 5562)
    """
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else UNKNOWN


def list_frames(folder: Path) -> list[Path]:
    """The frames of a clip in order of their numbers.

    Raises:
        DataError: the folder is missing or holds none.
    """
    paths = [path for path in folder.glob("*") if path.suffix.lower() in PICTURES] if folder.is_dir() else []
    if not paths:
        raise DataError(f"{folder} is missing or holds no frames; unpack the whole release")
    return sorted(paths, key=frame_number)


def read_clip(
    cells: Mapping[str, str], path: Path, row: int, subject: str, onset: str, apex: str, offset: str, frames: Path
) -> Clip:
    """A coded row with the frames between its onset and offset.

    A sheet's slips are met halfway: an apex that is no number is unknown, and where the offset does not lie after the
    onset, or the frames between are missing, the clip runs to its last frame.

    Raises:
        DataError: the onset is no number or the frames are missing.
    """
    table = dict(cells)
    first, last = integer(table, onset, path, row), integer(table, offset, path, row)
    peak = table.get(plain(apex), "")
    paths = list_frames(frames)
    inside = [frame for frame in paths if first <= frame_number(frame) <= last]
    inside = inside or [frame for frame in paths if frame_number(frame) >= first] or paths
    emotion = table[plain("Estimated Emotion")].lower()
    known = int(float(peak)) if re.fullmatch(r"\d+(\.0+)?", peak) else UNKNOWN
    return Clip(subject, frames.name, emotion, first, known, last, tuple(inside))


def read_clips(sheet: Path, folder: Path, subjects: str, onset: str, apex: str, offset: str) -> list[Clip]:
    """All rows of a coding sheet, with the frames in `folder/<subject>/<file name>`.

    Args:
        subjects: form of a subject's folder, such as `sub{:02d}`.
        onset, apex, offset: names of these columns.

    Raises:
        DataError: the sheet has no rows, or a row or its frames are malformed or missing.
    """
    clips = []
    for row, cells in read_table(sheet, (*COLUMNS, onset, apex, offset)):
        subject = subjects.format(integer(cells, "Subject", sheet, row))
        frames = folder / subject / cells["filename"]
        clips.append(read_clip(cells, sheet, row, subject, onset, apex, offset, frames))
    if not clips:
        raise DataError(f"{sheet} has no rows under its header")
    return clips


def make_index(clips: Sequence[Clip], classes: Mapping[str, str], labels: tuple[str, ...]) -> Index:
    """The clips whose emotion has a class, without an official split: leave one subject out.

    `extra` holds `onset`, `apex` and `offset` (the authors' frame numbers, -1 unknown), `apex_index` (which of `frames`
    the apex is, -1 unknown), `clip` (its name) and `emotion` (the authors' word).
    """
    clips = [clip for clip in clips if clip.emotion in classes]
    targets, majority = one_hot([classes[clip.emotion] for clip in clips], labels)
    places = [[frame_number(frame) for frame in clip.frames] for clip in clips]
    extra = {
        "onset": np.array([clip.onset for clip in clips], np.int64),
        "apex": np.array([clip.apex for clip in clips], np.int64),
        "offset": np.array([clip.offset for clip in clips], np.int64),
        "apex_index": np.array(
            [p.index(clip.apex) if clip.apex in p else UNKNOWN for clip, p in zip(clips, places, strict=True)], np.int64
        ),
        "clip": np.array([clip.name for clip in clips], str),
        "emotion": np.array([clip.emotion for clip in clips], str),
    }
    subject = np.array([clip.subject for clip in clips], str)
    frames = FrameFiles([clip.frames for clip in clips])
    return Index(labels, targets, majority, np.full(len(clips), NO_SPLIT), subject, {"frames": frames}, extra)
