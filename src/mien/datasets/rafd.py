"""RaFD, the Radboud Faces Database: 67 people, eight expressions, three gazes, five cameras; 681x1024 colour.

Paper: Langner et al., "Presentation and validation of the Radboud Faces Database", Cognition & Emotion 2010.
Layout: `Rafd<camera>_<person>_<group>_<gender>_<expression>_<gaze>.jpg`, such as
    `Rafd090_01_Caucasian_female_angry_frontal.jpg`; the camera is 000, 045, 090 (frontal), 135 or 180 degrees.
Labels: angry contemptuous disgusted fearful happy neutral sad surprised.
Licence: research agreement.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Pictures
from mien.datasets.trees import build, named, write_noise
from mien.errors import DataError
from mien.labels import FERPLUS8

EXPRESSIONS = {
    "angry": "anger",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}
CAMERAS = ("000", "045", "090", "135", "180")
NAME = re.compile(
    rf"Rafd({'|'.join(CAMERAS)})_(\d+)_([A-Za-z]+)_(female|male)_({'|'.join(EXPRESSIONS)})_(frontal|left|right)",
    re.IGNORECASE,
)


@DATASETS.register(
    "rafd", samples=8040, subjects=67, modalities=("face",), labels=FERPLUS8, licence="research agreement"
)
def rafd(root: Path, frontal: bool = False) -> Index:
    """RaFD, without an official split: fold by subject.

    `extra` has `pose` (degrees the camera stands beside the frontal one), `gaze` (frontal, left, right), `gender` and
    `group` (Caucasian, Moroccan, Kid).

    Args:
        frontal: only the pictures of the frontal camera.

    Raises:
        DataError: no picture is named as the authors name theirs.
    """
    found = named(Path(root), NAME, "RaFD picture such as Rafd090_01_Caucasian_female_angry_frontal.jpg")
    if frontal:
        found = [(path, match) for path, match in found if match[1] == "090"]
        if not found:
            raise DataError(f"{root} holds no RaFD picture of the frontal camera, Rafd090_*.jpg")
    extra = {
        "pose": np.array([int(match[1]) - 90 for _, match in found], np.float32),
        "group": [match[3].lower() for _, match in found],
        "gender": [match[4].lower() for _, match in found],
        "gaze": [match[6].lower() for _, match in found],
    }
    names = [EXPRESSIONS[match[5].lower()] for _, match in found]
    subject = [match[2] for _, match in found]
    return build(FERPLUS8, names, {"face": Pictures([path for path, _ in found])}, subject, extra=extra)


@DATASETS.register(
    "rafd-frontal", samples=1608, subjects=67, modalities=("face",), labels=FERPLUS8, licence="research agreement"
)
def rafd_frontal(root: Path) -> Index:
    """RaFD, the frontal camera only."""
    return rafd(root, frontal=True)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: two people, two cameras, eight expressions."""
    random = np.random.default_rng(seed)
    for person in ("01_Caucasian_female", "29_Moroccan_male"):
        for camera in ("045", "090"):
            for expression in EXPRESSIONS:
                write_noise(Path(root) / f"Rafd{camera}_{person}_{expression}_frontal.jpg", random)


FAKES["rafd"] = FAKES["rafd-frontal"] = fake
