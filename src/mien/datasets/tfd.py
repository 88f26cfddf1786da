"""TFD, the Toronto Face Database: 112,234 grey faces from many sets, 4,178 of them with an expression.

Paper: Susskind, Anderson, Hinton, "The Toronto Face Database", technical report, University of Toronto 2010.
Layout: `TFD_48x48.mat` or `TFD_96x96.mat` (level 5) with `images` [N, H, W], `labs_ex` [N, 1] (expression, -1 unknown),
    `labs_id` [N, 1] (person, -1 unknown) and `folds` [N, 5] (0 unlabelled, 1 train, 2 val, 3 test). Names and codes
    were checked against others' readers; untried on the real file.
Labels: 1 anger 2 disgust 3 fear 4 happiness 5 sadness 6 surprise 7 neutral.
Licence: on request from the authors, research.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.matfile import MatImages, read_mat, write_mat
from mien.datasets.trees import build
from mien.errors import DataError
from mien.labels import BASIC7

CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
FILES = {48: "TFD_48x48.mat", 96: "TFD_96x96.mat"}
FOLDS = 5


def _find(root: Path, size: int) -> Path:
    for name in [FILES[size]] if size else FILES.values():
        for path in (root / name, root / "TFD" / name):
            if path.is_file():
                return path
    raise DataError(f"{root} holds no {FILES[size] if size else ' or '.join(FILES.values())}")


@DATASETS.register(
    "tfd", samples=4178, subjects=963, modalities=("face",), labels=BASIC7, licence="on request, research"
)
def tfd(root: Path, fold: int = 0, size: int = 0, unlabelled: bool = False) -> Index:
    """TFD with one of its five official train, val and test splits, made so that no person is on two sides.

    `extra` has `folds` (int8 [N, 5]), for the mean over all five. The number of people is from memory.

    Args:
        fold: 0 to 4.
        size: 48 or 96; 0 takes the one that is there.
        unlabelled: also the faces without an expression (no split, `majority` -1).

    Raises:
        DataError: the file is missing, or its arrays do not fit each other.
    """
    if size not in (0, *FILES) or fold not in range(FOLDS):
        raise DataError(f"TFD has sizes 48 and 96 and folds 0 to 4, not size {size}, fold {fold}")
    path = _find(Path(root), size)
    arrays = read_mat(path, ("labs_ex", "labs_id", "folds"))
    label, person = arrays["labs_ex"].ravel().astype(int), arrays["labs_id"].ravel().astype(int)
    folds = arrays["folds"].astype(np.int8)
    if folds.shape != (len(label), FOLDS) or len(person) != len(label):
        raise DataError(
            f"{path}: labs_ex has {len(label)} rows, labs_id {len(person)}, folds {folds.shape}, not [N, 5]"
        )
    if label.max(initial=0) > len(CODES) or folds.min(initial=0) < 0 or folds.max(initial=0) > 3:
        raise DataError(f"{path}: labs_ex goes to {label.max()} (expected 7), folds to {folds.max()} (expected 3)")
    rows = np.arange(len(label)) if unlabelled else np.flatnonzero(label > 0)
    names = [CODES[label[row] - 1] if label[row] > 0 else "" for row in rows]
    subject = [str(person[row]) if person[row] >= 0 else "" for row in rows]
    faces = MatImages(path, "images", rows)
    split = folds[rows, fold].astype(np.int64) - 1  # 0 is no split, -1 here
    return build(BASIC7, names, {"face": faces}, subject, split, {"folds": folds[rows]})


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny TFD_48x48.mat: 28 labelled faces of six people and four unlabelled ones."""
    random, rows = np.random.default_rng(seed), 32
    label = np.r_[np.tile(np.arange(1, 8), 4), np.full(4, -1)]
    person = np.r_[np.arange(28) // 5, np.full(4, -1)]
    folds = np.array([[1 + (who + fold) % 3 for fold in range(FOLDS)] if who >= 0 else [0] * FOLDS for who in person])
    arrays = {
        "images": random.integers(0, 255, (rows, 48, 48), dtype=np.uint8),
        "labs_ex": label[:, None].astype(np.float64),
        "labs_id": person[:, None].astype(np.float64),
        "folds": folds.astype(np.uint8),
    }
    write_mat(Path(root) / FILES[48], arrays)


FAKES["tfd"] = fake
