"""FER2013 and the FER+ votes.

Paper: Goodfellow et al., "Challenges in representation learning", ICONIP 2013; Barsoum et al., "Training deep networks
    for facial expression recognition with crowd-sourced label distribution", ICMI 2016.
Layout: `fer2013.csv` (emotion, pixels, Usage) and, for FER+, `fer2013new.csv` (Usage, Image name, ten vote columns).
Labels: FER2013 0 angry 1 disgust 2 fear 3 happy 4 sad 5 surprise 6 neutral; FER+ ten taggers over eight expressions,
    `unknown` and `NF` (not a face).
Licence: none stated for the pictures (ICML 2013 challenge, from a web search); the FER+ votes are MIT.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Arrays
from mien.errors import DataError
from mien.labels import BASIC7, FERPLUS8

USAGES = ("Training", "PublicTest", "PrivateTest")
FER2013_ORDER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")


def _read_faces(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    path = root / "fer2013.csv"
    if not path.is_file():
        raise DataError(f"{path} is missing; put Kaggle's fer2013.csv into {root}")
    cache = root / f".fer2013-{path.stat().st_size}.npz"
    if cache.is_file():
        with np.load(cache) as arrays:
            return arrays["pixels"], arrays["emotion"], arrays["usage"]
    pixels, emotion, usage = [], [], []
    with open(path, newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                face = np.array(row["pixels"].split(), np.uint8).reshape(48, 48)
                emotion.append(int(row["emotion"]))
                usage.append(USAGES.index(row["Usage"]))
            except (KeyError, ValueError) as error:
                raise DataError(f"{path}, line {number}: expected emotion, 2304 pixels and Usage: {error}") from error
            pixels.append(face)
    if not pixels:
        raise DataError(f"{path} has no rows")
    arrays3 = np.stack(pixels), np.array(emotion, np.int64), np.array(usage, np.int64)
    with contextlib.suppress(OSError):  # a read-only folder only costs the next run its ten seconds
        np.savez(cache, pixels=arrays3[0], emotion=arrays3[1], usage=arrays3[2])
    return arrays3


def _read_votes(root: Path, rows: int) -> np.ndarray:
    path = root / "fer2013new.csv"
    if not path.is_file():
        raise DataError(f"{path} is missing; put FER+'s fer2013new.csv beside fer2013.csv")
    with open(path, newline="") as file:
        votes = np.array([[int(row[name]) for name in VOTES] for row in csv.DictReader(file)], np.int64)
    if len(votes) != rows:
        raise DataError(f"{path} has {len(votes)} rows, fer2013.csv has {rows}; they must be of the same release")
    return votes


def same_pixels_as(pixels: np.ndarray) -> np.ndarray:
    """First row with the very same pixels, for each row [N]."""
    first: dict[bytes, int] = {}
    digests = (hashlib.md5(face.tobytes()).digest() for face in pixels)
    return np.array([first.setdefault(digest, row) for row, digest in enumerate(digests)])


@DATASETS.register(
    "fer2013", samples=35887, modalities=("face",), labels=BASIC7, licence="none stated for the pictures"
)
def fer2013(root: Path) -> Index:
    """FER2013 with its own seven labels; val is PublicTest, test is PrivateTest.

    Raises:
        DataError: a file is missing or malformed.
    """
    pixels, emotion, usage = _read_faces(Path(root))
    order = np.array([BASIC7.index(name) for name in FER2013_ORDER])
    majority = order[emotion]
    extra = {"same_pixels_as": same_pixels_as(pixels)}
    targets = np.eye(len(BASIC7), dtype=np.float32)[majority]
    unknown = np.full(len(pixels), "")
    return Index(BASIC7, targets, majority, usage, unknown, {"face": Arrays(pixels)}, extra)


@DATASETS.register(
    "ferplus", samples=35887, modalities=("face",), labels=FERPLUS8, licence="votes MIT; none stated for the pictures"
)
def ferplus(root: Path) -> Index:
    """FER+ with eight expressions and soft votes; val is PublicTest, test is PrivateTest.

    `targets` are the votes for the eight expressions, normalised; rows without any are left out. `majority` is the
    first maximum in the csv's column order, -1 where that is `unknown` or `NF`. `extra` has `votes` (counts [N, 8]),
    `fer2013` (the original label, index into FERPLUS8), `clean7` (more than five taggers agree on one of FER2013's
    seven; index into FERPLUS8, else -1) and `same_pixels_as`.

    Raises:
        DataError: a file is missing or malformed.
    """
    base = fer2013(Path(root))
    votes = _read_votes(Path(root), len(base))
    columns = [VOTES.index(name) for name in FERPLUS8]
    counts = votes[:, columns].astype(np.float32)
    to_index = np.array([FERPLUS8.index(name) if name in FERPLUS8 else -1 for name in VOTES])
    majority = to_index[votes.argmax(1)]
    agreed = votes.max(1) > 5
    clean7 = np.where(agreed & (majority != FERPLUS8.index("contempt")), majority, -1)
    original = np.array([FERPLUS8.index(name) for name in BASIC7])[base.majority]
    same = base.extra["same_pixels_as"]
    extra = {"votes": votes[:, columns], "fer2013": original, "clean7": clean7, "same_pixels_as": same}
    total = counts.sum(1)
    keep = total > 0
    targets = counts / np.maximum(total, 1)[:, None]
    return Index(FERPLUS8, targets, majority, base.split, base.subject, base.media, extra)[keep]


def fake(root: Path, rows: int = 60, seed: int = 0) -> None:
    """Write a tiny fer2013.csv and fer2013new.csv: noise faces whose brightness depends on the label."""
    random = np.random.default_rng(seed)
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    usages = ["Training"] * (rows - 2 * (rows // 4)) + ["PublicTest"] * (rows // 4) + ["PrivateTest"] * (rows // 4)
    with open(root / "fer2013.csv", "w", newline="") as faces, open(root / "fer2013new.csv", "w", newline="") as votes:
        face_rows, vote_rows = csv.writer(faces), csv.writer(votes)
        face_rows.writerow(["emotion", "pixels", "Usage"])
        vote_rows.writerow(["Usage", "Image name", *VOTES])
        for row, usage in enumerate(usages):
            emotion = row % 7
            face = random.integers(0, 90, 48 * 48) + 20 * emotion
            face_rows.writerow([emotion, " ".join(map(str, face)), usage])
            count = np.zeros(len(VOTES), int)
            count[VOTES.index(FER2013_ORDER[emotion])] = 8
            count[int(random.integers(0, len(VOTES)))] += 2
            vote_rows.writerow([usage, f"fer{row:07d}.png", *count])


FAKES["fer2013"] = FAKES["ferplus"] = fake
