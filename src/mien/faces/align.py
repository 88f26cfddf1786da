"""Cutting faces out of frames, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.spec import Geometry
from mien.types import Faces

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
MOUTH = slice(48, 68)


@dataclass(frozen=True)
class Square:
    """A square of a frame, possibly turned.

    Attributes:
        x, y: centre, pixels.
        side: pixels.
        roll: degrees, clockwise on the screen.
    """

    x: float
    y: float
    side: float
    roll: float = 0.0


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Right eye, left eye, nose tip, right and left mouth corner [N, 5, 2] of 68 (iBUG) or 5 points [N, P, 2]."""
    if landmarks.shape[1] == 5:
        return landmarks
    eyes = landmarks[:, RIGHT_EYE].mean(1), landmarks[:, LEFT_EYE].mean(1)
    return np.stack([*eyes, landmarks[:, 30], landmarks[:, 48], landmarks[:, 54]], 1)


def squares(faces: Faces, geometry: Geometry, detector: str) -> list[Square]:
    """Where to cut each face: by its box, or upright by its eyes and mouth where it has landmarks.

    With the detector `none` the user has cut the face already, so the box is kept.
    """
    if geometry.align == "landmarks" and faces.landmarks.shape[1] in (5, 68) and detector != "none":
        return [_by_points(points, geometry.scale, geometry.shift_y) for points in five_points(faces.landmarks)]
    scale, shift = geometry.for_detector(detector)
    return [box_square(box, scale, shift) for box in faces.box]


def box_square(box: np.ndarray, scale: float, shift_y: float) -> Square:
    """Square of `scale` times the box's longer side, centred on the box and moved down by `shift_y` of its side."""
    x1, y1, x2, y2 = (float(v) for v in box)
    side = max(1.0, scale * max(x2 - x1, y2 - y1))
    return Square((x1 + x2) / 2, (y1 + y2) / 2 + shift_y * side, side)


def _by_points(points: np.ndarray, scale: float, shift_y: float) -> Square:
    """Square around the middle between eyes and mouth, `scale` times as large as their distances."""
    right, left, _, mouth_right, mouth_left = points
    eyes, mouth = (right + left) / 2, (mouth_right + mouth_left) / 2
    across = left - right
    roll = float(np.degrees(np.arctan2(across[1], across[0])))
    # the larger of both distances keeps turned (narrow) and nodding (short) faces in the picture
    unit = max(float(np.linalg.norm(across)), float(np.linalg.norm(mouth - eyes)), 1e-3)
    centre, side = (eyes + mouth) / 2, scale * unit
    down = np.array([-np.sin(np.radians(roll)), np.cos(np.radians(roll))])
    x, y = centre + shift_y * side * down
    return Square(float(x), float(y), side, roll)


def matrix(square: Square, size: int) -> np.ndarray:
    """Affine matrix float64 [2, 3] from crop pixels (size x size) to frame pixels."""
    step = square.side / size
    c, s = np.cos(np.radians(square.roll)) * step, np.sin(np.radians(square.roll)) * step
    half = (size - 1) / 2
    return np.array([[c, -s, square.x - 0.5 - (c - s) * half], [s, c, square.y - 0.5 - (s + c) * half]])


def cut(image: np.ndarray, square: Square, size: int) -> np.ndarray:
    """Cut a square out of a picture: uint8 [size, size, 3]; beyond the edge the border is repeated.

    A large face is first shrunk by area averaging, so that no detail folds into noise.
    """
    shrink = square.side / size
    if shrink > 1.5:
        reach = square.side * (0.5 if not square.roll else 0.7072) + 2 * shrink
        x1, y1 = max(0, int(square.x - reach)), max(0, int(square.y - reach))
        x2, y2 = min(image.shape[1], int(square.x + reach) + 1), min(image.shape[0], int(square.y + reach) + 1)
        if x2 > x1 and y2 > y1:
            new = max(1, round((x2 - x1) / shrink)), max(1, round((y2 - y1) / shrink))
            fx, fy = new[0] / (x2 - x1), new[1] / (y2 - y1)
            image = cv2.resize(image[y1:y2, x1:x2], new, interpolation=cv2.INTER_AREA)
            scale = (fx + fy) / 2
            square = Square((square.x - x1) * fx, (square.y - y1) * fy, square.side * scale, square.roll)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(image, matrix(square, size), (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped)


def to_frame(points: np.ndarray, square: Square) -> np.ndarray:
    """Points [..., 2] in shares of the crop (0 to 1) as frame pixels."""
    angle = np.radians(square.roll)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((points - 0.5) * square.side @ rotation + (square.x, square.y), np.float32)
