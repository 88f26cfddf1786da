"""Occlusion sensitivity: what a classifier loses when a part of the face is covered. Needs its scores only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def places(side: int, patch: int, step: int) -> tuple[np.ndarray, list[slice]]:
    """Middles of a sliding patch along one side, from edge to edge, and the pixels that it then hides.

    >>> middles, hidden = places(8, 4, 4)
    >>> middles.tolist(), [(p.start, p.stop) for p in hidden]
    ([0, 4, 8], [(0, 2), (2, 6), (6, 8)])
    """
    middles = np.unique(np.append(np.arange(0, side, step), side))
    cut = [slice(max(0, int(m) - patch // 2), min(side, int(m) + patch - patch // 2)) for m in middles]
    return middles, cut


def occlusion(
    score: Callable[[np.ndarray], np.ndarray],
    faces: np.ndarray,
    classes: np.ndarray,
    *,
    patch: int = 0,
    step: int = 0,
) -> np.ndarray:
    """How far the score of a class falls where a grey patch hides the face, as maps [N, S, S] in [0, 1].

    The value of a place is the fall with the patch's middle there; what rises counts as nothing, the largest is made 1.

    Paper: Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.
    Differs: the patch has the face's own mean grey, for networks that standardise each picture; between the patch's
        places the map is interpolated.

    Args:
        score: uint8 [M, S, S] or [M, S, S, 3] to scores [M, K].
        faces: uint8 [N, S, S] or [N, S, S, 3].
        classes: [N], whose score to watch.
        patch: side of the patch, pixels; by default a quarter of S.
        step: of the sliding, pixels; by default a twelfth of S.
    """
    side = faces.shape[1]
    middles, cuts = places(side, patch or max(2, side // 4), step or max(1, side // 12))
    between = _between(middles, side)
    maps = np.zeros(faces.shape[:3], np.float32)
    for number, (face, which) in enumerate(zip(faces, classes, strict=True)):
        grey = face.reshape(-1, *face.shape[2:]).mean(0).round().astype(np.uint8)
        cells = [(down, across) for down in cuts for across in cuts]
        hidden = np.repeat(face[None], len(cells) + 1, 0)
        for copy, cell in zip(hidden[1:], cells, strict=True):
            copy[cell] = grey
        scores = np.asarray(score(hidden))[:, which].astype(np.float64)
        fall = np.maximum(scores[0] - scores[1:], 0).reshape(len(cuts), len(cuts))
        wide = between @ fall @ between.T
        maps[number] = wide / wide.max() if wide.max() > 0 else 0
    return maps


def _between(middles: np.ndarray, side: int) -> np.ndarray:
    """Weights [S, M] that interpolate values at the middles linearly at the middle of each pixel."""
    return np.stack([np.interp(np.arange(side) + 0.5, middles, row) for row in np.eye(len(middles))], 1)
