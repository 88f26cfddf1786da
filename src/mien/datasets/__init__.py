"""Data sets: each a function from a folder to a `FaceSet`, and beside it `fake(root)` that writes a tiny tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.registry import Registry

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class FaceSet:
    """Still faces held in memory, all of one size.

    Attributes:
        pixels: uint8 [N, H, W] grey or [N, H, W, 3] RGB.
        targets: float32 [N, K], each row a distribution over `labels`.
        majority: int64 [N], the label that counts as true, or -1 for a row that evaluation leaves out.
        split: int64 [N], index into `SPLITS`.
        labels: K names in the order of `targets`.
        group: [N] person or sequence that must stay on one side of a split, or row numbers where none is known.
        extra: further arrays of N rows, such as a second label set.
    """

    pixels: np.ndarray
    targets: np.ndarray
    majority: np.ndarray
    split: np.ndarray
    labels: tuple[str, ...]
    group: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.pixels)
        arrays = {"targets": self.targets, "majority": self.majority, "split": self.split, "group": self.group}
        for name, array in {**arrays, **self.extra}.items():
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
        )

    def part(self, split: str) -> FaceSet:
        """The rows of one split: `train`, `val` or `test`."""
        return self[self.split == SPLITS.index(split)]


DATASETS: Registry[FaceSet] = Registry("dataset", "mien.datasets")

FAKES: dict[str, Callable[..., Any]] = {}
"""name -> fake(root): writes a tiny tree in the data set's own layout."""
