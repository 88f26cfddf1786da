"""RAF-DB, basic expressions, aligned faces.

Paper: Li, Deng, Du, "Reliable crowdsourcing and deep locality-preserving learning for expression recognition in the
    wild", CVPR 2017.
Layout: official `basic/Image/aligned/*_aligned.jpg` with `basic/EmoLabel/list_patition_label.txt` (sic; name and
    label a line) and, where unpacked, `basic/Annotation/manual/<name>_manu_attri.txt` (five landmarks, gender, race,
    age); or the widespread `DATASET/{train,test}/{1..7}/*_aligned.jpg`, or `DATASET/{train,test}/*.jpg` with
    `train_labels.csv` and `test_labels.csv` (image, label). The folder above, `basic` and `DATASET` are all accepted.
Labels: 1 surprise 2 fear 3 disgust 4 happiness 5 sadness 6 anger 7 neutral.
Licence: research only, no redistribution.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Pictures
from mien.errors import DataError
from mien.labels import BASIC7

ORDER = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
LIST = Path("EmoLabel") / "list_patition_label.txt"
GENDERS = {"0": "male", "1": "female", "2": ""}
RACES = {"0": "Caucasian", "1": "African-American", "2": "Asian"}
AGES = {"0": "0-3", "1": "4-19", "2": "20-39", "3": "40-69", "4": "70+"}

Row = tuple[Path, int, str]
"""(picture, label from 1, split)."""


def _row(path: Path, label: str, split: str, classes: int, where: str) -> Row:
    """Raises: DataError, naming `where`."""
    if not label.isdecimal() or not 1 <= int(label) <= classes:
        raise DataError(f"{where}: label {label!r} is not one of 1..{classes}")
    if split not in ("train", "test"):
        raise DataError(f"{where}: {path.name} does not begin with train_ or test_, so its split is unknown")
    return path, int(label), split


def read_partition(folder: Path, classes: int) -> list[Row]:
    """Rows of an official list, `folder` holding EmoLabel and Image, in the list's order.

    Raises:
        DataError: a line is malformed, or the list has none.
    """
    listing, rows = folder / LIST, []
    for number, line in enumerate(listing.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2:
            raise DataError(f"{listing}, line {number}: expected a picture's name and a label, got {line!r}")
        path = folder / "Image" / "aligned" / f"{Path(parts[0]).stem}_aligned.jpg"
        rows.append(_row(path, parts[1], parts[0].split("_")[0], classes, f"{listing}, line {number}"))
    if not rows:
        raise DataError(f"{listing} has no rows")
    return rows


def read_attributes(folder: Path, rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Gender, race and age group of every face, str [N], "" where unsure; nothing where they are not unpacked.

    Raises:
        DataError: a file is malformed.
    """
    if not (folder / "Annotation" / "manual").is_dir():
        return {}
    found = []
    for path, _, _ in rows:
        name = path.stem.removesuffix("_aligned")
        file = folder / "Annotation" / "manual" / f"{name}_manu_attri.txt"
        try:
            gender, race, age = file.read_text(encoding="utf-8").split()[10:]
            found.append((GENDERS[gender], RACES[race], AGES[age]))
        except OSError:
            found.append(("", "", ""))
        except (ValueError, KeyError) as error:
            raise DataError(f"{file}: expected five landmarks, then the numbers of gender, race and age") from error
    return {name: np.array([row[k] for row in found]) for k, name in enumerate(("gender", "race", "age"))}


def _read_csv(root: Path, folder: Path) -> list[Row]:
    rows = []
    for split in ("train", "test"):
        path = next((f / f"{split}_labels.csv" for f in (root, folder) if (f / f"{split}_labels.csv").is_file()), None)
        if path is None:
            continue
        with open(path, newline="", encoding="utf-8-sig") as file:
            for number, line in enumerate(csv.DictReader(file), 2):
                picture = folder / split / (line.get("image") or "?")
                rows.append(_row(picture, line.get("label") or "?", split, len(ORDER), f"{path}, line {number}"))
    return rows


def _rows(root: Path) -> tuple[list[Row], dict[str, np.ndarray]]:
    for folder in (root, root / "basic"):
        if (folder / LIST).is_file():
            rows = read_partition(folder, len(ORDER))
            return rows, read_attributes(folder, rows)
    for folder in (root / "DATASET", root):
        paths = sorted(path for split in ("train", "test") for path in folder.glob(f"{split}/[1-7]/*.jpg"))
        if paths:
            return [(path, int(path.parent.name), path.parent.parent.name) for path in paths], {}
        if (folder / "train").is_dir() and (rows := _read_csv(root, folder)):
            return rows, {}
    raise DataError(f"{root} holds neither basic/{LIST.as_posix()} nor DATASET/train and DATASET/test")


@DATASETS.register(
    "rafdb", samples=15339, modalities=("face",), labels=BASIC7, licence="research only, no redistribution"
)
def rafdb(root: Path) -> Index:
    """RAF-DB basic, RGB 100x100, official train and test splits.

    `extra` has `gender`, `race` and `age` where the official annotations are unpacked.

    Raises:
        DataError: the folder has none of the layouts, or a list is malformed.
    """
    rows, extra = _rows(Path(root))
    targets, majority = one_hot([ORDER[label - 1] for _, label, _ in rows], BASIC7)
    split = np.array([SPLITS.index(name) for _, _, name in rows], np.int64)
    pictures = Pictures([path for path, _, _ in rows])
    return Index(BASIC7, targets, majority, split, np.full(len(rows), ""), {"face": pictures}, extra)


def fake(root: Path, per_class: int = 2, seed: int = 0) -> None:
    """Write a tiny tree in the widespread layout."""
    random = np.random.default_rng(seed)
    for split in ("train", "test"):
        for label in range(1, 8):
            folder = Path(root) / "DATASET" / split / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                face = cv2.resize(random.integers(0, 255, (10, 10, 3), dtype=np.uint8), (100, 100))
                cv2.imwrite(str(folder / f"{split}_{label}{i:04d}_aligned.jpg"), face)


FAKES["rafdb"] = fake
