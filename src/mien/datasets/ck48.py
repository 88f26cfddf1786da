"""CK+48: the last three frames of 327 labelled CK+ sequences, cut to 48x48 grey.

Paper: Lucey et al., "The extended Cohn-Kanade dataset (CK+)", CVPR Workshops 2010.
Layout: `CK+48/<emotion>/S<subject>_<sequence>_<frame>.png`.
Labels: anger contempt disgust fear happy sadness surprise; no neutral.
Licence: research agreement with the authors.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Pictures
from mien.errors import DataError

LABELS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
FOLDERS = {"happy": "happiness"}


def _find(root: Path) -> list[Path]:
    folder = root / "CK+48" if (root / "CK+48").is_dir() else root
    paths = sorted(folder.glob("*/S*_*_*.png"))
    if not paths:
        raise DataError(f"{folder} holds no <emotion>/S<subject>_<sequence>_<frame>.png")
    return paths


def _labels(paths: list[Path]) -> list[str]:
    return [FOLDERS.get(path.parent.name, path.parent.name) for path in paths]


@DATASETS.register("ck48", samples=981, subjects=118, modalities=("face",), labels=LABELS, licence="research agreement")
def ck48(root: Path, contempt: bool = True) -> Index:
    """CK+48, without an official split: fold by subject. `extra["sequence"]` names the sequence of each frame.

    Args:
        contempt: keep contempt (7 classes) or leave it out (6).

    Raises:
        DataError: no picture is found, or a folder is no known emotion.
    """
    paths = _find(Path(root))
    names = _labels(paths)
    unknown = sorted(set(names) - set(LABELS))
    if unknown:
        raise DataError(f"{root}: unknown emotion folders {', '.join(unknown)}; expected {', '.join(LABELS)}")
    labels = LABELS if contempt else tuple(name for name in LABELS if name != "contempt")
    chosen = [(path, name) for path, name in zip(paths, names, strict=True) if name in labels]
    targets, majority = one_hot([name for _, name in chosen], labels)
    subject = np.array([path.name[:4] for path, _ in chosen])
    extra = {"sequence": np.array([path.name[:8] for path, _ in chosen])}
    faces = Pictures([path for path, _ in chosen], grey=True)
    return Index(labels, targets, majority, np.full(len(chosen), NO_SPLIT), subject, {"face": faces}, extra)


@DATASETS.register(
    "ck48-6",
    samples=927,
    subjects=118,
    modalities=("face",),
    labels=tuple(name for name in LABELS if name != "contempt"),
    licence="research agreement",
)
def ck48_six(root: Path) -> Index:
    """CK+48 without contempt: six classes."""
    return ck48(root, contempt=False)


def fake(root: Path, subjects: int = 3, seed: int = 0) -> None:
    """Write a tiny tree in the same layout."""
    random = np.random.default_rng(seed)
    for number, emotion in enumerate(("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")):
        folder = Path(root) / "CK+48" / emotion
        folder.mkdir(parents=True, exist_ok=True)
        for subject in range(subjects):
            for frame in range(10, 13):
                face = random.integers(0, 200, (48, 48), dtype=np.uint8)
                cv2.imwrite(str(folder / f"S{subject + 10:03d}_{number:03d}_{frame:08d}.png"), face)


FAKES["ck48"] = FAKES["ck48-6"] = fake
