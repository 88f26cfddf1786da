"""DEAP: EEG and peripheral signals of 32 people watching 40 music videos each, rated 1 to 9.

Paper: Koelstra et al., "DEAP: a database for emotion analysis using physiological signals", IEEE Trans. Affective
    Computing 3(1), 2012.
Layout: `data_preprocessed_python/s01.dat` ... `s32.dat`, pickles of Python 2: `data` [40, 40, 8064] (trials in the
    order of the videos, channels, samples at 128 Hz with three seconds of baseline) and `labels` [40, 4] (valence,
    arousal, dominance, liking); beside them, optionally, `participant_ratings.csv`. Untried on the real tree.
Labels: none but ratings; here valence above the middle of the scale (5) is positive.
Licence: signed agreement, research only.
"""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.arrays import read_npz
from mien.datasets.pickles import load_arrays
from mien.datasets.workbooks import integer, read_table
from mien.errors import DataError
from mien.labels import SENTIMENT2

SCALES = ("valence", "arousal", "dominance", "liking")
EEG = 32
RATE = 128
MIDDLE = 5.0


@lru_cache(maxsize=4)
def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Signals float32 [trials, channels, samples] and ratings [trials, 4] of one person; 50 MB each."""
    content = load_arrays(path)
    data, labels = (content.get(key) if isinstance(content, dict) else None for key in ("data", "labels"))
    if not isinstance(data, np.ndarray) or not isinstance(labels, np.ndarray):
        raise DataError(f"{path} holds no arrays `data` and `labels`")
    if data.ndim != 3 or data.shape[1] <= EEG or labels.shape != (len(data), len(SCALES)):
        raise DataError(f"{path}: data {data.shape} and labels {labels.shape}, expected (40, 40, 8064) and (40, 4)")
    return data.astype(np.float32), labels.astype(np.float64)


class Channels:
    """Some channels of one trial a sample: float32 [channels, samples] at 128 Hz.

    A person's file is read as a whole and the last four are kept: read the rows of a person together.
    """

    def __init__(self, trials: Sequence[tuple[Path, int]], channels: slice) -> None:
        self.trials = tuple(trials)
        self.channels = channels

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, row: int) -> np.ndarray:
        path, trial = self.trials[row]
        return _load(path)[0][trial, self.channels].copy()

    def take(self, rows: np.ndarray) -> Channels:
        return Channels([self.trials[int(row)] for row in rows], self.channels)

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.trials[row][0],)


def _from_table(table: Path, paths: list[Path]) -> dict[str, np.ndarray]:
    """Ratings by file from participant_ratings.csv, which spares opening 3 GB of signals for them."""
    found: dict[str, dict[int, list[float]]] = {path.stem: {} for path in paths}
    for row, cells in read_table(
        table, ("Participant_id", "Experiment_id", "Valence", "Arousal", "Dominance", "Liking")
    ):
        person = f"s{integer(cells, 'Participant_id', table, row):02d}"
        video = integer(cells, "Experiment_id", table, row)
        try:
            found.setdefault(person, {})[video] = [float(cells[scale]) for scale in SCALES]
        except ValueError as error:
            raise DataError(f"{table}, row {row}: a rating is no number ({error})") from error
    missing = [name for name in (path.stem for path in paths) if not found[name]]
    if missing:
        raise DataError(f"{table} has no ratings of {', '.join(missing)}")
    return {name: np.array([videos[video] for video in sorted(videos)]) for name, videos in found.items()}


def _ratings(folder: Path, paths: list[Path]) -> dict[str, np.ndarray]:
    """Ratings [trials, 4] by file name: from their table, or from the files of signals, then remembered beside them."""
    for place in (folder, folder.parent, folder.parent / "metadata_csv"):
        if (place / "participant_ratings.csv").is_file():
            return _from_table(place / "participant_ratings.csv", paths)
    cache = folder / f".ratings-{sum(path.stat().st_size for path in paths)}.npz"
    with contextlib.suppress(DataError, KeyError):
        arrays = read_npz(cache)
        return {path.stem: arrays[path.stem] for path in paths}
    ratings = {path.stem: _load(path)[1] for path in paths}
    with contextlib.suppress(OSError):  # a read-only folder only costs the next run its wait
        np.savez(cache, **ratings)  # type: ignore[arg-type]
    return ratings


@DATASETS.register(
    "deap",
    samples=1280,
    subjects=32,
    modalities=("eeg", "physio"),
    labels=SENTIMENT2,
    licence="signed agreement, research only",
)
def deap(root: Path) -> Index:
    """DEAP: `eeg` float32 [32, 8064] and `physio` float32 [8, 8064] at 128 Hz; classes of valence.

    The peripheral channels are two of EOG, two of EMG, skin response, respiration, blood volume and temperature.
    `extra` holds `valence`, `arousal`, `dominance` and `liking` in [-1, 1] and `video`. No official split: fold by
    person.

    Raises:
        DataError: no file of signals is found, or one or the table of ratings is malformed.
    """
    root = Path(root)
    folder = root / "data_preprocessed_python" if (root / "data_preprocessed_python").is_dir() else root
    paths = sorted(path for path in folder.glob("s*.dat") if re.fullmatch(r"s\d\d", path.stem))
    if not paths:
        raise DataError(f"{root} holds no data_preprocessed_python/s01.dat")
    by_person = _ratings(folder, paths)
    ratings = np.concatenate([by_person[path.stem] for path in paths])
    trials = [(path, trial) for path in paths for trial in range(len(by_person[path.stem]))]
    targets, majority = one_hot([SENTIMENT2[int(value > MIDDLE)] for value in ratings[:, 0]], SENTIMENT2)
    extra = {scale: ((ratings[:, i] - MIDDLE) / 4).astype(np.float32) for i, scale in enumerate(SCALES)}
    extra["video"] = np.array([trial + 1 for _, trial in trials])
    subject = np.array([path.stem for path, _ in trials])
    media = {"eeg": Channels(trials, slice(0, EEG)), "physio": Channels(trials, slice(EEG, None))}
    return Index(SENTIMENT2, targets, majority, np.full(len(trials), NO_SPLIT), subject, media, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the same layout: two people, five trials of half a second."""
    random = np.random.default_rng(seed)
    folder = Path(root) / "data_preprocessed_python"
    folder.mkdir(parents=True, exist_ok=True)
    for person in (1, 2):
        labels = random.uniform(1, 9, (5, 4))
        labels[:2, 0] = 2, 8
        data = random.normal(0, 10, (5, 40, RATE // 2)).astype(np.float32)
        content = {"labels": labels, "data": data}
        (folder / f"s{person:02d}.dat").write_bytes(pickle.dumps(content, protocol=2))


FAKES["deap"] = fake
