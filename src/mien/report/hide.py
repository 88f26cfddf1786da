"""Faces made unrecognisable for good."""

from __future__ import annotations

import cv2
import numpy as np

CELLS = 6
GROW = 0.25
_STEP = 16


def hide(image: np.ndarray, box: np.ndarray) -> None:
    """Replace faces by a blur of at most 6 x 6 averaged cells, in place.

    An ellipse around the box, grown by a quarter of its side on each side, is covered, corners of the box included.
    What remains of a face is at most 36 colours in steps of 16: nothing that sharpening could bring back.

    Args:
        image: uint8 [H, W, 3].
        box: [N, 4], x1 y1 x2 y2 in pixels.
    """
    for x1, y1, x2, y2 in np.asarray(box, np.float64).reshape(-1, 4):
        wide, high = (x2 - x1) * GROW, (y2 - y1) * GROW
        _cover(image, x1 - wide, y1 - high, x2 + wide, y2 + high)


def _cover(image: np.ndarray, x1: float, y1: float, x2: float, y2: float) -> None:
    left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
    right, bottom = min(image.shape[1], int(np.ceil(x2))), min(image.shape[0], int(np.ceil(y2)))
    if left >= right or top >= bottom:
        return
    part = image[top:bottom, left:right]
    height, width = part.shape[:2]
    cells = cv2.resize(part, (min(CELLS, width), min(CELLS, height)), interpolation=cv2.INTER_AREA)
    # coarse steps, so that many frames of a video do not add up to a finer picture
    cells = cells // _STEP * _STEP + _STEP // 2
    flat = cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)
    inside = np.zeros((height, width), np.uint8)
    centre = round((x1 + x2) * 8 - left * 16), round((y1 + y2) * 8 - top * 16)  # sixteenths of a pixel
    axes = round((x2 - x1) * 8), round((y2 - y1) * 8)
    cv2.ellipse(inside, centre, axes, 0, 0, 360, 255, cv2.FILLED, cv2.LINE_8, shift=4)
    np.copyto(part, flat, where=inside[..., None] > 0)
