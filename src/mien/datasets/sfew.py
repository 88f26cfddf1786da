"""SFEW 2.0: faces from films, the still part of EmotiW 2015; 958 train, 436 val and 372 test pictures.

Paper: Dhall et al., "Video and image based emotion recognition challenges in the wild: EmotiW 2015", ICMI 2015.
Layout: `Train/Train_Aligned_Faces/Angry/<film>_<time>_<frame>.png`, `Val/Val_Aligned_Faces_new/...` (or without
    `_new`), `Test/Test_Aligned_Faces/*.png` without labels; or without the outer folders, or whole pictures in
    `Train/Angry`.
Labels: Angry Disgust Fear Happy Neutral Sad Surprise.
Licence: EmotiW research agreement.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index
from mien.datasets.media import Pictures
from mien.datasets.trees import PICTURES, build, files_below, locate, write_noise
from mien.errors import DataError
from mien.labels import BASIC7

FOLDERS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}


def _rows(root: Path, split: str) -> list[tuple[Path, str]]:
    """(picture, label) of a split; the label is "" for a picture that lies in no emotion's folder."""
    name = split.title()
    place = locate(root, f"{name}_Aligned_Faces_new", f"{name}_Aligned_Faces", name)
    if place is None:
        return []
    rows = []
    for path in files_below(place, PICTURES):
        parents = (part.lower() for part in path.relative_to(place).parts[:-1])
        rows.append((path, next((FOLDERS[part] for part in parents if part in FOLDERS), "")))
    return rows


@DATASETS.register("sfew", samples=1766, modalities=("face",), labels=BASIC7, licence="EmotiW research agreement")
def sfew(root: Path) -> Index:
    """SFEW 2.0, aligned faces where they are there, the official split.

    Test labels were never published: `majority` is -1 there, and papers report val. Aligned faces are fewer than
    pictures, for the authors' detector missed some. `extra` has `sequence` (film and time) and `film`.

    Raises:
        DataError: no split is found, or a picture of train or val lies in no emotion's folder.
    """
    root = Path(root)
    rows = [(path, label, number) for number, split in enumerate(SPLITS) for path, label in _rows(root, split)]
    if not rows:
        raise DataError(f"{root} holds no Train/Train_Aligned_Faces/Angry/*.png, the SFEW 2.0 layout")
    for path, label, number in rows:
        if not label and SPLITS[number] != "test":
            raise DataError(f"{path} lies in none of the folders {', '.join(name.title() for name in FOLDERS)}")
    extra = {
        "film": [path.stem.split("_")[0] for path, _, _ in rows],
        "sequence": [path.stem.rpartition("_")[0] or path.stem for path, _, _ in rows],
    }
    faces = Pictures([path for path, _, _ in rows])
    names, split = [label for _, label, _ in rows], [number for _, _, number in rows]
    return build(BASIC7, names, {"face": faces}, split=split, extra=extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: two faces a class in train, one in val, and three unlabelled ones in test."""
    random, root = np.random.default_rng(seed), Path(root)
    for number, folder in enumerate(FOLDERS):
        for split, place, faces in (("Train", "Train_Aligned_Faces", 2), ("Val", "Val_Aligned_Faces_new", 1)):
            for frame in range(faces):
                name = f"Film{number % 3}_{split == 'Val':d}0{number}425240_{frame:08d}.png"
                write_noise(root / split / place / folder.title() / name, random)
    for number in range(3):
        write_noise(root / "Test" / "Test_Aligned_Faces" / f"Film9_00{number}525240_00000001.png", random)


FAKES["sfew"] = fake
