"""KDEF, the Karolinska Directed Emotional Faces: 70 people, seven expressions, five angles, two sessions; 562x762.

Paper: Lundqvist, Flykt, Ohman, "The Karolinska Directed Emotional Faces", Karolinska Institutet 1998.
Layout: `KDEF_and_AKDEF/KDEF/AF01/AF01AFS.JPG`: session A or B, F or M, person 01..35, expression, angle. The averaged
    faces of AKDEF and pictures with other names are passed over.
Labels: AF fear, AN anger, DI disgust, HA happiness, NE neutral, SA sadness, SU surprise.
Licence: non-commercial research.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Pictures
from mien.datasets.trees import build, named, write_noise
from mien.errors import DataError
from mien.labels import BASIC7

CODES = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
ANGLES = {"FL": -90, "HL": -45, "S": 0, "HR": 45, "FR": 90}
"""Full and half profile left, straight, half and full profile right; degrees."""
NAME = re.compile(rf"([AB])([FM])(\d{{2}})({'|'.join(CODES)})({'|'.join(ANGLES)})", re.IGNORECASE)


@DATASETS.register(
    "kdef", samples=4900, subjects=70, modalities=("face",), labels=BASIC7, licence="non-commercial research"
)
def kdef(root: Path, frontal: bool = False) -> Index:
    """KDEF, without an official split: fold by subject; both sessions of a person are one subject.

    `extra` has `pose` (degrees, left is negative), `gender` and `session` (A, B).

    Args:
        frontal: only the faces that look straight into the camera.

    Raises:
        DataError: no picture is named as the authors name theirs.
    """
    found = named(Path(root), NAME, "KDEF picture such as KDEF/AF01/AF01AFS.JPG")
    if frontal:
        found = [(path, match) for path, match in found if match[5].upper() == "S"]
        if not found:
            raise DataError(f"{root} holds no KDEF picture of a straight face, such as AF01AFS.JPG")
    extra = {
        "pose": np.array([ANGLES[match[5].upper()] for _, match in found], np.float32),
        "gender": [{"F": "female", "M": "male"}[match[2].upper()] for _, match in found],
        "session": [match[1].upper() for _, match in found],
    }
    names = [CODES[match[4].upper()] for _, match in found]
    subject = [match[2].upper() + match[3] for _, match in found]
    return build(BASIC7, names, {"face": Pictures([path for path, _ in found])}, subject, extra=extra)


@DATASETS.register(
    "kdef-frontal", samples=980, subjects=70, modalities=("face",), labels=BASIC7, licence="non-commercial research"
)
def kdef_frontal(root: Path) -> Index:
    """KDEF, straight faces only."""
    return kdef(root, frontal=True)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: one woman and one man, seven expressions, two angles."""
    random = np.random.default_rng(seed)
    for person in ("AF01", "BM02"):
        for code in CODES:
            for angle in ("S", "HL"):
                write_noise(Path(root) / "KDEF_and_AKDEF" / "KDEF" / person / f"{person}{code}{angle}.JPG", random)


FAKES["kdef"] = FAKES["kdef-frontal"] = fake
