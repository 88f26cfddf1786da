"""FER2013 and FER+ as folders of pictures.

Paper: Goodfellow et al., "Challenges in representation learning", ICONIP 2013; Barsoum et al., "Training deep networks
    for facial expression recognition with crowd-sourced label distribution", ICMI 2016.
Layout: `fer2013-folders` is Kaggle's msambare/fer2013, `{train,test}/{angry,disgust,fear,happy,neutral,sad,surprise}/`
    with `Training_<n>.jpg`, `PublicTest_<n>.jpg` and `PrivateTest_<n>.jpg`. `ferplus-folders` is what Microsoft's
    FERPlus repository makes: `FER2013{Train,Valid,Test}/fer<row>.png`, each folder with a `label.csv` of the picture's
    name, its face box "(0, 0, 48, 48)" (left out by later versions) and ten vote counts, and no header.
Labels: as in `fer2013` and `ferplus`.
Licence: none stated for the pictures (ICML 2013 challenge, from a web search); the FER+ votes are MIT.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.fer2013 import COLUMNS, FER2013_ORDER, PLUS_LICENCE, VOTES, vote_targets
from mien.datasets.media import Box, Pictures
from mien.errors import DataError
from mien.labels import BASIC7, FERPLUS8

CLASSES = {
    "angry": "anger",
    "disgust": "disgust",
    "disgusted": "disgust",
    "fear": "fear",
    "fearful": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
    "surprised": "surprise",
}
PARTS = {"FER2013Train": "train", "FER2013Valid": "val", "FER2013Test": "test"}
WHOLE: Box = (0, 0, 48, 48)


@DATASETS.register(
    "fer2013-folders", samples=35887, modalities=("face",), labels=BASIC7, licence="none stated for the pictures"
)
def fer2013_folders(root: Path) -> Index:
    """FER2013 in class folders, grey 48x48 JPEG (so not quite the csv's pixels).

    This release joins PublicTest and PrivateTest, 7,178 faces, as `test`, and they stay `test` here: there is no `val`,
    and its figures do not compare with those on PrivateTest alone. `extra["usage"]` is Training, PublicTest or
    PrivateTest by the file's name, or "".

    Raises:
        DataError: no class folders, or one with an unknown name.
    """
    root = Path(root)
    folders = sorted(f for split in ("train", "test") for f in (root / split).glob("*") if f.is_dir())
    unknown = sorted({f.name for f in folders} - set(CLASSES))
    if unknown:
        raise DataError(f"{root}: unknown class folders {', '.join(unknown)}; expected {', '.join(CLASSES)}")
    paths = [path for f in folders for path in sorted(f.iterdir()) if path.suffix.lower() in (".jpg", ".png")]
    if not paths:
        raise DataError(f"{root} holds no pictures train/<class>/*.jpg and test/<class>/*.jpg")
    targets, majority = one_hot([CLASSES[path.parent.name] for path in paths], BASIC7)
    split = np.array([SPLITS.index(path.parent.parent.name) for path in paths], np.int64)
    usage = np.array([path.stem.split("_")[0] if "_" in path.stem else "" for path in paths])
    faces = Pictures(paths, grey=True)
    return Index(BASIC7, targets, majority, split, np.full(len(paths), ""), {"face": faces}, {"usage": usage})


def _read_labels(folder: Path) -> tuple[list[Path], list[Box], list[list[int]]]:
    path = folder / "label.csv"
    if not path.is_file():
        raise DataError(f"{path} is missing; Microsoft's FERPlus repository has it")
    pictures: list[Path] = []
    boxes: list[Box] = []
    votes: list[list[int]] = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row:
                continue
            counts = row[-len(VOTES) :]
            try:
                box = [int(v) for v in row[1].strip("() ").split(",")] if len(row) == 12 else list(WHOLE)
                x1, y1, x2, y2 = box
                if len(row) not in (11, 12):
                    raise ValueError(f"{len(row)} columns")
                votes.append([int(count) for count in counts])
            except (ValueError, IndexError) as error:
                raise DataError(
                    f'{path}, line {number}: expected a name, "(x1, y1, x2, y2)" and ten votes: {error}'
                ) from error
            pictures.append(folder / row[0])
            boxes.append((x1, y1, x2, y2))
    return pictures, boxes, votes


@DATASETS.register("ferplus-folders", samples=35711, modalities=("face",), labels=FERPLUS8, licence=PLUS_LICENCE)
def ferplus_folders(root: Path) -> Index:
    """FER+ as pictures, with the rows and labels of `ferplus`; val is PublicTest, test is PrivateTest.

    `extra` has `votes` [N, 8] and `clean7`. Rows without a vote for the eight expressions are left out.

    Raises:
        DataError: a label.csv is missing or malformed.
    """
    root = Path(root)
    base = next((f for f in (root, root / "data") if (f / "FER2013Train").is_dir()), None)
    if base is None:
        raise DataError(f"{root} holds no FER2013Train, FER2013Valid and FER2013Test")
    parts = [_read_labels(base / name) for name in PARTS]
    split = np.concatenate([[SPLITS.index(s)] * len(p[0]) for s, p in zip(PARTS.values(), parts, strict=True)])
    votes = np.array([row for part in parts for row in part[2]], np.int64).reshape(-1, len(VOTES))
    if not len(votes):
        raise DataError(f"{base}: the three label.csv have no rows")
    targets, majority, clean7 = vote_targets(votes)
    boxes = [box for part in parts for box in part[1]]
    faces = Pictures([path for part in parts for path in part[0]], grey=True, boxes=boxes)
    extra = {"votes": votes[:, COLUMNS], "clean7": clean7}
    index = Index(FERPLUS8, targets, majority, split.astype(np.int64), np.full(len(votes), ""), {"face": faces}, extra)
    return index[targets.sum(1) > 0]


def fake(root: Path, per_class: int = 2, seed: int = 0) -> None:
    """Write tiny class folders."""
    random = np.random.default_rng(seed)
    for split, usages in (("train", ("Training",)), ("test", ("PublicTest", "PrivateTest"))):
        for name in ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"):
            folder = Path(root) / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                face = random.integers(0, 255, (48, 48), dtype=np.uint8)
                number = random.integers(10**7, 10**8)
                cv2.imwrite(str(folder / f"{usages[i % len(usages)]}_{number}.jpg"), face)


def fake_plus(root: Path, rows: int = 10, seed: int = 0) -> None:
    """Write the three tiny folders of FER+."""
    random = np.random.default_rng(seed)
    number = 0
    for part in PARTS:
        folder = Path(root) / part
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "label.csv", "w", newline="") as file:
            for _ in range(rows):
                count = np.zeros(len(VOTES), int)
                count[VOTES.index(FER2013_ORDER[number % 7])] = 8
                count[int(random.integers(0, len(VOTES)))] += 2
                csv.writer(file).writerow([f"fer{number:07d}.png", "(0, 0, 48, 48)", *count])
                face = random.integers(0, 255, (48, 48), dtype=np.uint8)
                cv2.imwrite(str(folder / f"fer{number:07d}.png"), face)
                number += 1


FAKES["fer2013-folders"] = fake
FAKES["ferplus-folders"] = fake_plus
