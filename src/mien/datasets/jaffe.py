"""JAFFE: 213 posed expressions of ten Japanese women, grey 256x256.

Paper: Lyons, Akamatsu, Kamachi, Gyoba, "Coding facial expressions with Gabor wavelets", FG 1998.
Layout: `jaffe/<subject>.<expression><take>.<number>.tiff`, such as `KA.AN1.39.tiff`; any folder depth and picture
    suffix will do.
Labels: AN anger, DI disgust, FE fear, HA happiness, NE neutral, SA sadness, SU surprise.
Licence: non-commercial research, no redistribution.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Pictures
from mien.datasets.trees import build, named, write_noise
from mien.labels import BASIC7

CODES = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
NAME = re.compile(rf"([A-Z]{{2}})\.+({'|'.join(CODES)})(\d)\.+(\d+)(?:\.tiff?)?", re.IGNORECASE)


@DATASETS.register(
    "jaffe", samples=213, subjects=10, modalities=("face",), labels=BASIC7, licence="non-commercial research"
)
def jaffe(root: Path) -> Index:
    """JAFFE, grey, without an official split: fold by subject.

    Raises:
        DataError: no picture is named as the authors name theirs.
    """
    found = named(Path(root), NAME, "JAFFE picture such as KA.AN1.39.tiff")
    names = [CODES[match[2].upper()] for _, match in found]
    faces = Pictures([path for path, _ in found], grey=True)
    return build(BASIC7, names, {"face": faces}, [match[1].upper() for _, match in found])


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: two women, one take of each expression."""
    random = np.random.default_rng(seed)
    for first, subject in ((26, "KA"), (63, "KL")):
        for number, code in enumerate(CODES, first):
            write_noise(Path(root) / "jaffe" / f"{subject}.{code}1.{number}.tiff", random, grey=True)


FAKES["jaffe"] = fake
