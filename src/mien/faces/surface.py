"""The shape of a surface seen from the front: rigid alignment, normals and curvature of a depth map.

Axes: x right, y up, z towards the camera. A depth map is z in rows from the top, NaN where nothing was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.errors import DataError

LEAST = 0.5  # share of a window's weight that must be measured for a fit


def rigid(points: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [3, 3] and shift [3] with the least squared distance of `points @ rotation.T + shift` from `onto`.

    Source: Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta Cryst. A, 1976.

    Args:
        points, onto: [P, 3], the same points in the same order, P >= 3 and not all on a line.

    Raises:
        DataError: other shapes, or points that are no numbers.
    """
    points, onto = np.asarray(points, np.float64), np.asarray(onto, np.float64)
    if points.shape != onto.shape or points.ndim != 2 or points.shape[1] != 3 or len(points) < 3:
        raise DataError(f"points {list(points.shape)} onto {list(onto.shape)}: expected the same [P, 3], P at least 3")
    if not (np.isfinite(points).all() and np.isfinite(onto).all()):
        raise DataError("points to align hold values that are no numbers")
    middle, goal = points.mean(0), onto.mean(0)
    left, _, right = np.linalg.svd((onto - goal).T @ (points - middle))
    mirror = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    turn = left @ (mirror[:, None] * right)
    return turn, goal - turn @ middle


def mean_shape(shapes: np.ndarray, rounds: int = 5) -> np.ndarray:
    """The mean [P, 3] of shapes [N, P, 3] that differ in place and turn, about 0, turned as they are on average.

    Source: Gower, "Generalized Procrustes analysis", Psychometrika, 1975.
    Differs: no scaling, for the unit of scans is known.
    """
    centred = np.asarray(shapes, np.float64) - np.mean(shapes, 1, keepdims=True)
    mean = centred.mean(0)
    for _ in range(rounds):
        mean = np.mean([shape @ rigid(shape, mean)[0].T for shape in centred], 0)
    turns = np.sum([rigid(mean, shape)[0] for shape in centred], 0)
    left, _, right = np.linalg.svd(turns)
    usual = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
    return np.asarray(mean @ usual.T)


@dataclass(frozen=True)
class Patch:
    """A quadratic surface fitted around each pixel of a depth map; all arrays [S, S], NaN where too little is known.

    Attributes:
        z: height at the pixel.
        x, y: first derivatives (no unit).
        xx, xy, yy: second derivatives, 1 over the unit of length.
    """

    z: np.ndarray
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray


def fit_patches(depth: np.ndarray, spacing: float, window: int = 5) -> Patch:
    """Fit z = a + b x + c y + d x^2 / 2 + e x y + f y^2 / 2 around each pixel, by least squares with Gaussian weights.

    Pixels that were not measured take no part; where half of a window's weight is measured, its middle is filled.

    Source: Haralick, Watson, Laffey, "The topographic primal sketch", IJRR 1983 (the facet model; there cubic).

    Args:
        depth: [H, W], NaN where nothing was measured.
        spacing: of the pixels, in the unit of depth.
        window: side, pixels, odd.

    Raises:
        DataError: no picture, or a window that is even or below 3.
    """
    if depth.ndim != 2 or spacing <= 0:
        raise DataError(f"depth {list(depth.shape)} at {spacing:g} a pixel: expected [H, W] and a spacing above 0")
    if window < 3 or window % 2 == 0:
        raise DataError(f"window {window}: expected an odd number of pixels from 3")
    reach = window // 2
    y, x = np.mgrid[reach : -reach - 1 : -1, -reach : reach + 1].astype(np.float64)
    weight = np.exp(-(x**2 + y**2) / (2 * (window / 4) ** 2))
    terms = [np.ones_like(x), x, y, x**2 / 2, x * y, y**2 / 2]
    known = np.isfinite(depth).astype(np.float64)
    height = np.where(known > 0, depth, 0.0).astype(np.float64)

    def over(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return cv2.filter2D(image, cv2.CV_64F, kernel, borderType=cv2.BORDER_CONSTANT)

    right = np.stack([over(height, weight * term) for term in terms], -1)
    left = np.empty((*depth.shape, 6, 6))
    for i in range(6):
        for j in range(i, 6):
            left[..., i, j] = left[..., j, i] = over(known, weight * terms[i] * terms[j])
    enough = left[..., 0, 0] >= LEAST * weight.sum() - 1e-9
    found = np.full((*depth.shape, 6), np.nan)
    # a trace of ridge keeps windows whose pixels lie on few lines solvable
    ridge = 1e-9 * np.eye(6)
    found[enough] = np.linalg.solve(left[enough] + ridge, right[enough][..., None])[..., 0]
    a, b, c, d, e, f = np.moveaxis(found, -1, 0)
    return Patch(a, b / spacing, c / spacing, d / spacing**2, e / spacing**2, f / spacing**2)


def normals(patch: Patch) -> np.ndarray:
    """Unit normals [3, H, W], towards the camera."""
    normal = np.stack([-patch.x, -patch.y, np.ones_like(patch.x)])
    return np.asarray(normal / np.linalg.norm(normal, axis=0))


def curvatures(patch: Patch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean curvature, Gaussian curvature and shape index, each [H, W]; a ball seen from outside is 1/r, 1/r^2 and 1.

    The shape index lies in [-1, 1]: cup -1, rut -0.5, saddle 0, ridge 0.5, cap 1; on a plane, where it has no meaning,
    it is 0 as well.

    Source: do Carmo, "Differential geometry of curves and surfaces", 1976, section 3-3 (graph of a function);
        Koenderink, van Doorn, "Surface shape and curvature scales", Image and Vision Computing 1992 (shape index).
    """
    p, q = patch.x, patch.y
    slope = 1 + p**2 + q**2
    mean = -((1 + q**2) * patch.xx - 2 * p * q * patch.xy + (1 + p**2) * patch.yy) / (2 * slope**1.5)
    gauss = (patch.xx * patch.yy - patch.xy**2) / slope**2
    half = np.sqrt(np.maximum(mean**2 - gauss, 0))
    return mean, gauss, 2 / np.pi * np.arctan2(mean, half)
