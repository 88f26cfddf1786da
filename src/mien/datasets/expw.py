"""ExpW: Expression in-the-Wild.

Paper: Zhang, Luo, Loy, Tang, "From facial expression recognition to interpersonal relation prediction", IJCV 2018.
Layout: `label/label.lst` (or `label.lst`), a line a face: image_name face_id_in_image face_box_top face_box_left
    face_box_right face_box_bottom face_box_confidence expression_label; pictures in `image/origin/` (or `image/`,
    `origin/`). The layout is that of the authors' readme, as several public readers of the set give it; untried on the
    real tree.
Labels: 0 angry 1 disgust 2 fear 3 happy 4 sad 5 surprise 6 neutral.
Licence: research only, non-commercial, no redistribution.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Box, Pictures
from mien.errors import DataError
from mien.labels import BASIC7

ORDER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
CODES = {str(code): name for code, name in enumerate(ORDER)}
LISTS = ("label/label.lst", "label.lst")
FOLDERS = ("image/origin", "origin", "image", "images")


def _parse(line: str) -> tuple[str, int, Box, float, str]:
    name, face, *box, confidence, label = line.split()
    top, left, right, bottom = (float(v) for v in box)
    if label not in CODES:
        raise ValueError(f"label {label}")
    return name, int(face), (left, top, right, bottom), float(confidence), CODES[label]


@DATASETS.register(
    "expw", samples=91793, modalities=("face",), labels=BASIC7, licence="research only, no redistribution"
)
def expw(root: Path) -> Index:
    """ExpW's faces, cut out by the boxes given; sizes differ, and there is no official split.

    `extra` has `sequence` (the picture: several faces may share one), `face` (number within it) and `confidence` (of
    the face detector, up to 100).

    Raises:
        DataError: the list is missing or malformed.
    """
    root = Path(root)
    listing = next((root / name for name in LISTS if (root / name).is_file()), None)
    if listing is None:
        raise DataError(f"{root} holds neither {' nor '.join(LISTS)}")
    rows = []
    for number, line in enumerate(listing.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line.strip():
            try:
                rows.append(_parse(line))
            except ValueError as error:
                raise DataError(
                    f"{listing}, line {number}: expected name, face id, top, left, right, bottom, confidence and a "
                    f"label 0..6: {error}"
                ) from error
    if not rows:
        raise DataError(f"{listing} has no rows")
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), root / FOLDERS[0])
    targets, majority = one_hot([row[4] for row in rows], BASIC7)
    faces = Pictures([folder / row[0] for row in rows], boxes=[row[2] for row in rows])
    extra = {
        "sequence": np.array([row[0] for row in rows]),
        "face": np.array([row[1] for row in rows]),
        "confidence": np.array([row[3] for row in rows], np.float32),
    }
    nobody = np.full(len(rows), "")
    return Index(BASIC7, targets, majority, np.full(len(rows), NO_SPLIT), nobody, {"face": faces}, extra)


def fake(root: Path, pictures: int = 7, seed: int = 0) -> None:
    """Write a tiny tree: two faces a picture."""
    random = np.random.default_rng(seed)
    folder = Path(root) / "image" / "origin"
    folder.mkdir(parents=True, exist_ok=True)
    (Path(root) / "label").mkdir(exist_ok=True)
    lines = []
    for number in range(pictures):
        name = f"{ORDER[number % 7]}_actor_{number}.jpg"
        cv2.imwrite(str(folder / name), random.integers(0, 255, (60, 110, 3), dtype=np.uint8))
        for face in range(2):
            top, left = (int(v) for v in random.integers(0, 12, 2))
            left += 55 * face
            label = (number + 3 * face) % 7
            lines.append(f"{name} {face} {top} {left} {left + 40} {top + 40} {random.uniform(10, 100):.4f} {label}\n")
    (Path(root) / "label" / "label.lst").write_text("".join(lines), encoding="utf-8")


FAKES["expw"] = fake
