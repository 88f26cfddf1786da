"""A head as a surface: how far each place of a face seen from the front stands out towards the camera."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mien.faces.head import MEAN

MIDDLE, UNIT = (0.501, 0.409), 0.36
"""Middle between the eyes, and the distance between them, in shares of a crop cut as FER2013's are: medians of the 68
points that mien's own landmarks give for FER2013's first 600 validation faces."""

# fmt: off
_HALF = np.array([
    (40, -140, -41), (70, -140, -72), (40, -110, -9), (70, -110, -31), (90, -110, -59), (110, -110, -119),
    (40, -80, 8), (90, -80, -31), (110, -80, -73), (40, -50, 18), (70, -50, 2), (90, -50, -18), (110, -50, -60),
    (110, -20, -57), (90, -20, -8), (40, 20, 6), (70, 20, -2), (90, 20, -16), (130, 20, -143), (40, 60, 14),
    (70, 60, 5), (90, 60, -14), (130, 60, -139), (70, 100, 1), (90, 100, -28), (120, 110, -130), (40, 140, 14),
    (70, 140, -17), (90, 140, -113), (40, 170, 2), (70, 170, -95), (40, 200, -75), (70, 200, -103),
], np.float64) / 100
_MIDLINE = np.array([(0, -140, -32), (0, -110, 1), (0, -80, 14), (0, -50, 22), (0, 200, -55)], np.float64) / 100
# fmt: on
SKULL = np.concatenate([_HALF, _HALF * (-1, 1, 1), _MIDLINE])
"""Forehead, cheeks, ears and neck [71, 3] between the points of `mien.faces.head.MEAN`, in its axes and unit: read off
the neutral mesh of the light ICT face model (Li et al., CVPR 2020; MIT licence)."""

_BACK = float(SKULL[:, 2].min())


def _kernel(squared: np.ndarray) -> np.ndarray:
    """Thin-plate kernel r^2 log r^2 of squared distances."""
    return np.asarray(squared * np.log(np.maximum(squared, 1e-12)))


@lru_cache(maxsize=1)
def _weights() -> tuple[np.ndarray, np.ndarray]:
    """Knots [M, 2] and the weights [M + 3] of the smoothing spline through them."""
    solid = np.concatenate([MEAN, SKULL])
    knots, m = solid[:, :2], len(solid)
    system = np.zeros((m + 3, m + 3))
    system[:m, :m] = _kernel(((knots[:, None] - knots[None]) ** 2).sum(2)) + 1e-3 * np.eye(m)
    system[:m, m:] = np.column_stack([np.ones(m), knots])
    system[m:, :m] = system[:m, m:].T
    return knots, np.linalg.solve(system, np.append(solid[:, 2], np.zeros(3)))


def relief(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth towards the camera of a mean head, by a smoothing thin-plate spline; behind it lies a flat wall.

    Paper: Bookstein, "Principal warps: thin-plate splines and the decomposition of deformations", PAMI 1989.

    Args:
        x, y: places, in distances between the eyes from the middle between them.

    >>> nose, cheek = relief(np.array([0.0, 0.8]), np.array([0.47, 0.47]))
    >>> bool(0.5 < nose < 0.65), bool(-0.3 < cheek < 0.1)
    (True, True)
    """
    knots, weights = _weights()
    flat = np.column_stack([np.ravel(x), np.ravel(y)])
    near = np.clip(flat, (-1.4, -1.6), (1.4, 2.1))
    squared = ((near[:, None] - knots[None]) ** 2).sum(2)
    z = _kernel(squared) @ weights[:-3] + weights[-3] + near @ weights[-2:]
    return np.asarray(np.clip(z, _BACK, 0.62).reshape(np.shape(x)))
