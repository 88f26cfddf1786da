"""Where do training faces lie relative to a detector's box, and what does another framing cost?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mien.faces import Detector
from mien.faces.align import cut, five_points, squares
from mien.faces.landmarks import Landmarks
from mien.metrics import accuracy, confusion, uar
from mien.pipeline.model import Model
from mien.spec import Geometry
from mien.types import Faces

SIDE, ROOM = 192, 96


@dataclass(frozen=True)
class Found:
    """Detections on enlarged, framed face pictures.

    Attributes:
        rows: [M], which pictures have a face.
        images: the M enlarged pictures, uint8 [M, SIDE + 2 ROOM, SIDE + 2 ROOM, 3].
        faces: one `Faces` of one face per picture, with landmarks.
        total: how many pictures were tried.
    """

    rows: np.ndarray
    images: list[np.ndarray]
    faces: list[Faces]
    total: int


def enlarge(picture: np.ndarray) -> np.ndarray:
    """A face picture as RGB at SIDE pixels, its border repeated for ROOM pixels on each side."""
    big = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    big = cv2.copyMakeBorder(big, ROOM, ROOM, ROOM, ROOM, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(big, cv2.COLOR_GRAY2RGB) if big.ndim == 2 else big


def turn(image: np.ndarray, degrees: float) -> np.ndarray:
    """A picture turned clockwise about its centre, its border repeated."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))


def find(
    pictures: Sequence[np.ndarray], detector: Detector, landmarks: Landmarks | None = None, roll: float = 0.0
) -> Found:
    """Detect the face of each picture; where several are found, the largest one counts.

    Args:
        roll: every second picture is turned by so many degrees clockwise, the others counter-clockwise.
    """
    rows, images, found = [], [], []
    for row, picture in enumerate(pictures):
        image = enlarge(picture)
        if roll:
            image = turn(image, roll if row % 2 else -roll)
        faces = detector(image)
        if not len(faces):
            continue
        sides = (faces.box[:, 2:] - faces.box[:, :2]).min(1)
        face = faces[[int(sides.argmax())]]
        if landmarks is not None:
            face = landmarks(image, face, detector.name)
        rows.append(row)
        images.append(image)
        found.append(face)
    return Found(np.array(rows, int), images, found, len(pictures))


def box_geometry(found: Found) -> tuple[np.ndarray, np.ndarray]:
    """(scale, shift_y) [M] of the square that gives back each whole picture from its detector box."""
    box = np.concatenate([face.box for face in found.faces])
    side = np.maximum((box[:, 2:] - box[:, :2]).max(1), 1)
    centre_y = (box[:, 1] + box[:, 3]) / 2
    return SIDE / side, (ROOM + SIDE / 2 - centre_y) / SIDE


def point_geometry(found: Found) -> tuple[np.ndarray, np.ndarray]:
    """The same for the square by eyes and mouth."""
    points = five_points(np.concatenate([face.landmarks for face in found.faces]))
    eyes, mouth = points[:, :2].mean(1), points[:, 3:].mean(1)
    unit = np.maximum(np.linalg.norm(points[:, 1] - points[:, 0], axis=1), np.linalg.norm(mouth - eyes, axis=1)).clip(1)
    centre_y = ((eyes + mouth) / 2)[:, 1]
    return SIDE / unit, (ROOM + SIDE / 2 - centre_y) / SIDE


def score(found: Found, truth: np.ndarray, model: Model, geometry: Geometry, detector: str) -> tuple[float, float]:
    """Accuracy and UAR of faces cut by a geometry; `truth` [N] counts for all N pictures, in the model's labels."""
    size = model.spec.size
    crops = [
        cut(image, squares(face, geometry, detector)[0], size)
        for image, face in zip(found.images, found.faces, strict=True)
    ]
    matrix = confusion(truth[found.rows], model(crops).argmax(1), len(model.spec.labels))
    return accuracy(matrix), uar(matrix)


def curve(
    found: Found, truth: np.ndarray, model: Model, base: Geometry, detector: str, factors: Sequence[float]
) -> list[tuple[float, float, float]]:
    """(factor, accuracy, UAR) for crops `factor` times as large as the base geometry's."""
    rows = []
    for factor in factors:
        geometry = Geometry(base.align, base.scale * factor, base.shift_y / factor)
        rows.append((factor, *score(found, truth, model, geometry, detector)))
    return rows


def whole(pictures: Sequence[np.ndarray], truth: np.ndarray, model: Model) -> tuple[float, float]:
    """Accuracy and UAR of the pictures as they come, without detection."""
    matrix = confusion(truth, model(list(pictures)).argmax(1), len(model.spec.labels))
    return accuracy(matrix), uar(matrix)
