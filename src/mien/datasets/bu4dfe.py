"""BU-4DFE: six expressions as sequences of scans, 25 a second, from neutral to the peak and back.

Paper: Yin, Chen, Sun, Worm, Reale, "A high-resolution 3D dynamic facial expression database", FG 2008.
Layout: `F001/Angry/000.wrl` and its picture `000.jpg`, folders Angry Disgust Fear Happy Sad Surprise; F women, M men.
    Layout as in public readers of the release, untried on the real tree; that z points to the camera is from memory.
Labels: the six basic emotions; no neutral sequences.
Licence: agreement with Binghamton University, research only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Media
from mien.datasets.recordings import FrameFolders, find
from mien.datasets.scan_views import ScanClips
from mien.datasets.scans import ScanFolders, cloud, depth, write_scan
from mien.errors import DataError
from mien.labels import BASIC6

FOLDERS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Sad": "sadness",
    "Surprise": "surprise",
}


@DATASETS.register(
    "bu4dfe",
    samples=606,
    subjects=101,
    modalities=("frames", "points", "depth"),
    labels=BASIC6,
    licence="agreement with Binghamton University, research only",
)
def bu4dfe(root: Path, most: int = 16) -> Index:
    """BU-4DFE, without an official split: fold by subject.

    `frames` are the pictures [T, H, W, 3], `points` 2,048 vertices of each scan [T, 2048, 3] (scans differ in size and
    are not registered), `depth` the scans seen from the front [T, 112, 112]. `extra` has `gender`.

    Args:
        most: read at most this many moments of a sequence, spread evenly; a scan takes two tenths of a second. 0 reads
            all, about 100.

    Raises:
        DataError: no sequence is found, or an expression's folder has a strange name.
    """
    patterns = ("[FM][0-9][0-9][0-9]/*/", "*/[FM][0-9][0-9][0-9]/*/")
    paths = [path for path in find(Path(root), patterns, "F001/Angry/000.wrl, ...") if path.is_dir()]
    strange = sorted({path.name for path in paths} - set(FOLDERS))
    if strange or not paths:
        raise DataError(f"{root}: unknown folders {', '.join(strange)}; expected {', '.join(FOLDERS)} in each person's")
    targets, majority = one_hot([FOLDERS[path.name] for path in paths], BASIC6)
    subject = np.array([path.parent.name for path in paths])
    media: dict[str, Media] = {
        "frames": FrameFolders(paths, most=most),
        "points": ScanFolders(paths, cloud, most=most),
        "depth": ScanFolders(paths, depth, most=most),
    }
    extra = {"gender": np.array([person[0] for person in subject])}
    return Index(BASIC6, targets, majority, np.full(len(paths), NO_SPLIT), subject, media, extra)


@DATASETS.register(
    "bu4dfe-aligned",
    samples=606,
    subjects=101,
    modalities=("frames", "depth"),
    labels=BASIC6,
    licence="agreement with Binghamton University, research only",
)
def bu4dfe_aligned(root: Path, most: int = 8, size: int = 48) -> Index:
    """BU-4DFE in one scale, without an official split: fold by subject.

    `depth` is z in mm float32 [T, S, S], NaN where nothing was measured, in a window of 160 mm that stays where the
    first scan lies, for the release has no landmarks; `frames` the pictures.

    Args:
        most: read at most this many moments of a sequence, spread evenly; 0 reads all.
        size: S.

    Raises:
        DataError: as `bu4dfe`.
    """
    index = bu4dfe(root, most)
    folders = tuple(index.media["depth"].files(row)[0].parent for row in range(len(index)))
    return replace(index, media={"frames": index.media["frames"], "depth": ScanClips(folders, most, size)})


def fake(root: Path, seed: int = 0) -> None:
    """Write two people's sequences of three scans."""
    random = np.random.default_rng(seed)
    for person in ("F001", "M001"):
        for emotion in FOLDERS:
            folder = Path(root) / person / emotion
            folder.mkdir(parents=True)
            for moment in range(3):
                write_scan(folder / f"{moment:03d}.wrl", random, side=6 + moment)
                cv2.imwrite(str(folder / f"{moment:03d}.jpg"), random.integers(0, 255, (20, 16, 3), dtype=np.uint8))


FAKES["bu4dfe"] = FAKES["bu4dfe-aligned"] = fake
