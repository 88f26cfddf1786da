"""SAMM: spontaneous micro-facial movements of 32 people of 13 ethnicities, 200 frames a second.

Paper: Davison et al., "SAMM: a spontaneous micro-facial movement dataset", IEEE Trans. Affective Computing 9(1), 2018.
Layout: `SAMM_Micro_FACS_Codes_v2.xlsx` (the header stands in row 14: Subject, Filename, Inducement Code, Onset Frame,
    Apex Frame, Offset Frame, Duration, Micro, Action Units, Estimated Emotion, Objective Classes, Notes) and
    `006/006_1_2/006_05562.jpg`, beside the sheet or in `SAMM/` or `SAMM_CROP/`. Untried on the real tree.
Labels: 159 clips: anger 57, contempt 12, disgust 9, fear 8, happiness 26, other 26, sadness 6, surprise 15. Five
    classes keep the 136 clips of the frequent ones; three classes follow the 2019 grand challenge: 133 clips.
Licence: signed agreement, research only.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.micro import Clip, make_index, read_clips
from mien.datasets.workbooks import write_xlsx
from mien.errors import DataError
from mien.labels import MICRO3

SAMM5 = ("anger", "contempt", "happiness", "others", "surprise")
SAMM8 = ("anger", "contempt", "disgust", "fear", "happiness", "others", "sadness", "surprise")
OWN = {"other": "others", **{name: name for name in SAMM8}}
NEGATIVE = ("anger", "contempt", "disgust", "fear", "sadness")
THREE = {**dict.fromkeys(NEGATIVE, "negative"), "happiness": "positive", "surprise": "surprise"}
LICENCE = "signed agreement, research only"


def _read(root: Path) -> list[Clip]:
    places = [root, root / "SAMM", root / "SAMM_CROP"]
    sheets = [path for place in places for path in sorted(place.glob("SAMM_Micro_FACS_Codes*"))]
    sheets = [path for path in sheets if path.suffix.lower() in (".xlsx", ".csv")]
    folder = next((place for place in places if any(place.glob("[0-9][0-9][0-9]/"))), None)
    if not sheets or folder is None:
        raise DataError(f"{root} holds no SAMM_Micro_FACS_Codes_v2.xlsx beside 006/006_1_2/006_05562.jpg")
    return read_clips(sheets[0], folder, "{:03d}", "Onset Frame", "Apex Frame", "Offset Frame")


@DATASETS.register("samm", samples=136, subjects=29, modalities=("frames",), labels=SAMM5, licence=LICENCE)
def samm(root: Path) -> Index:
    """SAMM in five classes, frames from onset to offset (the authors' grey, given as RGB); leave one subject out.

    Raises:
        DataError: the sheet or the frames are missing or malformed.
    """
    return make_index(_read(Path(root)), {key: name for key, name in OWN.items() if name in SAMM5}, SAMM5)


@DATASETS.register("samm-8", samples=159, subjects=29, modalities=("frames",), labels=SAMM8, licence=LICENCE)
def samm_eight(root: Path) -> Index:
    """SAMM with all eight words of its sheet.

    Raises:
        DataError: the sheet or the frames are missing or malformed.
    """
    return make_index(_read(Path(root)), OWN, SAMM8)


@DATASETS.register("samm-3", samples=133, subjects=28, modalities=("frames",), labels=MICRO3, licence=LICENCE)
def samm_three(root: Path) -> Index:
    """SAMM as negative, positive and surprise; `other` is left out.

    Raises:
        DataError: the sheet or the frames are missing or malformed.
    """
    return make_index(_read(Path(root)), THREE, MICRO3)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the authors' layout, the sheet's thirteen lines of remarks included."""
    random = np.random.default_rng(seed)
    emotions = ("Anger", "Contempt", "Happiness", "Other", "Surprise", "Disgust", "Fear", "Sadness")
    rows: list[list[str | int]] = [[f"Remark {line}"] for line in range(1, 14)]
    header = "Subject,Filename,Inducement Code,Onset Frame,Apex Frame,Offset Frame,Duration,Micro,Action Units"
    rows.append([*header.split(","), "Estimated Emotion", "Objective Classes", "Notes"])
    for number in range(16):
        subject, onset = f"{number % 3 + 6:03d}", 5560 + number
        name = f"{subject}_{number + 1}_2"
        rows.append([subject, name, 1, onset, onset + 2, onset + 4, 5, "1/2", "4+7", emotions[number % 8], 1, ""])
        folder = Path(root) / subject / name
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(onset, onset + 5):
            face = random.integers(0, 255, (26, 38), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{subject}_{frame:05d}.jpg"), face)
    write_xlsx(Path(root) / "SAMM_Micro_FACS_Codes_v2.xlsx", rows)


FAKES["samm"] = FAKES["samm-3"] = FAKES["samm-8"] = fake
