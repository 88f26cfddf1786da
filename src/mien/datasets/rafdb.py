"""RAF-DB, basic expressions, aligned faces.

Paper: Li, Deng, Du, "Reliable crowdsourcing and deep locality-preserving learning for expression recognition in the
    wild", CVPR 2017.
Layout: official `basic/Image/aligned/*_aligned.jpg` with `basic/EmoLabel/list_patition_label.txt`, or the widespread
    `DATASET/{train,test}/{1..7}/*_aligned.jpg`.
Labels: 1 surprise 2 fear 3 disgust 4 happiness 5 sadness 6 anger 7 neutral.
Licence: research only, no redistribution.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Pictures
from mien.errors import DataError
from mien.labels import BASIC7

ORDER = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


def _index(root: Path) -> list[tuple[Path, int, str]]:
    """(path, label 1..7, split) of every face, in order of names."""
    listing = root / "basic" / "EmoLabel" / "list_patition_label.txt"
    if listing.is_file():
        rows = []
        for line in listing.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                name, label = line.split()
                path = root / "basic" / "Image" / "aligned" / f"{Path(name).stem}_aligned.jpg"
                rows.append((path, int(label), name.split("_")[0]))
        return rows
    if (root / "DATASET").is_dir():
        paths = sorted((root / "DATASET").glob("*/[1-7]/*.jpg"))
        return [(path, int(path.parent.name), path.parent.parent.name) for path in paths]
    raise DataError(f"{root} holds neither basic/EmoLabel/list_patition_label.txt nor DATASET/train and DATASET/test")


@DATASETS.register(
    "rafdb", samples=15339, modalities=("face",), labels=BASIC7, licence="research only, no redistribution"
)
def rafdb(root: Path) -> Index:
    """RAF-DB basic, RGB 100x100, official train and test splits.

    Raises:
        DataError: the folder has neither layout.
    """
    rows = _index(Path(root))
    targets, majority = one_hot([ORDER[label - 1] for _, label, _ in rows], BASIC7)
    split = np.array([SPLITS.index(name) for _, _, name in rows], np.int64)
    pictures = Pictures([path for path, _, _ in rows])
    return Index(BASIC7, targets, majority, split, np.full(len(rows), ""), {"face": pictures})


def fake(root: Path, per_class: int = 2, seed: int = 0) -> None:
    """Write a tiny tree in the widespread layout."""
    random = np.random.default_rng(seed)
    for split in ("train", "test"):
        for label in range(1, 8):
            folder = Path(root) / "DATASET" / split / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(per_class):
                face = random.integers(0, 255, (100, 100, 3), dtype=np.uint8)
                cv2.imwrite(str(folder / f"{split}_{label}{i:04d}_aligned.jpg"), face)


FAKES["rafdb"] = fake
