"""CASME II: spontaneous micro-expressions at 200 frames a second, coded with onset, apex and offset.

Paper: Yan et al., "CASME II: an improved spontaneous micro-expression database and the baseline evaluation", PLoS ONE
    9(1), 2014.
Layout: `CASME2-coding-20140508.xlsx` (Subject, Filename, OnsetFrame, ApexFrame, OffsetFrame, Action Units, Estimated
    Emotion) and `Cropped/sub01/EP02_01f/reg_img46.jpg`, or the uncut `CASME2_RAW_selected/sub01/EP02_01f/img46.jpg`.
    Untried on the real tree.
Labels: of the sheet's 255 clips, 246 are disgust 63, happiness 32, others 99, repression 27, surprise 25; fear (2) and
    sadness (7) have no class. Three classes by the rule of the 2019 grand challenge: disgust and repression are
    negative, happiness positive. The challenge's own list has 145 of these 147 clips: read it with `megc2019`.
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
from mien.labels import MICRO3, MICRO5

FOLDERS = ("Cropped", "CASME2_RAW_selected", "CASME2_RAW_selected/CASME2_RAW_selected", "CASME2-RAW", "CASME2_RAW")
THREE = {"disgust": "negative", "repression": "negative", "happiness": "positive", "surprise": "surprise"}
LICENCE = "signed agreement, research only"


def _read(root: Path) -> list[Clip]:
    sheets = sorted(root.glob("CASME2-coding*.xlsx")) or sorted(root.glob("CASME2-coding*.csv"))
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), None)
    if not sheets or folder is None:
        raise DataError(f"{root} holds no CASME2-coding-20140508.xlsx beside Cropped/ or CASME2_RAW_selected/")
    return read_clips(sheets[0], folder, "sub{:02d}", "OnsetFrame", "ApexFrame", "OffsetFrame")


@DATASETS.register("casme2", samples=246, subjects=26, modalities=("frames",), labels=MICRO5, licence=LICENCE)
def casme2(root: Path) -> Index:
    """CASME II in five classes, RGB frames from onset to offset; leave one subject out.

    Raises:
        DataError: the sheet or the frames are missing or malformed.
    """
    return make_index(_read(Path(root)), {name: name for name in MICRO5}, MICRO5)


@DATASETS.register("casme2-3", samples=147, subjects=26, modalities=("frames",), labels=MICRO3, licence=LICENCE)
def casme2_three(root: Path) -> Index:
    """CASME II as negative, positive and surprise; `others` is left out.

    Raises:
        DataError: the sheet or the frames are missing or malformed.
    """
    return make_index(_read(Path(root)), THREE, MICRO3)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the authors' layout; one apex is unknown (`/`), as in the sheet."""
    random = np.random.default_rng(seed)
    emotions = ("happiness", "disgust", "others", "repression", "surprise", "sadness")
    rows: list[list[str | int]] = [
        ["Subject", "Filename", "", "OnsetFrame", "ApexFrame", "OffsetFrame", "", "Action Units", "Estimated Emotion"]
    ]
    for number in range(12):
        subject, name, onset = f"{number % 3 + 1:02d}", f"EP{number:02d}_01f", 40 + number
        apex: str | int = "/" if number == 3 else onset + 2
        rows.append([subject, name, "", onset, apex, onset + 4, "", "12", emotions[number % 6]])
        folder = Path(root) / "Cropped" / f"sub{subject}" / name
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(onset - 1, onset + 6):
            face = random.integers(0, 255, (28, 23, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"reg_img{frame}.jpg"), face)
    write_xlsx(Path(root) / "CASME2-coding-20140508.xlsx", rows)


FAKES["casme2"] = FAKES["casme2-3"] = fake
