"""CASIA-WebFace: faces with identities, for pre-training.

Paper: Yi, Lei, Liao, Li, "Learning face representation from scratch", arXiv 1411.7923, 2014.
Layout: `<seven digits>/<three digits>.jpg`, 250x250, a folder a person, at the root or in `CASIA-WebFace`. Untried on
    the real tree; releases that others have aligned differ in size only. A `.rec` file of InsightFace is not read.
Labels: none; `extra["identity"]` numbers the people from 0 in order of their folders.
Licence: research only, by agreement.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index
from mien.datasets.media import Media, Pictures
from mien.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
FOLDER = re.compile(r"\d{5,8}")


def pictures_in(folder: Path) -> list[str]:
    """Names of the pictures of a folder, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))


def identities(people: Sequence[str], faces: Media, extra: dict[str, np.ndarray] | None = None) -> Index:
    """An index without labels, whose `subject` is the person and whose `extra["identity"]` a number for each."""
    rows, subject = len(people), np.array(people)
    _, identity = np.unique(subject, return_inverse=True)
    return Index(
        labels=(),
        targets=np.zeros((rows, 0), np.float32),
        majority=np.full(rows, -1, np.int64),
        split=np.full(rows, NO_SPLIT, np.int64),
        subject=subject,
        media={"face": faces},
        extra={"identity": identity.reshape(-1), **(extra or {})},
    )


@DATASETS.register(
    "casia-webface",
    samples=494414,
    subjects=10575,
    modalities=("face",),
    labels=(),
    licence="research only, by agreement",
)
def webface(root: Path) -> Index:
    """CASIA-WebFace, RGB; no labels and no split. Keep people apart that a test set shares.

    Raises:
        DataError: no folder of a person is found.
    """
    root = Path(root)
    for base in (root, root / "CASIA-WebFace"):
        people = sorted(f for f in base.glob("[0-9]*") if FOLDER.fullmatch(f.name)) if base.is_dir() else []
        paths = [person / name for person in people for name in pictures_in(person)]
        if paths:
            return identities([path.parent.name for path in paths], Pictures(paths))
    raise DataError(f"{root} holds no folders of people such as 0000045/001.jpg")


def fake(root: Path, people: int = 3, seed: int = 0) -> None:
    """Write a tiny tree in the same layout."""
    random = np.random.default_rng(seed)
    for person in range(people):
        folder = Path(root) / f"{45 + 55 * person:07d}"
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(3):
            face = random.integers(0, 255, (50, 50, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{i + 1:03d}.jpg"), face)


FAKES["casia-webface"] = fake
