"""Still faces of an index, read into memory for training and evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from mien.datasets import SPLITS, Index
from mien.datasets.media import Arrays
from mien.datasets.streams import Streams
from mien.errors import DataError


@dataclass(frozen=True)
class FaceSet:
    """Still faces held in memory, all of one size.

    Attributes:
        pixels: uint8 [N, H, W] grey or [N, H, W, 3] RGB; [N, 0] where `streams` holds what is shown.
        targets: float32 [N, K], each row a distribution over `labels`.
        majority: int64 [N], the label that counts as true, or -1 for a row that evaluation leaves out.
        split: int64 [N], index into `SPLITS`, or -1.
        labels: K names in the order of `targets`.
        group: [N] person or sequence that must stay on one side of a split, or the row where none is known.
        extra: further arrays of N rows, such as a second label set.
        streams: what the samples show in several modalities, in place of `pixels`.
    """

    pixels: np.ndarray
    targets: np.ndarray
    majority: np.ndarray
    split: np.ndarray
    labels: tuple[str, ...]
    group: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    streams: Streams | None = None

    def __post_init__(self) -> None:
        rows = len(self.pixels)
        arrays = {"targets": self.targets, "majority": self.majority, "split": self.split, "group": self.group}
        streams = {} if self.streams is None else {"streams": self.streams}
        columns: dict[str, Any] = {**arrays, **self.extra, **streams}
        for name, array in columns.items():
            if len(array) != rows:
                raise ValueError(f"{name} has {len(array)} rows, pixels has {rows}")
        if self.targets.shape[1] != len(self.labels):
            raise ValueError(f"targets has {self.targets.shape[1]} columns for {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: np.ndarray) -> FaceSet:
        """The rows that a mask or index array names."""
        extra = {name: array[rows] for name, array in self.extra.items()}
        return FaceSet(
            self.pixels[rows],
            self.targets[rows],
            self.majority[rows],
            self.split[rows],
            self.labels,
            self.group[rows],
            extra,
            None if self.streams is None else self.streams[rows],
        )

    @property
    def shown(self) -> np.ndarray | Streams:
        """What a network is given: the pixels, or the streams where there are some."""
        return self.pixels if self.streams is None else self.streams

    def part(self, split: str) -> FaceSet:
        """The rows of one split: `train`, `val` or `test`."""
        return self[self.split == SPLITS.index(split)]


def holds_clips(pixels: np.ndarray | Any) -> bool:
    """Whether an array is of grey clips [N, T, H, W] and not of faces [N, H, W] or [N, H, W, 3]."""
    return pixels.ndim == 4 and pixels.shape[3] != 3


def fit(image: np.ndarray, size: int) -> np.ndarray:
    """A picture stretched to [size, size]; shrinking averages pixels."""
    if image.shape[:2] == (size, size):
        return image
    smaller = min(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def load_faces(index: Index, size: int = 0, medium: str = "face") -> FaceSet:
    """Read the `face` (or another picture) of every sample.

    Args:
        size: side in pixels that faces are stretched to; 0 takes that of the first one.

    Raises:
        DataError: the data set has no stills, or a picture is missing or broken.
    """
    if medium not in index.media:
        wanted = "stills" if medium == "face" else f"pictures of {medium}"
        raise DataError(f"this data set has no {wanted} but {', '.join(index.media)}; choose a recipe for those")
    media = index.media[medium]
    if isinstance(media, Arrays) and isinstance(media.items, np.ndarray) and size in (0, media.items.shape[1]):
        pixels = media.items
    else:
        faces = []
        for row in range(len(index)):
            face = media[row]
            size = size or face.shape[0]
            faces.append(fit(face, size))
        if len({face.ndim for face in faces}) > 1:  # grey and colour files side by side
            faces = [face if face.ndim == 3 else np.repeat(face[:, :, None], 3, 2) for face in faces]
        pixels = np.stack(faces)
    return FaceSet(pixels, index.targets, index.majority, index.split, index.labels, index.group, index.extra)
