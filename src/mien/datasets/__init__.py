"""Data sets: each a function from a folder to an `Index`, and beside it `fake(root)` that writes a tiny tree."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.media import Media
from mien.errors import DataError
from mien.registry import Registry

SPLITS = ("train", "val", "test")
NO_SPLIT = -1
"""`Index.split` of a sample that no official split names."""


@dataclass(frozen=True)
class Index:
    """What a data set holds, one row a sample; media are read only when a row is asked for.

    Attributes:
        labels: K names in the order of `targets`.
        targets: float32 [N, K], each row a distribution over `labels`, or zeros for a sample without a category.
        majority: int64 [N], the label that counts as true, or -1 for a sample that evaluation leaves out.
        split: int64 [N], index into `SPLITS`, or `NO_SPLIT` where the authors publish none (make one by a protocol).
        subject: str [N], the person; "" where unknown. Equal strings are one person.
        media: modality -> what to read: `face` (a still), `frames`, `flow`, `depth`, `audio`, `eeg`, `text`, ...
        extra: further arrays of N rows, such as `valence`, `votes` or `sequence` (samples that must stay together).
    """

    labels: tuple[str, ...]
    targets: np.ndarray
    majority: np.ndarray
    split: np.ndarray
    subject: np.ndarray
    media: Mapping[str, Media]
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.majority)
        arrays: dict[str, Any] = {"targets": self.targets, "split": self.split, "subject": self.subject}
        for name, array in {**arrays, **self.extra, **self.media}.items():
            if len(array) != rows:
                raise ValueError(f"{name} has {len(array)} rows, majority has {rows}")
        if self.targets.shape[1] != len(self.labels):
            raise ValueError(f"targets has {self.targets.shape[1]} columns for {len(self.labels)} labels")
        if not self.media:
            raise ValueError("an index needs at least one modality")

    def __len__(self) -> int:
        return len(self.majority)

    def __getitem__(self, rows: np.ndarray) -> Index:
        """The samples that a mask or index array names."""
        rows = np.arange(len(self))[rows]
        return replace(
            self,
            targets=self.targets[rows],
            majority=self.majority[rows],
            split=self.split[rows],
            subject=self.subject[rows],
            media={name: media.take(rows) for name, media in self.media.items()},
            extra={name: array[rows] for name, array in self.extra.items()},
        )

    def part(self, split: str) -> Index:
        """The samples of one split: `train`, `val` or `test`."""
        return self[self.split == SPLITS.index(split)]

    @property
    def group(self) -> np.ndarray:
        """What must stay on one side of a split, str [N]: the person, else the sequence, else the sample itself."""
        own = self.extra.get("sequence", np.arange(len(self))).astype(str)
        return np.where(self.subject != "", self.subject, np.char.add("#", own))


def one_hot(names: list[str] | tuple[str, ...], labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Targets [N, K] and majority [N] of label names; a name outside `labels` gets zeros and -1."""
    place = {name: k for k, name in enumerate(labels)}
    majority = np.array([place.get(name, -1) for name in names], np.int64)
    targets = np.zeros((len(names), len(labels)), np.float32)
    targets[majority >= 0, majority[majority >= 0]] = 1
    return targets, majority


class DataSets(Registry[Index]):
    """The table of data sets: what no reader foresees of a damaged file is a DataError too."""

    def create(self, name: str, **arguments: Any) -> Index:
        """Read a data set.

        Raises:
            UnknownName: there is no such data set.
            DataError: it cannot be read.
        """
        try:
            return super().create(name, **arguments)
        except UnicodeDecodeError as error:
            text = f"a file of its annotations is damaged or no UTF-8 ({error})"
        except (csv.Error, OSError, LookupError) as error:
            if isinstance(error, IndexError | KeyError):
                raise
            text = f"a file of its annotations cannot be read ({error})"
        raise DataError(f"{arguments.get('root', name)}: {text}; fetch it again")


DATASETS = DataSets("dataset", "mien.datasets")

FAKES: dict[str, Callable[..., Any]] = {}
"""name -> fake(root): writes a tiny tree in the data set's own layout."""


def find_index(dataset: str, root: Path) -> Index:
    """The data set in `root` itself or in one of the folders directly below it.

    Raises:
        DataError: it is in none of them.
    """
    try:
        return DATASETS.create(dataset, root=root)
    except DataError as error:
        for folder in sorted(path for path in Path(root).glob("*") if path.is_dir()):
            try:
                return DATASETS.create(dataset, root=folder)
            except DataError:
                continue
        raise error
