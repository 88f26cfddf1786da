"""MSRA-CFW: celebrity faces on the web, with identities, for pre-training.

Paper: Zhang, Zhang, Wang, Shum, "Finding celebrities in billions of web images", IEEE Transactions on Multimedia 2012.
Layout: a folder a person, by name, with thumbnails of web pictures of one face each and `filelist_LBP.txt`, a line a
    thumbnail, separated by tabs: file name, the face's left, top, right and bottom in the web picture, and that
    picture's size. `info.txt` (addresses) and `feature.bin` (LBP) are not read. Layout from the release's readme,
    untried on the real tree. Lists without the size, with boxes in the thumbnail's own pixels, are read as well.
Labels: none; `extra["identity"]` numbers the people from 0 in order of their names.
Licence: research only (Microsoft Research); the names were attached automatically and are not free of errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Box, read_picture
from mien.datasets.webface import identities
from mien.errors import DataError

LIST = "filelist_LBP.txt"


class Thumbnails:
    """Pictures whose face boxes are given in the pixels of a larger original: RGB uint8 [H, W, 3].

    Args:
        boxes: x1, y1, x2, y2 in the original.
        longest: the longer side of each original in pixels; 0 where the box is in the thumbnail's own pixels.
    """

    def __init__(self, paths: Sequence[Path], boxes: Sequence[Box], longest: Sequence[float]) -> None:
        self.paths, self.boxes, self.longest = tuple(paths), tuple(boxes), tuple(longest)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        image = read_picture(self.paths[row])
        height, width = image.shape[:2]
        scale = max(height, width) / self.longest[row] if self.longest[row] else 1.0
        x1, y1, x2, y2 = (max(0, round(v * scale)) for v in self.boxes[row])
        face = image[y1:y2, x1:x2]
        if not face.size:
            raise DataError(f"{self.paths[row]} is {width}x{height}; the face box {self.boxes[row]} lies outside it")
        return np.ascontiguousarray(face)

    def take(self, rows: np.ndarray) -> Thumbnails:
        at = [int(row) for row in rows]
        return Thumbnails([self.paths[i] for i in at], [self.boxes[i] for i in at], [self.longest[i] for i in at])

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


def _read_list(path: Path) -> list[tuple[Path, Box, float]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        name, *numbers = line.strip().split("\t")
        try:
            x1, y1, x2, y2, *size = (float(v) for v in numbers)
            if len(size) not in (0, 2):
                raise ValueError(f"{len(numbers) + 1} columns")
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: expected a name, left, top, right, bottom, width and height, "
                f"separated by tabs: {error}"
            ) from error
        rows.append((path.parent / name, (x1, y1, x2, y2), max(size, default=0.0)))
    return rows


@DATASETS.register(
    "cfw", samples=202792, subjects=1583, modalities=("face",), labels=(), licence="research only (Microsoft Research)"
)
def cfw(root: Path) -> Index:
    """MSRA-CFW, RGB, cut to the face; no labels and no split.

    Raises:
        DataError: no list is found, or one is malformed.
    """
    root = Path(root)
    rows = [row for path in sorted(root.glob(f"*/{LIST}")) for row in _read_list(path)]
    if not rows:
        raise DataError(f"{root} holds no <person>/{LIST} with rows")
    faces = Thumbnails([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    return identities([row[0].parent.name for row in rows], faces)


def fake(root: Path, people: int = 3, seed: int = 0) -> None:
    """Write a tiny tree in the same layout."""
    random = np.random.default_rng(seed)
    for person in ("ann example", "ben example", "cat example")[:people]:
        folder = Path(root) / person
        folder.mkdir(parents=True, exist_ok=True)
        lines, info = [], []
        for i in range(3):
            cv2.imwrite(str(folder / f"{i + 1}.jpg"), random.integers(0, 255, (60, 80, 3), dtype=np.uint8))
            left, top = (int(v) for v in random.integers(40, 100, 2))
            lines.append(f"{i + 1}.jpg\t{left}\t{top}\t{left + 120}\t{top + 120}\t320\t240\r\n")
            info.append(f"0\t{i + 1}.jpg\thttp://example.org/{i + 1}.jpg\r\n")
        (folder / LIST).write_text("".join(lines), encoding="utf-8", newline="")
        (folder / "info.txt").write_text("".join(info), encoding="utf-8", newline="")


FAKES["cfw"] = fake
