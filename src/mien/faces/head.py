"""A mean head in space, and how the points of a face move when such a head moves."""

from __future__ import annotations

import numpy as np

from mien.faces.robust import explained

# fmt: off
MEAN = np.array([
    (-113, -4, -85), (-112, 30, -81), (-107, 60, -72), (-101, 89, -62), (-88, 122, -48), (-66, 148, -29),
    (-47, 159, -7), (-24, 164, 16), (0, 169, 19), (24, 164, 16), (47, 159, -7), (66, 148, -29), (88, 122, -48),
    (101, 89, -62), (107, 60, -72), (112, 30, -81), (113, -4, -85), (-89, -16, -18), (-76, -31, 0), (-60, -36, 11),
    (-38, -30, 18), (-18, -20, 18), (18, -20, 18), (38, -30, 18), (60, -36, 11), (76, -31, 0), (89, -16, -18),
    (0, -1, 25), (0, 12, 35), (0, 28, 47), (0, 47, 59), (-19, 62, 29), (-9, 63, 34), (0, 66, 44), (9, 63, 34),
    (19, 62, 29), (-68, 0, -10), (-59, -7, 2), (-43, -8, 5), (-28, 3, 0), (-42, 5, 3), (-59, 6, 0), (28, 3, 0),
    (43, -8, 5), (59, -7, 2), (68, 0, -10), (59, 6, 0), (42, 5, 3), (-39, 107, 15), (-26, 95, 31), (-11, 90, 38),
    (0, 91, 40), (11, 90, 38), (26, 95, 31), (39, 107, 15), (28, 115, 26), (16, 119, 33), (0, 120, 36),
    (-16, 119, 33), (-28, 115, 26), (-34, 106, 14), (-15, 103, 29), (0, 104, 32), (15, 103, 29), (34, 106, 14),
    (16, 105, 28), (0, 105, 31), (-16, 105, 28),
], np.float64) / 100
# fmt: on
"""68 points of a neutral face [68, 3]: to the picture's right, down, towards the camera; in distances between the eyes,
from the middle between them. Mean of the light ICT face model (Li et al., CVPR 2020; MIT licence), rounded."""


def depth(points: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """How far each point of a face stands out towards the camera, in the picture's unit, from its pose [M].

    The pose is the affine map from the mean head to the points, by least squares, made a rotation and a scale.

    Args:
        points: [M, 2].
        mean: [M, 3], the same points of the mean head.
    """
    solid = mean - mean.mean(0)
    fit = np.linalg.lstsq(solid, points - points.mean(0), rcond=None)[0].T
    length = np.linalg.norm(fit, axis=1)
    right, down = fit / np.maximum(length, 1e-9)[:, None]
    towards = np.cross(right, down)
    return np.asarray(solid @ towards / max(float(np.linalg.norm(towards)), 1e-9) * length.mean())


def motion(points: np.ndarray, moved: np.ndarray, depths: np.ndarray, rounds: int = 8) -> np.ndarray:
    """The part of a movement that is the whole head's: shifts, nearing, turns about all three axes.

    u = a x - b y + c + e z, v = b x + a y + d + f z: a small rotation and scaling under weak perspective. Least squares
    with Cauchy weights 1 / (1 + (r / s)^2), s the residuals' median, so that the moving skin counts little.

    Args:
        points: [M, 2].
        moved: [M, 2], how far each has moved.
        depths: [M], as `depth`; zeros leave out the turns that are not in the plane.
        rounds: of reweighting.

    Returns:
        float64 [M, 2].
    """
    x, y = (points - points.mean(0)).T
    z = depths - depths.mean()
    one, zero = np.ones_like(x), np.zeros_like(x)
    columns = np.stack([x, -y, one, zero, z, zero], 1), np.stack([y, x, zero, one, zero, z], 1)
    return explained(columns, moved, rounds, 1e-6)
