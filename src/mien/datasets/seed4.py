"""SEED-IV: differential entropy of 62-channel EEG while 15 people watched film clips, in three sessions each.

Paper: Zheng et al., "EmotionMeter: a multimodal framework for recognizing human emotions", IEEE Trans. Cybernetics
    49(3), 2019.
Layout: `eeg_feature_smooth/{1,2,3}/<person>_<date>.mat` with `de_LDS1` ... `de_LDS24` of [62, windows, 5] (needs
    SciPy), or the repacked `seed_iv_de_lds.npz` (keys session/person/trial, [windows, 310]) with `labels.csv` (session,
    trial, label, name).
Labels: 0 neutral, 1 sad, 2 fear, 3 happy; the same clips in the same order for everybody: 1,080 trials, 270 a class.
Licence: signed agreement, research only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.arrays import read_names, read_npz
from mien.datasets.matfile import read_mat
from mien.datasets.workbooks import integer, read_table
from mien.errors import DataError
from mien.labels import SEED4

ORDER = ("neutral", "sadness", "fear", "happiness")
TRIALS = {
    1: (1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3),
    2: (2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1),
    3: (1, 2, 2, 1, 3, 3, 3, 1, 1, 2, 1, 0, 2, 3, 3, 0, 2, 3, 0, 0, 2, 0, 1, 0),
}
"""Class of each of the 24 clips of a session, as the release's ReadMe prints them."""
ARCHIVE = "seed_iv_de_lds.npz"
FEATURES = 310


@lru_cache(maxsize=45)
def _load(path: Path) -> dict[str, np.ndarray]:
    """All trials of a file, float32 [windows, 310]: the five bands of the first channel, of the second, ..."""
    if path.suffix == ".mat":
        cubes = read_mat(path, [f"de_LDS{trial}" for trial in range(1, 25)])
        try:
            return {
                key: cube.transpose(1, 0, 2).reshape(-1, FEATURES).astype(np.float32) for key, cube in cubes.items()
            }
        except ValueError as error:
            raise DataError(f"{path}: its trials are not 62 channels x windows x 5 bands ({error})") from error
    try:
        return {key: array.astype(np.float32) for key, array in read_npz(path).items()}
    except (DataError, ValueError) as error:
        raise DataError(f"{path} is missing, damaged or without its trials ({error})") from error


class Trials:
    """One trial of a file a sample: float32 [windows, 310]; a file is read when its first trial is asked for."""

    def __init__(self, keys: Sequence[tuple[Path, str]]) -> None:
        self.keys = tuple(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: int) -> np.ndarray:
        path, key = self.keys[row]
        trials = _load(path)
        if key not in trials:
            raise DataError(f"{path} has no trial {key}")
        return trials[key]

    def take(self, rows: np.ndarray) -> Trials:
        return Trials([self.keys[int(row)] for row in rows])

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.keys[row][0],)


def _from_mat(folder: Path) -> list[tuple[Path, str, int, str, int, int]]:
    """(file, key, session, person, trial, class) of every trial of the official release."""
    rows = []
    for session, classes in TRIALS.items():
        for path in sorted((folder / str(session)).glob("*.mat")):
            person = re.fullmatch(r"(\d+)_\d+", path.stem)
            if person is None:
                raise DataError(f"{path}: expected <person>_<date>.mat; move other files away")
            subject = f"s{int(person.group(1)):02d}"
            rows += [(path, f"de_LDS{t}", session, subject, t, label) for t, label in enumerate(classes, 1)]
    return rows


def _from_npz(root: Path) -> list[tuple[Path, str, int, str, int, int]]:
    table = root / "labels.csv"
    classes = {}
    for row, cells in read_table(table, ("session", "trial", "label")):
        session, trial, label = (integer(cells, name, table, row) for name in ("session", "trial", "label"))
        if not 0 <= label < len(ORDER):
            raise DataError(f"{table}, row {row}: label {label}, expected 0 neutral, 1 sad, 2 fear or 3 happy")
        classes[session, trial] = label
    try:
        keys = [tuple(int(part) for part in key.split("/")) for key in read_names(root / ARCHIVE)]
    except (DataError, ValueError) as error:
        raise DataError(f"{root / ARCHIVE} is damaged or has other keys than session/person/trial ({error})") from error
    rows = []
    for session, person, trial in sorted(keys):
        if (session, trial) not in classes:
            raise DataError(f"{table} has no label for session {session}, trial {trial}")
        key = f"{session}/{person}/{trial}"
        rows.append((root / ARCHIVE, key, session, f"s{person:02d}", trial, classes[session, trial]))
    return rows


@DATASETS.register(
    "seed-iv", samples=1080, subjects=15, modalities=("eeg",), labels=SEED4, licence="signed agreement, research only"
)
def seed4(root: Path) -> Index:
    """SEED-IV, `eeg` float32 [windows, 310]: 62 channels x 5 bands (delta, theta, alpha, beta, gamma) of four seconds.

    `extra` holds `session` (1..3) and `trial` (1..24). No official split: fold by person.

    Raises:
        DataError: the folder has neither layout, or a key or label is malformed.
        MissingExtra: when a trial of the official .mat files is read without SciPy.
    """
    root = Path(root)
    folder = root / "eeg_feature_smooth" if (root / "eeg_feature_smooth").is_dir() else root
    rows = _from_npz(root) if (root / ARCHIVE).is_file() else _from_mat(folder)
    if not rows:
        raise DataError(f"{root} holds neither eeg_feature_smooth/1/1_20160518.mat nor {ARCHIVE} with labels.csv")
    targets, majority = one_hot([ORDER[row[5]] for row in rows], SEED4)
    extra = {"session": np.array([row[2] for row in rows]), "trial": np.array([row[4] for row in rows])}
    subject = np.array([row[3] for row in rows])
    eeg = Trials([row[:2] for row in rows])
    return Index(SEED4, targets, majority, np.full(len(rows), NO_SPLIT), subject, {"eeg": eeg}, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny repacked tree: three sessions of two people, the first four trials, six to nine windows each."""
    random = np.random.default_rng(seed)
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    lines, arrays = ["session,trial,label,name"], {}
    for session, classes in TRIALS.items():
        for trial in range(1, 5):
            lines.append(f"{session},{trial},{classes[trial - 1]},{ORDER[classes[trial - 1]]}")
            for person in (1, 12):
                windows = random.normal(20, 3, (5 + trial, FEATURES))
                arrays[f"{session}/{person}/{trial}"] = windows.astype(np.float16)
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    np.savez_compressed(root / ARCHIVE, **arrays)  # type: ignore[arg-type]


FAKES["seed-iv"] = fake
