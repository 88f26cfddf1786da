"""Occlusion sensitivity: what a classifier loses when a part of the face is covered. Needs its scores only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def places(side: int, patch: int, step: int) -> list[slice]:
    """Where a patch lies along one side, so that its middle goes from edge to edge.

    >>> [(p.start, p.stop) for p in places(8, 4, 4)]
    [(0, 2), (2, 6), (6, 8)]
    """
    middles = np.unique(np.append(np.arange(0, side, step), side))
    cut = [(max(0, int(m) - patch // 2), min(side, int(m) + patch - patch // 2)) for m in middles]
    return [slice(low, high) for low, high in cut]


def occlusion(
    score: Callable[[np.ndarray], np.ndarray],
    faces: np.ndarray,
    classes: np.ndarray,
    *,
    patch: int = 0,
    step: int = 0,
) -> np.ndarray:
    """How far the score of a class falls where a grey patch hides the face, as maps [N, S, S] in [0, 1].

    Each pixel has the mean fall over the patches that hid it; what rises counts as nothing, the largest is made 1.

    Paper: Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.
    Differs: the patch has the face's own mean grey, for networks that standardise each picture; falls are averaged
        over overlapping patches.

    Args:
        score: uint8 [M, S, S] or [M, S, S, 3] to scores [M, K].
        faces: uint8 [N, S, S] or [N, S, S, 3].
        classes: [N], whose score to watch.
        patch: side of the patch, pixels; by default a quarter of S.
        step: of the sliding, pixels; by default a twelfth of S.
    """
    side = faces.shape[1]
    rows = places(side, patch or max(2, side // 4), step or max(1, side // 12))
    maps = np.zeros(faces.shape[:3], np.float32)
    for number, (face, which) in enumerate(zip(faces, classes, strict=True)):
        grey = face.reshape(-1, *face.shape[2:]).mean(0).round().astype(np.uint8)
        cells = [(down, across) for down in rows for across in rows]
        hidden = np.repeat(face[None], len(cells) + 1, 0)
        for copy, cell in zip(hidden[1:], cells, strict=True):
            copy[cell] = grey
        scores = score(hidden)[:, which]
        fall, count = np.zeros((side, side)), np.zeros((side, side))
        for cell, value in zip(cells, scores[0] - scores[1:], strict=True):
            fall[cell] += value
            count[cell] += 1
        mean = np.maximum(fall / count, 0)
        maps[number] = mean / mean.max() if mean.max() > 0 else 0
    return maps
