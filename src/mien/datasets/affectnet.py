"""AffectNet: web faces annotated by hand with a category, valence and arousal.

Paper: Mollahosseini, Hasani, Mahoor, "AffectNet: a database for facial expression, valence, and arousal computing in
    the wild", IEEE Transactions on Affective Computing 2019.
Layout: the full release, `Manually_Annotated_file_lists/{training,validation}.csv` (subDirectory_filePath, face_x,
    face_y, face_width, face_height, facial_landmarks, expression, valence, arousal; the header may be missing) with
    `Manually_Annotated_Images/<n>/<hash>.<type>`, at the root or below `Manually_Annotated` or
    `Manually_Annotated_compressed`; or the release of eight labels, `{train,val}_set/images/<n>.jpg` (224x224, cut out)
    with `{train,val}_set/annotations/<n>_{exp,val,aro,lnd}.npy`. Both as public readers of the set describe them;
    untried on the real trees. The 68 landmarks are not read.
Labels: 0 neutral 1 happiness 2 sadness 3 surprise 4 fear 5 disgust 6 anger 7 contempt 8 none 9 uncertain 10 no face;
    faces of the last three, and for `affectnet-7` of contempt, are left out.
Licence: research only, by agreement, no redistribution.
"""

from __future__ import annotations

import contextlib
import csv
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.arrays import read_npy, read_npz
from mien.datasets.media import Box, Pictures
from mien.datasets.webface import pictures_in
from mien.errors import DataError
from mien.labels import BASIC7, FERPLUS8

ORDER = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
CODES = {str(code): name for code, name in enumerate((*ORDER, "none", "uncertain", "no face"))}
COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
ABOVE = ("", "Manually_Annotated", "Manually_Annotated_compressed", "AffectNet", "AffectNet/Manually_Annotated")
LICENCE = "research only, by agreement"


@dataclass
class _Faces:
    paths: list[Path]
    boxes: list[Box | None]
    names: list[str]
    split: list[int]
    valence: list[float]
    arousal: list[float]


def _read_csv(path: Path, images: Path, split: int, faces: _Faces) -> None:
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row or (number == 1 and row[0] == COLUMNS[0]):
                continue
            try:
                name, *box, _, code, valence, arousal = row
                x, y, width, height = (float(v) for v in box)
                label, affect = CODES[code.strip()], (float(valence), float(arousal))
            except (ValueError, KeyError) as error:
                raise DataError(
                    f"{path}, line {number}: expected {', '.join(COLUMNS)}, expression 0..10: {error}"
                ) from error
            faces.paths.append(images / name)
            faces.boxes.append((x, y, x + width, y + height) if width > 0 and height > 0 else None)
            faces.names.append(label)
            faces.split.append(split)
            faces.valence.append(affect[0])
            faces.arousal.append(affect[1])


def _scalar(path: Path) -> float:
    try:
        return float(read_npy(path).item())  # some are stored as text
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is missing or does not hold one number ({error})") from error


def _read_annotations(folder: Path, names: list[str]) -> np.ndarray:
    """Expression, valence and arousal [N, 3]; kept beside the pictures, for they are a million small files."""
    cache = folder / f".affectnet-{len(names)}.npz"
    with contextlib.suppress(DataError, KeyError):
        arrays = read_npz(cache)
        if arrays["names"].tolist() == names:
            return np.asarray(arrays["values"])
    notes = folder / "annotations"
    stems = [name.rsplit(".", 1)[0] for name in names]
    values = np.array([[_scalar(notes / f"{stem}_{kind}.npy") for kind in ("exp", "val", "aro")] for stem in stems])
    with contextlib.suppress(OSError):
        part = cache.with_name(f"{cache.stem}-{os.getpid()}.npz")
        np.savez(part, names=np.array(names), values=values)
        os.replace(part, cache)
    return values


def _read_set(folder: Path, split: int, faces: _Faces) -> None:
    names = sorted(pictures_in(folder / "images"), key=lambda name: (len(name), name))
    for name, (code, valence, arousal) in zip(names, _read_annotations(folder, names), strict=True):
        if f"{code:g}" not in CODES:
            raise DataError(f"{folder}: the expression of {name} is {code:g}; expected 0..10")
        faces.paths.append(folder / "images" / name)
        faces.boxes.append(None)
        faces.names.append(CODES[f"{code:g}"])
        faces.split.append(split)
        faces.valence.append(valence)
        faces.arousal.append(arousal)


def _read(root: Path) -> _Faces:
    faces = _Faces([], [], [], [], [], [])
    for above in (root / name for name in ABOVE):
        for folder, split in (("train_set", "train"), ("val_set", "val")):
            if (above / folder / "annotations").is_dir():
                _read_set(above / folder, SPLITS.index(split), faces)
    if faces.paths:
        return faces
    lists = [root / above / "Manually_Annotated_file_lists" for above in ABOVE] + [root]
    images = [root / above / "Manually_Annotated_Images" for above in ABOVE]
    pictures = next((folder for folder in images if folder.is_dir()), images[0])
    for file, split in (("training.csv", "train"), ("validation.csv", "val")):
        path = next((folder / file for folder in lists if (folder / file).is_file()), None)
        if path is not None:
            _read_csv(path, pictures, SPLITS.index(split), faces)
    if not faces.paths:
        raise DataError(
            f"{root} holds neither Manually_Annotated_file_lists/training.csv nor train_set/annotations with rows"
        )
    return faces


def _affectnet(root: Path, labels: tuple[str, ...]) -> Index:
    faces = _read(Path(root))
    targets, majority = one_hot(faces.names, labels)
    affect = {"valence": faces.valence, "arousal": faces.arousal}
    extra = {name: np.array(values, np.float32) for name, values in affect.items()}
    for values in extra.values():
        values[values < -1] = np.nan  # -2 says that there is none
    pictures = Pictures(faces.paths, boxes=faces.boxes)
    nobody = np.full(len(faces.paths), "")
    split = np.array(faces.split, np.int64)
    return Index(labels, targets, majority, split, nobody, {"face": pictures}, extra)[majority >= 0]


@DATASETS.register("affectnet-8", samples=291651, modalities=("face",), labels=FERPLUS8, licence=LICENCE)
def affectnet_eight(root: Path) -> Index:
    """AffectNet with eight expressions: 287,651 to train on and 4,000 (3,999 in the smaller release) of `val`.

    `val` is what the literature reports on, for the test part was never published. RGB faces cut out by the boxes
    given, or as released. `extra` has `valence` and `arousal` in [-1, 1], nan where there are none.

    Raises:
        DataError: neither layout is found, or an annotation is malformed.
    """
    return _affectnet(root, FERPLUS8)


@DATASETS.register("affectnet-7", samples=287401, modalities=("face",), labels=BASIC7, licence=LICENCE)
def affectnet_seven(root: Path) -> Index:
    """AffectNet without contempt: 283,901 to train on and 3,500 of `val`; else as `affectnet-8`."""
    return _affectnet(root, BASIC7)


def fake(root: Path, rows: int = 11, seed: int = 0) -> None:
    """Write tiny lists and pictures in the layout of the full release."""
    random = np.random.default_rng(seed)
    lists = Path(root) / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True, exist_ok=True)
    for file, folder in (("training.csv", "1"), ("validation.csv", "2")):
        images = Path(root) / "Manually_Annotated_Images" / folder
        images.mkdir(parents=True, exist_ok=True)
        with open(lists / file, "w", newline="") as out:
            lines = csv.writer(out)
            lines.writerow(COLUMNS)
            for code in range(rows):
                name = f"{random.bytes(28).hex()}.jpg"
                cv2.imwrite(str(images / name), random.integers(0, 255, (64, 64, 3), dtype=np.uint8))
                points = ";".join(f"{v:.2f}" for v in random.uniform(10, 54, 136))
                affect = random.uniform(-1, 1, 2).round(6).tolist() if code % 11 < 9 else [-2, -2]
                lines.writerow([f"{folder}/{name}", 7, 7, 50, 50, points, code % 11, *affect])


def fake_set(root: Path, rows: int = 8, seed: int = 0) -> None:
    """Write a tiny tree in the layout of the release of eight labels."""
    random = np.random.default_rng(seed)
    for folder in ("train_set", "val_set"):
        for part in ("images", "annotations"):
            (Path(root) / folder / part).mkdir(parents=True, exist_ok=True)
        for number in range(rows):
            notes = Path(root) / folder / "annotations"
            picture = random.integers(0, 255, (56, 56, 3), dtype=np.uint8)
            cv2.imwrite(str(Path(root) / folder / "images" / f"{number}.jpg"), picture)
            np.save(notes / f"{number}_exp.npy", np.array(str(number % 8)))
            for kind in ("val", "aro"):
                np.save(notes / f"{number}_{kind}.npy", np.array(str(random.uniform(-1, 1))))
            np.save(notes / f"{number}_lnd.npy", random.uniform(0, 56, 136))


FAKES["affectnet-7"] = fake
FAKES["affectnet-8"] = fake_set
