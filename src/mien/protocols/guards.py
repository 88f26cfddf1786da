"""Guards: no person and no picture on both sides of a fold; and a report where an official split has such leaks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from mien.errors import LeakError
from mien.protocols.folds import Fold


class Items(Protocol):
    """N items that can be read one by one, such as the media of an index."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...


@dataclass(frozen=True)
class Leak:
    """Test rows of a fold that training has seen.

    Attributes:
        fold: name of the fold.
        what: `subject` or `copy`.
        test: the test rows with a counterpart in train or val, rising.
        seen: for each of them, the first train or val row that is its counterpart.
        tested: number of test rows in all.
    """

    fold: str
    what: str
    test: np.ndarray
    seen: np.ndarray
    tested: int

    def __len__(self) -> int:
        return len(self.test)

    def __str__(self) -> str:
        kind = "an exact copy" if self.what == "copy" else "their subject"
        return f"{self.fold}: {len(self)} of {self.tested} test rows have {kind} in training or selection"

    def mask(self, fold: Fold) -> np.ndarray:
        """Which rows of `fold.test` have a counterpart, bool: for `mien.metrics.both_ways`."""
        return np.isin(fold.test, self.test)


def fingerprints(media: Items) -> np.ndarray:
    """md5 of each item's decoded values, str [N]: equal strings are identical items, whatever their files are called.

    Shape and kind of number count too, so that a grey picture never equals one in colour.

    >>> prints = fingerprints(np.array([[1, 2], [1, 2], [3, 4]], np.uint8))
    >>> prints[0] == prints[1], prints[0] == prints[2]
    (True, False)
    """
    return np.array([fingerprint(media[row]) for row in range(len(media))], "<U32")


def fingerprint(item: Any) -> str:
    """md5 of one item's decoded values; see `fingerprints`."""
    if isinstance(item, str):
        return hashlib.md5(item.encode()).hexdigest()
    array = np.ascontiguousarray(item)
    return hashlib.md5(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def tie_copies(group: np.ndarray, prints: np.ndarray) -> np.ndarray:
    """Groups [N] in which those that share an identical item are one, so that folds by them hold no copies.

    Each takes the name of the first of its groups in order of names.

    >>> tie_copies(np.array(["a", "b", "c"]), np.array(["x", "y", "x"])).tolist()
    ['a', 'b', 'a']
    """
    names, of_row = np.unique(np.asarray(group), return_inverse=True)
    _, item = np.unique(np.asarray(prints), return_inverse=True)
    root = np.arange(len(names))
    while True:
        least = np.full(int(item.max(initial=-1)) + 1, len(names))
        np.minimum.at(least, item, root[of_row])
        lower = root.copy()
        np.minimum.at(lower, of_row, least[item])
        if (lower == root).all():
            return np.asarray(names[root[of_row]])
        root = lower


def check_subjects(fold: Fold, group: np.ndarray) -> Leak:
    """No person, or other group, on two sides of a fold; "" stands for unknown and is passed over.

    Returns:
        What an official split leaks; empty for any other fold.

    Raises:
        LeakError: a fold that is not official has a group on two sides.
    """
    cure = "fold by the person, with kfold or loso over Index.group"
    return _check(fold, np.asarray(group).astype(str), "subject", cure)


def check_copies(fold: Fold, prints: np.ndarray, test_prints: np.ndarray | None = None) -> Leak:
    """No identical item on two sides of a fold.

    Args:
        prints: str [N], see `fingerprints`.
        test_prints: str [M], those of the test rows' own data set, where a fold of `cross` tests on another one.

    Returns:
        What an official split leaks, to give each figure with and without those rows; empty for any other fold.

    Raises:
        LeakError: a fold that is not official has an item on two sides.
    """
    keys = np.asarray(prints).astype(str)
    if test_prints is None:
        return _check(fold, keys, "copy", "fold by tie_copies(group, fingerprints), which keeps copies together")
    own = np.asarray(test_prints).astype(str)
    moved = replace(fold, test=fold.test + len(keys))
    cure = (
        f"leave these rows out of one of the two sets; those from {len(keys)} on are of the test set, less {len(keys)}"
    )
    leak = _check(moved, np.concatenate([keys, own]), "copy", cure)
    return replace(leak, test=leak.test - len(keys))


def _check(fold: Fold, keys: np.ndarray, what: str, cure: str) -> Leak:
    known = np.concatenate([fold.train, fold.val])
    known = known[keys[known] != ""]
    held, first = np.unique(keys[known], return_index=True)
    leaked = np.isin(keys[fold.test], held)
    test = fold.test[leaked]
    leak = Leak(fold.name, what, test, known[first[np.searchsorted(held, keys[test])]], len(fold.test))
    if fold.official:
        return leak
    between = np.intersect1d(keys[fold.train], keys[fold.val])
    for names, where in (
        (np.unique(keys[test]), "in training or selection and in the test"),
        (between, "in training and in selection"),
    ):
        names = names[names != ""]
        if len(names):
            raise LeakError(_complaint(fold, keys, names, what, where, cure))
    return leak


def _complaint(fold: Fold, keys: np.ndarray, names: np.ndarray, what: str, where: str, cure: str) -> str:
    """One sentence with up to five offenders and the cure; copies are named by their rows."""
    offenders = [str(name) for name in names[:5]]
    if what == "copy":
        rows = np.sort(np.concatenate([fold.train, fold.val, fold.test]))
        offenders = ["rows " + " = ".join(map(str, rows[keys[rows] == name][:3])) for name in names[:5]]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    noun = "identical items" if what == "copy" else "subjects"
    return f"{fold.name}: {len(names)} {noun} stand {where}: {', '.join(offenders)}{more}; {cure}"
