"""RAF-DB, compound expressions, aligned faces.

Paper: Li, Deng, Du, "Reliable crowdsourcing and deep locality-preserving learning for expression recognition in the
    wild", CVPR 2017.
Layout: `compound/Image/aligned/*_aligned.jpg` with `compound/EmoLabel/list_patition_label.txt` (name and label a line)
    and, where unpacked, `compound/Annotation/manual`, as in the basic part; untried on the real tree. The folder above
    and `compound` itself are accepted.
Labels: 1 happily surprised 2 happily disgusted 3 sadly fearful 4 sadly angry 5 sadly surprised 6 sadly disgusted
    7 fearfully angry 8 fearfully surprised 9 angrily surprised 10 angrily disgusted 11 disgustedly surprised. The order
    is that of the release, as several public readers of it give it; fearfully disgusted was dropped by the authors.
    RAF-CE, a later set of 14 classes, numbers its classes otherwise.
Licence: research only, no redistribution.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Pictures
from mien.datasets.rafdb import LIST, read_attributes, read_partition
from mien.errors import DataError
from mien.labels import RAF_COMPOUND

LABELS = RAF_COMPOUND[:11]


@DATASETS.register(
    "rafdb-compound", samples=3954, modalities=("face",), labels=LABELS, licence="research only, no redistribution"
)
def rafdb_compound(root: Path) -> Index:
    """RAF-DB compound, RGB 100x100, official splits (3,162 train, 792 test).

    `extra` has `gender`, `race` and `age` where the annotations are unpacked.

    Raises:
        DataError: the folder has no compound list, or the list is malformed.
    """
    root = Path(root)
    # `root` last, for a folder above that also has the basic part at its own top
    folder = next((f for f in (root / "compound", root) if (f / LIST).is_file()), None)
    if folder is None:
        raise DataError(f"{root} holds no compound/{LIST.as_posix()}; unpack RAF-DB's compound part there")
    rows = read_partition(folder, len(LABELS))
    if max(label for _, label, _ in rows) <= 7:
        raise DataError(f"{folder} has no label above 7: it looks like the basic part, which is `rafdb`")
    targets, majority = one_hot([LABELS[label - 1] for _, label, _ in rows], LABELS)
    split = np.array([SPLITS.index(name) for _, _, name in rows], np.int64)
    pictures = Pictures([path for path, _, _ in rows])
    extra = read_attributes(folder, rows)
    return Index(LABELS, targets, majority, split, np.full(len(rows), ""), {"face": pictures}, extra)


def fake(root: Path, per_class: int = 1, seed: int = 0) -> None:
    """Write a tiny tree in the official layout."""
    random = np.random.default_rng(seed)
    folder = Path(root) / "compound"
    manual = folder / "Annotation" / "manual"
    for part in (folder / "EmoLabel", folder / "Image" / "aligned", manual):
        part.mkdir(parents=True, exist_ok=True)
    lines = []
    for split, digits in (("train", 5), ("test", 4)):
        for number in range(len(LABELS) * per_class):
            name = f"{split}_{number + 1:0{digits}d}"
            lines.append(f"{name}.jpg {number % len(LABELS) + 1}\n")
            face = cv2.resize(random.integers(0, 255, (10, 10, 3), dtype=np.uint8), (100, 100))
            cv2.imwrite(str(folder / "Image" / "aligned" / f"{name}_aligned.jpg"), face)
            points = "".join(f"{x:.3f}\t{y:.3f}\n" for x, y in random.uniform(0, 100, (5, 2)))
            attributes = f"{number % 3}\n{number % 3}\n{number % 5}\n"
            (manual / f"{name}_manu_attri.txt").write_text(points + attributes, encoding="utf-8")
    (folder / LIST).write_text("".join(lines), encoding="utf-8")


FAKES["rafdb-compound"] = fake
