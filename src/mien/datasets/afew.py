"""AFEW 7.0: acted facial expressions in the wild, clips from films.

Paper: Dhall, Goecke, Lucey, Gedeon, "Collecting large, richly annotated facial-expression databases from movies", IEEE
    MultiMedia 19(3), 2012; splits of Dhall et al., "From individual to group-level emotion recognition: EmotiW 5.0",
    ICMI 2017.
Layout: `Train_AFEW/<emotion>/<clip>.avi`, `Val_AFEW/<emotion>/<clip>.avi`, `Test_AFEW/<clip>.avi` (unlabelled); the
    authors' aligned faces in `Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/<clip>/<n>.jpg`, and with `_Val` and `_Test`
    after `Points` for the others. `Train`, `Val` and `Test` are read too. Layout as in public readers of the release,
    untried on the real tree; the place of the test faces is from memory.
Labels: Angry Disgust Fear Happy Neutral Sad Surprise. The test labels were never released.
Licence: agreement with the authors, research only.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Clips, Media, Sounds
from mien.datasets.recordings import FrameFolders, write_clip
from mien.errors import DataError
from mien.labels import BASIC7

FOLDERS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
PARTS = ("Train", "Val", "Test")
LICENCE = "agreement with the authors, research only"


def _parts(root: Path) -> dict[int, Path]:
    """Split -> its folder."""
    for above in (root, root / "AFEW"):
        found = {}
        for split, name in enumerate(PARTS):
            folder = next((above / n for n in (f"{name}_AFEW", name) if (above / n).is_dir()), None)
            if folder is not None:
                found[split] = folder
        if found:
            return found
    raise DataError(f"{root} holds no {', '.join(f'{name}_AFEW' for name in PARTS)} folder of <emotion>/<clip>.avi")


def _clips(root: Path) -> list[tuple[Path, str, int]]:
    """(clip, label or "", split) in order of splits, then names."""
    rows = []
    for split, folder in _parts(root).items():
        patterns = ("*.avi", "*/*.avi") if SPLITS[split] == "test" else ("*/*.avi",)
        paths = [path for pattern in patterns for path in folder.glob(pattern)]
        rows += [(path, FOLDERS.get(path.parent.name, ""), split) for path in sorted(paths)]
        strange = sorted({path.parent.name for path, label, s in rows if not label and SPLITS[s] != "test"})
        if strange:
            raise DataError(f"{folder}: unknown emotion folders {', '.join(strange)}; expected {', '.join(FOLDERS)}")
    if not rows:
        raise DataError(f"{root}: its AFEW folders hold no <emotion>/<clip>.avi")
    return rows


def _index(rows: list[tuple[Path, str, int]], media: dict[str, Media]) -> Index:
    targets, majority = one_hot([label for _, label, _ in rows], BASIC7)
    split = np.array([split for _, _, split in rows], np.int64)
    extra = {"clip": np.array([path.stem for path, _, _ in rows])}
    return Index(BASIC7, targets, majority, split, np.full(len(rows), ""), media, extra)


@DATASETS.register("afew", samples=1809, modalities=("frames", "audio"), labels=BASIC7, licence=LICENCE)
def afew(root: Path) -> Index:
    """The film clips as they are, with their sound; official splits (773, 383, 653), test unlabelled.

    `extra["clip"]` is the clip's name; training and validation share films and even names, so persons are unknown.

    Raises:
        DataError: no split folder is found, or an emotion folder has a strange name.
    """
    rows = _clips(Path(root))
    paths = [path for path, _, _ in rows]
    return _index(rows, {"frames": Clips(paths), "audio": Sounds(paths)})


@DATASETS.register("afew-faces", samples=1809, modalities=("frames", "audio"), labels=BASIC7, licence=LICENCE)
def afew_faces(root: Path) -> Index:
    """The authors' aligned faces, 128x128; clips in which they found none are left out.

    Raises:
        DataError: as `afew`, or no aligned faces are found.
    """
    faces: dict[tuple[int, str], Path] = {}
    for split, folder in _parts(Path(root)).items():
        for pattern in ("AlignedFaces_LBPTOP_Points*/*", "AlignedFaces_LBPTOP_Points*/Faces/*"):
            faces |= {(split, path.name): path for path in folder.glob(pattern) if path.is_dir()}
    rows = [row for row in _clips(Path(root)) if (row[2], row[0].stem) in faces]
    if not rows:
        raise DataError(f"{root} holds no AlignedFaces_LBPTOP_Points/Faces/<clip> folders; 'afew' reads the clips")
    folders = [faces[split, path.stem] for path, _, split in rows]
    return _index(rows, {"frames": FrameFolders(folders), "audio": Sounds([path for path, _, _ in rows])})


def fake(root: Path, seed: int = 0) -> None:
    """Write one clip per emotion and split and its aligned faces, two test clips."""
    random = np.random.default_rng(seed)
    for split, part in enumerate(PARTS):
        folder = Path(root) / f"{part}_AFEW"
        for number, emotion in enumerate(FOLDERS if part != "Test" else ("", "")):
            name = f"{split}{number:05d}240"
            write_clip(folder / emotion / f"{name}.avi", random, frames=3)
            faces = folder / f"AlignedFaces_LBPTOP_Points{'' if part == 'Train' else f'_{part}'}" / "Faces" / name
            faces.mkdir(parents=True)
            for frame in range(2):
                face = random.integers(0, 255, (8, 8), dtype=np.uint8)
                cv2.imwrite(
                    str(faces / f"{frame:03d}.jpg"), cv2.resize(face, (128, 128)), [cv2.IMWRITE_JPEG_QUALITY, 50]
                )


FAKES["afew"] = FAKES["afew-faces"] = fake
