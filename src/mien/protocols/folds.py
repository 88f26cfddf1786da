"""Official splits, k folds by group, leave one subject out, and one set against another.

Every protocol gives folds of row numbers. Test rows are never looked at to choose anything: the rows for selection are
cut off the training side, whole groups of it. Rows without a label (majority -1) take part, for they may have soft
targets; scoring passes over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.labels import Labels, map_indices

TRAIN, VAL, TEST = 0, 1, 2
"""Values of `Index.split`; -1 stands for rows without one."""


@dataclass(frozen=True)
class Fold:
    """One way to train and test, as row numbers in rising order.

    Attributes:
        name: such as `fold 3 of 10` or the subject left out.
        train, val, test: int64; `val` may be empty, for training of a fixed length.
        official: the authors' own split, in which leaks are reported and not refused.
    """

    name: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    official: bool = False


def official(
    split: np.ndarray, group: np.ndarray, majority: np.ndarray, *, val: float = 0.1, seed: int = 0
) -> list[Fold]:
    """The authors' split, as a list of one fold; where it has no val rows, some are cut off its training rows.

    Args:
        split: [N], 0 train, 1 val, 2 test, -1 for rows that stay out.
        group: [N], what must stay on one side when val rows are cut off.
        majority: [N], labels, to balance the val rows by; -1 for none.
        val: share of the training rows to select by, where the authors name none; 0 takes none.

    Raises:
        DataError: the data set has no official train and test rows.
    """
    _same_length(split=split, group=group, majority=majority)
    train, chosen, test = (np.flatnonzero(split == side) for side in (TRAIN, VAL, TEST))
    if not len(train) or not len(test):
        raise DataError(
            f"this data set has {len(train)} official training rows and {len(test)} test rows; use kfold or loso"
        )
    if not len(chosen):
        train, chosen = _cut_off(train, group, majority, val, seed)
    return [Fold("official", train, chosen, test, official=True)]


def kfold(
    group: np.ndarray, majority: np.ndarray, k: int = 10, seed: int = 0, *, val: float = 0.1, repeats: int = 1
) -> list[Fold]:
    """k folds by group, balanced by class as far as whole groups allow; each row is tested once per repeat.

    Args:
        group: [N], what must stay on one side.
        majority: [N], labels; -1 for none.
        val: share of each training side to select by; 0 takes none.
        repeats: times to fold anew, with seeds seed, seed + 1, ...

    Raises:
        DataError: k is below 2, there are fewer groups than folds, or a training side of one group is to spare val
            rows.
    """
    _same_length(group=group, majority=majority)
    groups = len(np.unique(group))
    if k < 2 or k > groups:
        raise DataError(f"{k} folds of {groups} groups: k must lie in 2..{groups}" if groups > 1 else _lone(groups))
    folds = []
    for again in range(repeats):
        place = _deal(group, majority, k, seed + again)
        for i in range(k):
            train, chosen = _cut_off(np.flatnonzero(place != i), group, majority, val, seed + again)
            name = f"fold {i + 1} of {k}" + (f", repeat {again + 1}" if repeats > 1 else "")
            folds.append(Fold(name, train, chosen, np.flatnonzero(place == i)))
    return folds


def loso(subject: np.ndarray, majority: np.ndarray, *, val: float = 0.0, seed: int = 0) -> list[Fold]:
    """Leave one subject out: a fold for each person, in order of their names.

    Args:
        subject: str [N], none empty.
        majority: [N], labels; -1 for none.
        val: share of each training side to select by, by person; 0 for training of a fixed length, as is usual here.

    Raises:
        DataError: a row's subject is unknown, or there is only one.
    """
    _same_length(subject=subject, majority=majority)
    subject = np.asarray(subject).astype(str)
    unknown = int((subject == "").sum())
    if unknown:
        raise DataError(f"{unknown} of {len(subject)} rows have no known subject; leave them out or use kfold")
    people = np.unique(subject)
    if len(people) < 2:
        raise DataError(_lone(len(people)))
    folds = []
    for name in people:
        train, chosen = _cut_off(np.flatnonzero(subject != name), subject, majority, val, seed)
        folds.append(Fold(str(name), train, chosen, np.flatnonzero(subject == name)))
    return folds


def cross(
    source: Labels,
    majority: np.ndarray,
    group: np.ndarray,
    target: Labels,
    target_majority: np.ndarray,
    *,
    val: float = 0.1,
    seed: int = 0,
) -> tuple[Fold, np.ndarray]:
    """Train on one data set, test on another: no row of the second is seen before the test.

    Args:
        source, target: label sets of the two, by name or as labels; a map between them must be stated in `mien.labels`.
        majority, group: of the training set [N].
        target_majority: of the test set [M].

    Returns:
        One fold, whose `train` and `val` are rows of the first set and `test` rows of the second: those whose label
        has a counterpart. And the labels of all M rows as places in `source`, -1 where there is none.

    Raises:
        DataError: no map is stated, or no row is left.
    """
    _same_length(majority=majority, group=group)
    truth = map_indices(np.asarray(target_majority), target, source)
    test = np.flatnonzero(truth >= 0)
    if not len(majority) or not len(test):
        raise DataError(f"{len(majority)} rows to train on and {len(test)} rows to test on whose label is known there")
    train, chosen = _cut_off(np.arange(len(majority)), group, majority, val, seed)
    return Fold("cross", train, chosen, test), truth


def _lone(groups: int) -> str:
    return f"at least 2 subjects or groups are needed, for none may stand on two sides; found {groups}"


def _same_length(**arrays: np.ndarray | Sequence[str]) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("different numbers of rows: " + ", ".join(f"{k} {n}" for k, n in lengths.items()))


def _deal(group: np.ndarray, majority: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Fold of each row [N]: groups are dealt largest first, each to the fold that it leaves most even.

    Evenness is the sum over classes of squared shares of that class, and of all rows; equal groups come in drawn order.
    """
    names, place = np.unique(group, return_inverse=True)
    classes = max(int(np.max(majority, initial=-1)) + 1, 0)
    counts = np.zeros((len(names), classes + 1))
    np.add.at(counts, (place, np.where(majority >= 0, majority, classes)), 1)
    counts[:, -1] = np.bincount(place)
    counts /= np.maximum(counts.sum(0), 1)
    drawn = np.random.default_rng(seed).permutation(len(names))
    order = drawn[np.argsort(-counts[drawn, -1], kind="stable")]
    held = np.zeros((k, classes + 1))
    fold = np.zeros(len(names), np.int64)
    for g in order:
        # the group's own square is the same for every fold, so the cross term decides; an empty fold has none
        fold[g] = (held @ counts[g]).argmin()
        held[fold[g]] += counts[g]
    return np.asarray(fold[place])


def _cut_off(
    rows: np.ndarray, group: np.ndarray, majority: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Part training rows into those to train and those to select by, by group."""
    if not 0 <= share < 1:
        raise DataError(f"a share of {share} for selection; it must lie in [0, 1)")
    if not share:
        return rows, np.zeros(0, np.int64)
    own, label = np.asarray(group)[rows], np.asarray(majority)[rows]
    groups = len(np.unique(own))
    if groups < 2:
        raise DataError(f"a training side of {groups} group cannot spare rows to select by; set val to 0")
    parts = min(max(round(1 / share), 2), groups)
    place = _deal(own, label, parts, seed)
    sizes = np.bincount(place, minlength=parts)
    chosen = place == np.abs(sizes - share * len(rows)).argmin()
    return rows[~chosen], rows[chosen]
