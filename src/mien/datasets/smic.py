"""SMIC: spontaneous micro-expressions, filmed at 100 frames a second (HS), at 25 (VIS) and in near infrared (NIR).

Paper: Li et al., "A spontaneous micro-expression database: inducement, collection and baseline", FG 2013.
Layout: `SMIC_all_cropped/HS/s03/micro/negative/s3_ne_01/reg_image37.bmp` (HS, VIS or NIR; `SMIC_all_raw` for the uncut
    frames); a clip folder runs from onset to offset. Frame names from memory of the release notes, untried on the real
    tree: any picture whose name ends in its number is taken.
Labels: negative, positive, surprise: HS 164 clips of 16 people (70, 51, 43), VIS and NIR 71 clips of 8 people each.
Licence: signed agreement, research only.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.micro import UNKNOWN, Clip, frame_number, list_frames, make_index
from mien.errors import DataError
from mien.labels import MICRO3

LICENCE = "signed agreement, research only"


def _read(root: Path, part: str) -> Index:
    places = (root / "SMIC_all_cropped" / part, root / "SMIC_all_raw" / part, root / "SMIC" / part, root / part)
    folder = next((place for place in places if place.is_dir()), None)
    folders = sorted(folder.glob("s*/micro/*/*/")) if folder is not None else []
    if not folders:
        raise DataError(f"{root} holds no SMIC_all_cropped/{part}/s03/micro/negative/s3_ne_01/")
    clips = []
    for clip in folders:
        emotion, person = clip.parent.name.lower(), re.fullmatch(r"s(\d+)", clip.parent.parent.parent.name)
        if emotion not in MICRO3 or person is None:
            raise DataError(f"{clip}: expected s<number>/micro/<{' or '.join(MICRO3)}>/<clip>")
        frames = list_frames(clip)
        subject, ends = f"s{int(person.group(1)):02d}", (frame_number(frames[0]), frame_number(frames[-1]))
        clips.append(Clip(subject, clip.name, emotion, ends[0], UNKNOWN, ends[1], tuple(frames)))
    return make_index(clips, {name: name for name in MICRO3}, MICRO3)


@DATASETS.register("smic", samples=164, subjects=16, modalities=("frames",), labels=MICRO3, licence=LICENCE)
def smic(root: Path) -> Index:
    """SMIC at 100 frames a second (HS); the apex is unknown; leave one subject out.

    Raises:
        DataError: the folder has another layout.
    """
    return _read(Path(root), "HS")


@DATASETS.register("smic-vis", samples=71, subjects=8, modalities=("frames",), labels=MICRO3, licence=LICENCE)
def smic_vis(root: Path) -> Index:
    """SMIC in colour at 25 frames a second.

    Raises:
        DataError: the folder has another layout.
    """
    return _read(Path(root), "VIS")


@DATASETS.register("smic-nir", samples=71, subjects=8, modalities=("frames",), labels=MICRO3, licence=LICENCE)
def smic_nir(root: Path) -> Index:
    """SMIC in near infrared at 25 frames a second.

    Raises:
        DataError: the folder has another layout.
    """
    return _read(Path(root), "NIR")


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the authors' layout, all three cameras."""
    random = np.random.default_rng(seed)
    for part in ("HS", "VIS", "NIR"):
        for subject in (3, 11):
            for emotion, short in (("negative", "ne"), ("positive", "po"), ("surprise", "sur")):
                for clip in (1, 2):
                    folder = Path(root) / "SMIC_all_cropped" / part / f"s{subject:02d}" / "micro" / emotion
                    folder /= f"s{subject}_{short}_{clip:02d}"
                    folder.mkdir(parents=True, exist_ok=True)
                    for frame in range(97, 97 + 5):
                        face = random.integers(0, 255, (14, 12, 3), dtype=np.uint8)
                        cv2.imwrite(str(folder / f"reg_image{frame}.bmp"), face)


FAKES["smic"] = FAKES["smic-vis"] = FAKES["smic-nir"] = fake
