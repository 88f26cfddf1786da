"""Class-matched pairs of different people: a sample of one data set beside one of another that has the same label.

For where no recording of both at once is at hand: whoever speaks is not whoever is seen. Such pairs tell whether two
signals that err apart help each other; they say nothing of how one person's voice and face go together. Every figure on
them is one of class-matched pairs of different people, and is to be called that.

Layout: one folder that holds those of both data sets, in it or in folders directly below it (`DATA/ravdess`,
    `DATA/rafdb`).
Labels: those that both have.
Licence: the stricter of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, find_index, one_hot
from mien.errors import DataError
from mien.labels import BASIC7, EMODB7, MAHNOB9, RAVDESS8, SEED4
from mien.protocols.folds import _deal

SEED = 0


@dataclass(frozen=True)
class Pairing:
    """Which row of one index stands beside which of another.

    Attributes:
        labels: those that both have, in the order of the first.
        first, second: rows of the two, int64 [N].
        bundle: str [N], people of the first and people of the second who meet in no other bundle.
    """

    labels: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray
    bundle: np.ndarray


def pair(first: Index, second: Index, seed: int = SEED) -> Pairing:
    """Give every sample of `first` one of `second` with the same label.

    The people of both are dealt into as many bundles as the set with fewer people has, and pairs are drawn within a
    bundle only, so that folds by bundle part the people of both. Who stands alone in a bundle gives it the name.
    Within a bundle and class the rows of `second` are drawn without repetition until all have been drawn, then anew.

    Args:
        seed: of the dealing and the drawing.

    Raises:
        DataError: they have fewer than two labels in common, or no pair can be made.
    """
    labels = tuple(name for name in first.labels if name in second.labels)
    if len(labels) < 2:
        raise DataError(f"labels {', '.join(first.labels)} and {', '.join(second.labels)} share fewer than two")
    own, other = _classes(first, labels), _classes(second, labels)
    bundles = min(len(np.unique(index.group[kind >= 0])) for index, kind in ((first, own), (second, other)))
    if not bundles:
        raise DataError("one of the two data sets has no sample of a label that both have")
    mine, names = _bundles(first, own, bundles, seed)
    theirs, _ = _bundles(second, other, bundles, seed + 1)
    random = np.random.default_rng(seed)
    rows = np.flatnonzero(own >= 0)
    partner = np.full(len(own), -1)
    for bundle in range(bundles):
        for kind in range(len(labels)):
            left = rows[(mine[rows] == bundle) & (own[rows] == kind)]
            right = np.flatnonzero((theirs == bundle) & (other == kind))
            if len(right):
                rounds = [random.permutation(right) for _ in range(-(-len(left) // len(right)))]
                partner[left] = np.concatenate([*rounds, right[:0]])[: len(left)]
    rows = rows[partner[rows] >= 0]
    if not len(rows):
        raise DataError("no person of one data set shares a label with one of the other; no pair can be made")
    return Pairing(labels, rows, partner[rows], names[mine[rows]])


def _classes(index: Index, labels: Sequence[str]) -> np.ndarray:
    """Place in `labels` of each row's label, int64 [N]; -1 where it is none of them."""
    place = np.array([*(labels.index(name) if name in labels else -1 for name in index.labels), -1], np.int64)
    return np.asarray(place[index.majority])


def _bundles(index: Index, kind: np.ndarray, bundles: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bundle of each row int64 [N], -1 for rows without a common label, and the bundles' names str [B]."""
    found = np.full(len(index), -1)
    rows = np.flatnonzero(kind >= 0)
    group = index.group[rows]
    found[rows] = _deal(group, kind[rows], bundles, seed)
    people = [np.unique(group[found[rows] == number]) for number in range(bundles)]
    alone = all(len(members) == 1 for members in people)
    return found, np.array([str(members[0]) if alone else f"b{n:02d}" for n, members in enumerate(people)])


def joined(first: Index, second: Index, seed: int = SEED) -> Index:
    """The pairs as an index with the media of both.

    `subject` is the bundle: whoever tests on one has trained on none of its people, neither of the first set nor of the
    second. `extra` holds `first` and `second`, rows of the two sets, and `first_person` and `second_person`.

    Raises:
        DataError: both have a modality of one name, or as `pair`.
    """
    if twice := set(first.media) & set(second.media):
        raise DataError(f"both data sets have {', '.join(sorted(twice))}; pair those with different modalities")
    found = pair(first, second, seed)
    targets, majority = one_hot([first.labels[k] for k in first.majority[found.first]], found.labels)
    media = {name: items.take(found.first) for name, items in first.media.items()}
    media |= {name: items.take(found.second) for name, items in second.media.items()}
    extra = {
        "first": found.first,
        "second": found.second,
        "first_person": first.group[found.first],
        "second_person": second.group[found.second],
    }
    split = np.full(len(majority), NO_SPLIT)
    return Index(found.labels, targets, majority, split, found.bundle, media, extra)


def paired(root: Path, first: str, second: str) -> Index:
    """`joined`, of two data sets by name that lie in `root` or in folders of it.

    Raises:
        DataError: the folder lacks one of the two.
    """
    try:
        found = find_index(first, root), find_index(second, root)
    except DataError as error:
        raise DataError(f"{error}; put {first} and {second} into one folder, and name that") from error
    return joined(*found)


def shared(first: Sequence[str], second: Sequence[str] = BASIC7) -> tuple[str, ...]:
    """The labels of the first set that the second has too, in the first one's order."""
    return tuple(name for name in first if name in second)


LICENCE = "research only, no redistribution"


@DATASETS.register(
    "pairs-ravdess-rafdb",
    samples=1248,
    subjects=24,
    modalities=("audio", "face"),
    labels=shared(RAVDESS8),
    licence=LICENCE,
)
def ravdess_rafdb(root: Path) -> Index:
    """Class-matched pairs of different people: spoken sentences of RAVDESS (`audio`) with faces of RAF-DB (`face`).

    Seven labels: calm has no face. Each actor meets faces of their own; RAF-DB names nobody, so that the same person
    may be in pictures of two bundles. No official split: fold by subject.

    Raises:
        DataError: the folder lacks one of the two.
    """
    return paired(Path(root), "ravdess-speech", "rafdb")


@DATASETS.register(
    "pairs-emodb-rafdb",
    samples=454,
    subjects=10,
    modalities=("audio", "face"),
    labels=shared(EMODB7),
    licence=LICENCE,
)
def emodb_rafdb(root: Path) -> Index:
    """Class-matched pairs of different people: sentences of EMO-DB (`audio`) with faces of RAF-DB (`face`).

    Six labels: boredom has no face; see `pairs-ravdess-rafdb`.

    Raises:
        DataError: the folder lacks one of the two.
    """
    return paired(Path(root), "emodb", "rafdb")


@DATASETS.register(
    "pairs-seed-iv-rafdb",
    samples=1080,
    subjects=15,
    modalities=("eeg", "face"),
    labels=shared(SEED4),
    licence=LICENCE,
)
def seed4_rafdb(root: Path) -> Index:
    """Class-matched pairs of different people: trials of SEED-IV (`eeg` [windows, 310]) with faces of RAF-DB (`face`).

    Four labels; see `pairs-ravdess-rafdb`. `extra["first"]` is the row of SEED-IV.

    Raises:
        DataError: the folder lacks one of the two.
    """
    return paired(Path(root), "seed-iv", "rafdb")


@DATASETS.register(
    "pairs-mahnob-rafdb",
    samples=397,
    subjects=27,
    modalities=("eeg", "face"),
    labels=shared(MAHNOB9),
    licence=LICENCE,
)
def mahnob_rafdb(root: Path) -> Index:
    """Class-matched pairs of different people: trials of MAHNOB-HCI (`eeg` [1, 160]) with faces of RAF-DB (`face`).

    Seven labels: amusement and anxiety have no face; see `pairs-ravdess-rafdb`.

    Raises:
        DataError: the folder lacks one of the two.
    """
    return paired(Path(root), "mahnob-features", "rafdb")


def fake(root: Path, first: str, folder: str, seed: int = 0) -> None:
    """Write tiny trees of both data sets side by side."""
    from mien.datasets.rafdb import fake as fake_faces

    DATASETS.facts(first)  # fills FAKES
    FAKES[first](Path(root) / folder, seed=seed)
    fake_faces(Path(root) / "rafdb", per_class=3, seed=seed)


FAKES["pairs-ravdess-rafdb"] = lambda root, seed=0: fake(root, "ravdess-speech", "ravdess", seed)
FAKES["pairs-emodb-rafdb"] = lambda root, seed=0: fake(root, "emodb", "emodb", seed)
FAKES["pairs-seed-iv-rafdb"] = lambda root, seed=0: fake(root, "seed-iv", "seed4", seed)
FAKES["pairs-mahnob-rafdb"] = lambda root, seed=0: fake(root, "mahnob-features", "eeg", seed)
