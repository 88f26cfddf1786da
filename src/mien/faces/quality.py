"""How well each face can be read: size, blur, brightness, roll and yaw."""

from __future__ import annotations

import cv2
import numpy as np

from mien.faces.align import five_points
from mien.types import Faces

NAMES = ("face_px", "blur", "brightness", "roll", "yaw")


def quality(faces: Faces, crops: np.ndarray) -> dict[str, np.ndarray]:
    """Quality of each face, float32 [N] by name.

    `face_px` is the box's shorter side; `blur` the variance of the Laplacian of the grey crop after its contrast is
    made equal (low means blurred); `brightness` the crop's mean in [0, 1]; `roll` degrees clockwise on the screen;
    `yaw` degrees, positive when the nose points to the picture's right. Angles are NaN without landmarks.

    Args:
        crops: uint8 [N, S, S, 3], one per face.
    """
    n = len(faces)
    sides = faces.box[:, 2:] - faces.box[:, :2]
    gray = [cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32) for crop in crops]
    roll, yaw = angles(faces.landmarks) if faces.landmarks.shape[1] in (5, 68) else (np.full(n, np.nan),) * 2
    values = {
        "face_px": sides.min(1) if n else np.zeros(0),
        "blur": np.array([cv2.Laplacian(g, cv2.CV_32F).var() / (g.var() + 1) for g in gray]),
        "brightness": np.array([g.mean() / 255 for g in gray]),
        "roll": roll,
        "yaw": yaw,
    }
    return {name: np.asarray(values[name], np.float32) for name in NAMES}


def angles(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roll and yaw [N], degrees, from 68 or 5 points [N, P, 2].

    Yaw comes from where the nose tip falls between the eyes, on a head whose nose stands out by 0.6 of the distance
    between the eyes: a rough figure, good to about ten degrees.
    """
    points = five_points(landmarks)
    across = points[:, 1] - points[:, 0]
    width = np.maximum(np.linalg.norm(across, axis=1), 1e-3)
    roll = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    middle = (points[:, 0] + points[:, 1]) / 2
    offset = ((points[:, 2] - middle) * across / width[:, None]).sum(1) / width
    # at yaw a the eyes' distance shrinks to cos a and the nose moves by 0.6 sin a: offset = 0.6 tan a
    return roll, np.degrees(np.arctan(offset / 0.6))
