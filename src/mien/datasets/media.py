"""Media of a data set's samples, read when asked for: pictures, frames, clips, sound, features, text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np

from mien.errors import DataError
from mien.media import open_media

Box = tuple[float, float, float, float]
T = TypeVar("T")


class Media(Protocol):
    """N items of one modality."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any:
        """Read one item.

        Raises:
            DataError: its file is missing or damaged.
        """
        ...

    def take(self, rows: np.ndarray) -> Media:
        """The items of these rows, in this order."""
        ...

    def files(self, row: int) -> tuple[Path, ...]:
        """The files that an item is read from; none for one held in memory."""
        ...


def _pick(items: Sequence[T], rows: np.ndarray) -> tuple[T, ...]:
    return tuple(items[int(row)] for row in rows)


def read_picture(path: Path, grey: bool = False, box: Box | None = None) -> np.ndarray:
    """A picture file as uint8 [H, W] or RGB [H, W, 3], cut to `box` (x1, y1, x2, y2 in pixels) where one is given.

    Raises:
        DataError: the file is missing or no picture, or the box lies outside it.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path} is missing or not a picture")
    if box is not None:
        x1, y1, x2, y2 = (round(v) for v in box)
        whole = image.shape
        image = image[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)]
        if not image.size:
            raise DataError(f"{path} is {whole[1]}x{whole[0]}; the face box {box} lies outside it")
    return image if grey else np.ascontiguousarray(image[:, :, ::-1])


class Pictures:
    """One picture file a sample: uint8 [H, W] or RGB [H, W, 3]; sizes may differ.

    Args:
        boxes: the face in each picture (x1, y1, x2, y2), pixels; None where the picture is the face.
    """

    def __init__(self, paths: Sequence[Path], *, grey: bool = False, boxes: Sequence[Box | None] | None = None) -> None:
        self.paths = tuple(Path(p) for p in paths)
        self.grey = grey
        self.boxes = tuple(boxes) if boxes is not None else (None,) * len(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        return read_picture(self.paths[row], self.grey, self.boxes[row])

    def take(self, rows: np.ndarray) -> Pictures:
        return Pictures(_pick(self.paths, rows), grey=self.grey, boxes=_pick(self.boxes, rows))

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


class FrameFiles:
    """Several picture files a sample, in order of time: uint8 [T, H, W] or RGB [T, H, W, 3]."""

    def __init__(self, paths: Sequence[Sequence[Path]], *, grey: bool = False) -> None:
        self.paths = tuple(tuple(Path(p) for p in frames) for frames in paths)
        self.grey = grey

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        if not self.paths[row]:
            raise DataError(f"sample {row} has no frames")
        return _stack([read_picture(path, self.grey) for path in self.paths[row]], self.paths[row][0].parent)

    def take(self, rows: np.ndarray) -> FrameFiles:
        return FrameFiles(_pick(self.paths, rows), grey=self.grey)

    def files(self, row: int) -> tuple[Path, ...]:
        return self.paths[row]


def _stack(frames: list[np.ndarray], where: Path) -> np.ndarray:
    if len({frame.shape for frame in frames}) > 1:
        raise DataError(f"{where}: frames of different sizes in one sequence")
    return np.stack(frames)


def _decode(path: Path, last: int | None) -> Iterator[Any]:
    """Frames of a video up to number `last`.

    Raises:
        DataError: the file is missing or no video.
    """
    import av

    try:
        with open_media(path) as container:
            yield from itertools.islice(container.decode(video=0), None if last is None else last + 1)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise DataError(f"{path} is missing or not a readable video ({error})") from error


class Clips:
    """One video file a sample: RGB uint8 [T, H, W, 3].

    Args:
        most: read at most this many frames, spread evenly over the clip; 0 reads all.
        spans: (first, last) frame of each sample, both included, for several samples in one file; None means all.
    """

    def __init__(
        self, paths: Sequence[Path], *, most: int = 0, spans: Sequence[tuple[int, int] | None] | None = None
    ) -> None:
        self.paths = tuple(Path(p) for p in paths)
        self.most = most
        self.spans = tuple(spans) if spans is not None else (None,) * len(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.spread(row, self.most)[1]

    def spread(self, row: int, most: int) -> tuple[list[int], np.ndarray]:
        """At most so many frames (0: all), spread evenly over the clip: their numbers, counted from 0, and pictures."""
        path, span = self.paths[row], self.spans[row]
        first, last = span if span is not None else (0, None)
        wanted = None
        if most:
            # counted first, so that a long clip is never held whole
            length = sum(1 for _ in _decode(path, last)) - first
            wanted = set((first + np.linspace(0, length - 1, min(most, max(length, 1))).round()).astype(int))
        frames = {
            index - first: frame.to_ndarray(format="rgb24")
            for index, frame in enumerate(_decode(path, last))
            if index >= first and (wanted is None or index in wanted)
        }
        if not frames:
            raise DataError(f"{path} has no frames" + (f" in {span[0]}..{span[1]}" if span else ""))
        return list(frames), _stack(list(frames.values()), path)

    def take(self, rows: np.ndarray) -> Clips:
        return Clips(_pick(self.paths, rows), most=self.most, spans=_pick(self.spans, rows))

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


class Sounds:
    """The sound of one file a sample (audio or video), mono float32 [samples] in [-1, 1] at `rate` Hz."""

    def __init__(self, paths: Sequence[Path], *, rate: int = 16000) -> None:
        self.paths = tuple(Path(p) for p in paths)
        self.rate = rate

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        import av

        path = self.paths[row]
        try:
            with open_media(path) as container:
                resampler = av.AudioResampler(format="fltp", layout="mono", rate=self.rate)
                parts = [
                    part.to_ndarray()[0]
                    for frame in [*container.decode(audio=0), None]
                    for part in resampler.resample(frame)
                ]
        except (av.FFmpegError, IndexError, OSError) as error:
            raise DataError(f"{path} is missing or has no readable sound ({error})") from error
        if not parts:
            raise DataError(f"{path} has no sound")
        return np.concatenate(parts).astype(np.float32)

    def take(self, rows: np.ndarray) -> Sounds:
        return Sounds(_pick(self.paths, rows), rate=self.rate)

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


class Arrays:
    """Items held in memory: one array [N, ...], or N arrays of any shapes (features, signals), or N strings (text)."""

    def __init__(self, items: np.ndarray | Sequence[Any]) -> None:
        self.items = items if isinstance(items, np.ndarray) else tuple(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        return self.items[row]

    def take(self, rows: np.ndarray) -> Arrays:
        return Arrays(self.items[rows] if isinstance(self.items, np.ndarray) else _pick(self.items, rows))

    def files(self, row: int) -> tuple[Path, ...]:
        return ()
