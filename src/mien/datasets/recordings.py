"""What the readers of recorded clips share: finding files, reading tables, frames in folders, tiny clips for fakes."""

from __future__ import annotations

import csv
import re
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.media import read_picture
from mien.errors import DataError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
BITEXACT = 1 << 23  # FFmpeg's AV_CODEC_FLAG_BITEXACT: the same bytes each time


def find(root: Path, patterns: Sequence[str], expected: str) -> list[Path]:
    """Files or folders of the first pattern that matches any, in order of names.

    Args:
        patterns: globs below `root`, the nearest first, so that a copy unpacked into itself is not read twice.
        expected: what the folder should hold, for the error.

    Raises:
        DataError: no pattern matches.
    """
    for pattern in patterns:
        paths = sorted(path for path in root.glob(pattern) if not path.name.startswith("."))
        if paths:
            return paths
    raise DataError(f"{root} holds no {expected}" if root.is_dir() else f"{root} is no folder; expected {expected}")


def match(path: Path, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
    """The parts of a file name.

    Raises:
        DataError: the name has another form.
    """
    found = pattern.fullmatch(path.stem)
    if not found:
        raise DataError(f"{path} is not named {expected}; move it out of the data set's folder")
    return found


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a csv file with a header, each with its line number.

    Raises:
        DataError: a column is missing, or a row is too short or not text.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}, line 1: no column {', '.join(missing)}; expected {', '.join(columns)}")
            for row in reader:
                if any(row[name] is None for name in columns):
                    raise DataError(f"{path}, line {reader.line_num}: expected values for {', '.join(columns)}")
                yield reader.line_num, row
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} is not a csv file in UTF-8 ({error})") from error


def _by_number(path: Path) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)], path.name


class FrameFolders:
    """One folder of numbered pictures a sample: uint8 [T, H, W] or RGB [T, H, W, 3]; listed only when read.

    Args:
        most: read at most this many frames, spread evenly; 0 reads all.
    """

    def __init__(self, paths: Sequence[Path], *, grey: bool = False, most: int = 0) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.grey = grey
        self.most = most

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        frames = [read_picture(path, self.grey) for path in spread(self.files(row), self.most)]
        if len({frame.shape for frame in frames}) > 1:
            raise DataError(f"{self.paths[row]}: frames of different sizes in one sequence")
        return np.stack(frames)

    def take(self, rows: np.ndarray) -> FrameFolders:
        return FrameFolders([self.paths[int(row)] for row in rows], grey=self.grey, most=self.most)

    def files(self, row: int) -> tuple[Path, ...]:
        return numbered(self.paths[row], PICTURES)


def numbered(folder: Path, endings: Sequence[str]) -> tuple[Path, ...]:
    """Files of a folder in the order of the numbers in their names.

    Raises:
        DataError: there are none.
    """
    inside = folder.iterdir() if folder.is_dir() else ()
    paths = [path for path in inside if path.suffix.lower() in endings and not path.name.startswith(".")]
    if not paths:
        raise DataError(f"{folder} is missing or holds no {' or '.join(endings)}")
    return tuple(sorted(paths, key=_by_number))


def spread(paths: Sequence[Path], most: int) -> Sequence[Path]:
    """At most `most` of the files, evenly over all; 0 keeps all.

    >>> [str(p) for p in spread([Path("a"), Path("b"), Path("c"), Path("d")], 2)]
    ['a', 'd']
    """
    if not most or len(paths) <= most:
        return paths
    return [paths[i] for i in np.linspace(0, len(paths) - 1, most).round().astype(int)]


def write_clip(
    path: Path, random: np.random.Generator, codec: str = "mpeg4", *, frames: int = 5, sound: bool = True
) -> None:
    """Write a tiny clip for a fake, 32x24 at 25 frames/s, plain colours and hiss; the container follows the name."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"fflags": "+bitexact"} | ({"reserve_index_space": "64"} if path.suffix == ".avi" else {})
    with av.open(str(path), "w", options=options) as container:
        video: Any = container.add_stream(codec, rate=25, options={"threads": "1"})
        video.width, video.height, video.pix_fmt = 32, 24, "yuv420p"
        rate = 11025 if path.suffix == ".flv" else 16000  # FLV knows few rates
        voice: Any = container.add_stream("pcm_s16le", rate) if sound else None
        for stream in (video, voice) if sound else (video,):
            stream.codec_context.flags |= BITEXACT
        for index in range(frames):
            colour = random.integers(0, 255, (1, 1, 3), dtype=np.uint8)
            picture = av.VideoFrame.from_ndarray(np.tile(colour, (24, 32, 1)), format="rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound:
            samples = random.integers(-8000, 8000, (1, frames * rate // 25)).astype(np.int16)
            piece = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            piece.sample_rate = rate
            container.mux(voice.encode(piece))
            container.mux(voice.encode(None))


def write_sound(path: Path, random: np.random.Generator, seconds: float = 0.1) -> None:
    """Write a tiny wave file of noise for a fake, mono 16 bit at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(random.integers(-8000, 8000, int(16000 * seconds)).astype("<i2").tobytes())
