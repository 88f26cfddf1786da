"""BU-3DFE: scanned faces, six expressions at four strengths and neutral.

Paper: Yin, Wei, Sun, Wang, Rosato, "A 3D facial expression database for facial behavior research", FG 2006.
Layout: `F0001/F0001_AN01WH_F3D.wrl` (the cut mesh), `..._F3D.bnd` (83 landmarks), `..._F2D.bmp` (its picture),
    `..._RAW.wrl` (the whole head, not read); F women, M men. File names as in public readers of the release, untried
    on the real tree; that z points to the camera is from memory.
Labels: AN anger, DI disgust, FE fear, HA happiness, NE neutral (00), SA sadness, SU surprise, each 01 weak to 04
    strongest.
Licence: agreement with Binghamton University, research only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Media, Pictures
from mien.datasets.recordings import find, match
from mien.datasets.scan_views import AlignedScans, template
from mien.datasets.scans import Scans, depth, landmarks, vertices, write_scan
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
RACES = {
    "AE": "East Asian",
    "AM": "Middle-Eastern Asian",
    "BL": "Black",
    "IN": "Indian",
    "LA": "Hispanic or Latino",
    "WH": "White",
}
NAME = re.compile(r"([FM])(\d{4})_(AN|DI|FE|HA|NE|SA|SU)0([0-4])([A-Z]{2})_F3D")


@DATASETS.register(
    "bu3dfe",
    samples=2500,
    subjects=100,
    modalities=("face", "mesh", "points", "depth"),
    labels=BASIC7,
    licence="agreement with Binghamton University, research only",
)
def bu3dfe(root: Path) -> Index:
    """BU-3DFE, without an official split: fold by subject.

    `face` is the picture of the scan, `mesh` its vertices [V, 3], `points` the 83 landmarks [83, 3], `depth` the mesh
    seen from the front [112, 112]. `extra` has `intensity` (0 neutral, 1 weak to 4 strongest), `gender` and `race`.

    Raises:
        DataError: no scan is found, or one has a strange name.
    """
    expected = "F0001/F0001_AN01WH_F3D.wrl, ..."
    patterns = ("[FM][0-9]*/*_F3D.wrl", "*/[FM][0-9]*/*_F3D.wrl", "*_F3D.wrl")
    paths = find(Path(root), patterns, expected)
    names = [match(path, NAME, expected) for path in paths]
    targets, majority = one_hot([CODES[name[3]] for name in names], BASIC7)
    extra = {
        "intensity": np.array([int(name[4]) for name in names], np.int64),
        "gender": np.array([name[1] for name in names]),
        "race": np.array([RACES.get(name[5], name[5]) for name in names]),
    }
    media: dict[str, Media] = {
        "face": Pictures([path.with_name(path.name.replace("_F3D.wrl", "_F2D.bmp")) for path in paths]),
        "mesh": Scans(paths, vertices),
        "points": Scans([path.with_suffix(".bnd") for path in paths], landmarks),
        "depth": Scans(paths, depth),
    }
    subject = np.array([name[1] + name[2] for name in names])
    return Index(BASIC7, targets, majority, np.full(len(paths), NO_SPLIT), subject, media, extra)


@DATASETS.register(
    "bu3dfe-aligned",
    samples=2500,
    subjects=100,
    modalities=("face", "depth", "picture"),
    labels=BASIC7,
    licence="agreement with Binghamton University, research only",
)
def bu3dfe_aligned(root: Path, size: int = 64) -> Index:
    """BU-3DFE, each scan turned onto the mean of all by its landmarks and seen from the front; fold by subject.

    `face` is the textured scan uint8 [S, S, 3], `depth` its z in mm float32 [S, S] with NaN where nothing was measured,
    in a window of 160 mm; the two lie on each other. `picture` is the camera's picture. `extra` as in `bu3dfe`.

    Raises:
        DataError: no scan is found, one has a strange name, or landmarks are missing.
    """
    index = bu3dfe(root)
    rows = range(len(index))
    meshes, points, pictures = (
        tuple(index.media[name].files(row)[0] for row in rows) for name in ("mesh", "points", "face")
    )
    shape = template(points)
    media: dict[str, Media] = {
        "face": AlignedScans(meshes, points, shape, pictures, size),
        "depth": AlignedScans(meshes, points, shape, None, size),
        "picture": index.media["face"],
    }
    return replace(index, media=media)


def fake(root: Path, seed: int = 0) -> None:
    """Write two people's scans of every expression at the least and greatest strength."""
    random = np.random.default_rng(seed)
    face_points = random.normal(0, 50, (83, 3))
    for person, race in (("F0001", "WH"), ("M0001", "AE")):
        folder = Path(root) / person
        folder.mkdir(parents=True)
        for code in CODES:
            for strength in (0,) if code == "NE" else (1, 4):
                stem = f"{person}_{code}{strength:02d}{race}"
                write_scan(folder / f"{stem}_F3D.wrl", random)
                face = random.integers(0, 255, (20, 16, 3), dtype=np.uint8)
                cv2.imwrite(str(folder / f"{stem}_F2D.bmp"), face)
                points = face_points + random.normal(0, 1, (83, 3))
                lines = [f"{i} {x:.6f} {y:.6f} {z:.6f}" for i, (x, y, z) in enumerate(points, 1)]
                (folder / f"{stem}_F3D.bnd").write_text("\n".join(lines) + "\n\n")


FAKES["bu3dfe"] = FAKES["bu3dfe-aligned"] = fake
