"""Where a data set's faces lie relative to a detector's box and to the landmarks: how new faces have to be cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mien.faces import Detector
from mien.faces.align import five_points
from mien.faces.landmarks import Landmarks
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


def measure(pictures: Sequence[np.ndarray], detectors: Sequence[Detector], landmarks: Landmarks) -> Geometry | None:
    """The geometry that cuts new faces as these are cut: medians over the faces that are found again.

    Args:
        pictures: uint8 [h, w] or RGB [h, w, 3], a few hundred face pictures.
        detectors: the first one's boxes carry the landmarks; each gets its own box geometry.

    Returns:
        None where fewer than half of the pictures, or fewer than ten, show a face that the first detector finds.
    """
    boxes: dict[str, tuple[float, float]] = {}
    points: tuple[float, float] | None = None
    for detector in detectors:
        found = find(pictures, detector, landmarks if points is None else None)
        if len(found.rows) < max(10, len(pictures) / 2):
            if points is None:
                return None
            continue
        boxes[detector.name] = _median(*box_geometry(found))
        points = points or _median(*point_geometry(found))
    if points is None:
        return None
    return Geometry("landmarks", *points, {**boxes, "none": (1.0, 0.0)})


def _median(scale: np.ndarray, shift: np.ndarray) -> tuple[float, float]:
    return round(float(np.median(scale)), 3), round(float(np.median(shift)), 3)
