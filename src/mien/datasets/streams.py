"""What samples show in several modalities, in memory: features over time, maps or pictures, and what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError


@dataclass(frozen=True)
class Streams:
    """N samples in each of several modalities, indexable by rows.

    Attributes:
        items: modality -> features over time float32 [N, T, D], maps float32 [N, C, S, S], pictures uint8 [N, S, S] or
            [N, S, S, 3], or clips uint8 [N, T, S, S]. What is missing is 0.
        masks: modality -> what is there, bool [N, T]; of maps and pictures [N, 1].
    """

    items: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        if not self.items or self.items.keys() != self.masks.keys():
            raise ValueError(f"modalities {sorted(self.items)} with masks of {sorted(self.masks)}; each needs both")
        rows = {name: len(array) for table in (self.items, self.masks) for name, array in table.items()}
        if len(set(rows.values())) > 1 or any(len(self.masks[m]) != len(self.items[m]) for m in self.items):
            raise ValueError(f"modalities of unequal length: {rows}")
        for name, mask in self.masks.items():
            if mask.shape[1] not in (1, self.items[name].shape[1]):
                raise ValueError(f"the mask of {name} has {mask.shape[1]} steps for {self.items[name].shape[1]}")

    def __len__(self) -> int:
        return len(next(iter(self.masks.values())))

    def __getitem__(self, rows: np.ndarray | slice) -> Streams:
        """The samples that a mask, an index array or a slice names."""
        return Streams(
            {name: array[rows] for name, array in self.items.items()},
            {name: array[rows] for name, array in self.masks.items()},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities, in the order of the recipe."""
        return tuple(self.items)

    @property
    def shapes(self) -> dict[str, list[int]]:
        """Shape of one sample as a network is given it: [T, D], [C, S, S], or [T, 1, S, S] of clips."""
        return {name: _shape(array) for name, array in self.items.items()}

    def without(self, *names: str) -> Streams:
        """The same with these modalities missing in every sample."""
        self._known(names)
        return Streams(
            {name: np.zeros_like(array) if name in names else array for name, array in self.items.items()},
            {name: np.zeros_like(array) if name in names else array for name, array in self.masks.items()},
        )

    def wrong(self, name: str, seed: int = 0) -> Streams:
        """The same with one modality taken from another sample: all rows moved along one random cycle, none stays."""
        self._known([name])
        other = exchanged(len(self), seed)
        items, masks = dict(self.items), dict(self.masks)
        items[name], masks[name] = items[name][other], masks[name][other]
        return Streams(items, masks)

    def _known(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.items]
        if unknown:
            raise DataError(f"no modality {', '.join(unknown)}; there are {', '.join(self.items)}")

    def prints(self) -> np.ndarray:
        """md5 of each sample over all modalities, str [N]: equal strings are identical samples."""
        arrays = [table[name] for name in self.items for table in (self.items, self.masks)]
        found = []
        for row in range(len(self)):
            digest = hashlib.md5()
            for array in arrays:
                digest.update(np.ascontiguousarray(array[row]).tobytes())
            found.append(digest.hexdigest())
        return np.array(found, "<U32")


def exchanged(rows: int, seed: int = 0) -> np.ndarray:
    """For each of N rows another one, along one random cycle: int64 [N]; of a single row itself.

    >>> bool((exchanged(5) == np.arange(5)).any()), sorted(exchanged(5).tolist())
    (False, [0, 1, 2, 3, 4])
    """
    order = np.random.default_rng(seed).permutation(rows)
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return other


def _shape(array: np.ndarray) -> list[int]:
    shape = list(array.shape[1:])
    if array.dtype != np.uint8:
        return shape
    if array.ndim == 4:
        return [3, *shape[:2]] if shape[-1] == 3 else [shape[0], 1, *shape[1:]]
    return [1, *shape]


def padded(found: Sequence[np.ndarray], longest: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of N samples, each [T_n, D], as one array float32 [N, T, D] and what is there, bool [N, T].

    A step with a number that is not finite is missing; a sample without steps is missing as a whole.

    >>> features, there = padded([np.ones((1, 2)), np.full((2, 2), np.nan), np.zeros((0, 2))])
    >>> features.shape, there.tolist()
    ((3, 2, 2), [[True, False], [False, False], [False, False]])

    Args:
        longest: of longer samples the middle is kept; 0 keeps all.

    Raises:
        DataError: the samples differ in D, or none has a step.
    """
    widths = {item.shape[1] for item in found if len(item)}
    if len(widths) != 1:
        what = f"features of {', '.join(map(str, sorted(widths)))} numbers a step" if widths else "no features at all"
        raise DataError(f"{what}; every sample must have the same. Name an extractor for what is no feature yet")
    steps = max(len(item) for item in found)
    steps = min(steps, longest) if longest else steps
    features = np.zeros((len(found), steps, widths.pop()), np.float32)
    there = np.zeros((len(found), steps), bool)
    for row, item in enumerate(found):
        first = max(0, (len(item) - steps) // 2)
        part = np.asarray(item[first : first + steps], np.float32)
        if len(part):
            good = np.isfinite(part).all(1)
            features[row, : len(part)][good] = part[good]
            there[row, : len(part)] = good
    return features, there
