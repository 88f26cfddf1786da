"""EEG features brought to each person's own zero and spread, for work across people: heads and caps differ so.

Each number has the mean of that person's session (or, where there are no sessions, of all of that person's trials)
taken from it and is divided by its standard deviation there. No label is asked, but all of a session's trials are: who
uses this has recorded the session before anything is read from it. Figures on these sets say so.

Layout, labels and licence: of the data sets `seed-iv`, `deap-features`, `mahnob-features` and `rafdb` themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Media
from mien.datasets.pairs import fake as fake_pairs
from mien.datasets.pairs import paired, shared
from mien.labels import MAHNOB9, SEED4, SENTIMENT2
from mien.protocols.folds import TEST, TRAIN

LICENCE = "signed agreement, research only"
LEAST = 1e-6


class OwnScale:
    """Features float32 [T, D] of another medium, standardised over all items of their group, windows together.

    Args:
        media: of all N items.
        group: str [N], such as person and session.
        rows: which of them this one holds; None for all.
    """

    def __init__(self, media: Media, group: np.ndarray, rows: np.ndarray | None = None) -> None:
        self.media, self.group = media, np.asarray(group)
        self.rows = np.arange(len(media)) if rows is None else np.asarray(rows)
        self._scales: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> np.ndarray:
        place = int(self.rows[row])
        mean, deviation = self._scale(str(self.group[place]))
        return np.asarray((self.media[place] - mean) / deviation, np.float32)

    def _scale(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if name not in self._scales:
            every = np.concatenate([self.media[int(i)] for i in np.flatnonzero(self.group == name)]).astype(np.float64)
            deviation = every.std(0)
            self._scales[name] = every.mean(0), np.where(deviation > LEAST, deviation, 1.0)
        return self._scales[name]

    def take(self, rows: np.ndarray) -> OwnScale:
        taken = OwnScale(self.media, self.group, self.rows[rows])
        taken._scales = self._scales
        return taken

    def files(self, row: int) -> tuple[Path, ...]:
        return self.media.files(int(self.rows[row]))


def standardised(index: Index) -> Index:
    """The index with its `eeg` brought to the own scale of each person, and of each session where it names some."""
    group = index.subject.astype(str)
    if "session" in index.extra:
        group = np.char.add(np.char.add(group, " in session "), index.extra["session"].astype(str))
    return replace(index, media={**index.media, "eeg": OwnScale(index.media["eeg"], group)})


@DATASETS.register(
    "seed-iv-standardised", samples=1080, subjects=15, modalities=("eeg",), labels=SEED4, licence=LICENCE
)
def seed4_standardised(root: Path) -> Index:
    """SEED-IV with features on the scale of each person's session: `eeg` float32 [windows, 310].

    Its split is ours, for reading a known person later: sessions 1 and 2 (48 films) to train, session 3 (24 other
    films) to test. Across people, fold by person.

    Raises:
        DataError: as `seed-iv`.
    """
    index = standardised(DATASETS.create("seed-iv", root=root))
    return replace(index, split=np.where(index.extra["session"] < 3, TRAIN, TEST))


@DATASETS.register(
    "deap-features-standardised", samples=1216, subjects=32, modalities=("eeg",), labels=SENTIMENT2, licence=LICENCE
)
def deap_standardised(root: Path) -> Index:
    """DEAP's features on the scale of each person: `eeg` float32 [1, 160]; otherwise `deap-features`.

    Raises:
        DataError: as `deap-features`.
    """
    return standardised(DATASETS.create("deap-features", root=root))


@DATASETS.register(
    "mahnob-features-standardised", samples=533, subjects=27, modalities=("eeg",), labels=MAHNOB9, licence=LICENCE
)
def mahnob_standardised(root: Path) -> Index:
    """MAHNOB-HCI's features on the scale of each person: `eeg` float32 [1, 160]; otherwise `mahnob-features`.

    Raises:
        DataError: as `mahnob-features`.
    """
    return standardised(DATASETS.create("mahnob-features", root=root))


@DATASETS.register(
    "pairs-seed-iv-standardised-rafdb",
    samples=1080,
    subjects=15,
    modalities=("eeg", "face"),
    labels=shared(SEED4),
    licence=LICENCE,
)
def seed4_rafdb_standardised(root: Path) -> Index:
    """Class-matched pairs of different people: `eeg` of `seed-iv-standardised` with faces of RAF-DB (`face`).

    Raises:
        DataError: the folder lacks one of the two.
    """
    return paired(Path(root), "seed-iv-standardised", "rafdb")


@DATASETS.register(
    "pairs-mahnob-standardised-rafdb",
    samples=397,
    subjects=27,
    modalities=("eeg", "face"),
    labels=shared(MAHNOB9),
    licence=LICENCE,
)
def mahnob_rafdb_standardised(root: Path) -> Index:
    """Class-matched pairs of different people: `eeg` of `mahnob-features-standardised` with faces of RAF-DB (`face`).

    Raises:
        DataError: the folder lacks one of the two.
    """
    return paired(Path(root), "mahnob-features-standardised", "rafdb")


def _same(name: str) -> Callable[..., None]:
    def fake(root: Path, seed: int = 0) -> None:
        DATASETS.facts(name)  # fills FAKES
        FAKES[name](root, seed=seed)

    return fake


FAKES["seed-iv-standardised"] = _same("seed-iv")
FAKES["deap-features-standardised"] = _same("deap-features")
FAKES["mahnob-features-standardised"] = _same("mahnob-features")
FAKES["pairs-seed-iv-standardised-rafdb"] = lambda root, seed=0: fake_pairs(root, "seed-iv", "seed4", seed)
FAKES["pairs-mahnob-standardised-rafdb"] = lambda root, seed=0: fake_pairs(root, "mahnob-features", "eeg", seed)
