"""Small movements of a face, without those of the head: points followed by optical flow between two frames.

A point moves as its skin does relative to the rest of the face, in shares of the distance between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.errors import InputError
from mien.faces.align import LEFT_EYE, RIGHT_EYE
from mien.faces.head import MEAN, depth, motion

PATCH_SIDE = 256
"""Largest side of the part of a frame that is looked at, pixels; larger faces are shrunk."""
LIGHT_SHARE = 0.024
"""Deviation of the blur that is taken for light, in sides of the patch."""
ROOM = 2.0
"""Side of that part, in lengths of the face from brows to chin."""
FITS = (0.6, 1.5)
"""A patch is kept at its size while a face is between so many times as large as when it was chosen."""
REGIONS: dict[str, tuple[int, ...]] = {
    "right brow": (17, 18, 19, 68, 69),
    "left brow": (24, 25, 26, 71, 72),
    "between the brows": (20, 21, 22, 23, 27, 70),
    "right cheek": (73, 74, 75),
    "left cheek": (76, 77, 78),
    "nose": (31, 32, 33, 34, 35),
    "right mouth corner": (48, 49, 59, 60),
    "left mouth corner": (53, 54, 55, 64),
    "upper lip": (50, 51, 52, 61, 62, 63),
    "lower lip": (56, 57, 58, 65, 66, 67),
    "chin": (79, 80, 81),
}
"""Points of `template` by part of the face. The eyes are left out: a blink is as short as a micro-expression."""
RIGID = (27, 28, 29, 30, 36, 39, 42, 45)
"""Bridge of the nose and corners of the eyes: they help to tell the head's motion."""
USED = tuple(sorted({*RIGID, *(point for points in REGIONS.values() for point in points)}))


def eye_distance(landmarks: np.ndarray) -> float:
    """Between the middles of the eyes of 68 points [68, 2], pixels."""
    return float(np.linalg.norm(landmarks[LEFT_EYE].mean(0) - landmarks[RIGHT_EYE].mean(0)))


def template(landmarks: np.ndarray) -> np.ndarray:
    """68 points and 14 between them: five on the forehead, six on the cheeks, three on the chin [82, D].

    Args:
        landmarks: [68, D] in iBUG order, in the plane or in space.
    """
    p = np.asarray(landmarks, np.float64)
    up = 0.5 * (p[17:27].mean(0) - p[36:48].mean(0))
    forehead = np.stack([p[18], p[20], p[[21, 22]].mean(0), p[23], p[25]]) + up
    cheeks = []
    for eye, nose, corner, jaw in ((36, 31, 48, 3), (45, 35, 54, 13)):
        middle = p[[eye, nose, corner, jaw]].mean(0)
        cheeks += [middle, (middle + p[nose]) / 2, (middle + p[corner]) / 2]
    chin = [
        p[57] + share * (p[8] - p[57]) + side * (p[10] - p[6]) / 2
        for share, side in ((0.5, 0), (0.7, -0.4), (0.7, 0.4))
    ]
    return np.concatenate([p, forehead, np.stack(cheeks), np.stack(chin)])


_MEAN = template(MEAN)


@dataclass(frozen=True)
class Patch:
    """The part of one frame that shows the face, in grey.

    Attributes:
        grey: uint8 [S, S], less the light: its blur is subtracted.
        origin: place of its first pixel in the frame, pixels.
        half: half its side, pixels of the frame.
        points: float64 [82, 2], `template`, pixels of the frame.
        depths: float64 [82], how far each stands out, pixels of the frame.
    """

    grey: np.ndarray
    origin: tuple[int, int]
    half: int
    points: np.ndarray
    depths: np.ndarray

    @property
    def scale(self) -> float:
        """Its pixels per pixel of the frame."""
        return len(self.grey) / (2 * self.half)

    @property
    def unit(self) -> float:
        """Distance between the eyes, pixels of the frame."""
        return max(1e-3, eye_distance(self.points[:68]))

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Points of the frame as places in the patch."""
        return np.asarray((points - self.origin) * self.scale, np.float32)

    def outside(self, places: np.ndarray) -> np.ndarray:
        """Places in the patch as points of the frame."""
        return np.asarray(places / self.scale + self.origin, np.float64)


def patch_of(image: np.ndarray, landmarks: np.ndarray, like: Patch | None = None) -> Patch:
    """Cut a face out of a frame by whole pixels, so that no interpolation makes movement of its own.

    Args:
        image: uint8 [H, W, 3] RGB or grey [H, W].
        landmarks: [68, 2], pixels; a running mean over some frames is steadier.
        like: of an earlier frame: the same size is kept while it fits, for only patches of one size can be compared.

    Raises:
        InputError: another number of points.
    """
    if landmarks.shape != (68, 2):
        raise InputError(f"landmarks of shape {list(landmarks.shape)}; 68 points [68, 2] are needed")
    points = template(landmarks)
    used = points[list(USED)]
    middle = (used.min(0) + used.max(0)) / 2
    half = max(16, round(ROOM / 2 * float((used.max(0) - used.min(0)).max())))
    if like is not None and FITS[0] < half / like.half < FITS[1]:
        half = like.half
    x, y = (round(v) - half for v in middle)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    part = _cut(np.asarray(grey), x, y, 2 * half)
    if 2 * half > PATCH_SIDE:
        part = np.asarray(cv2.resize(part, (PATCH_SIDE, PATCH_SIDE), interpolation=cv2.INTER_AREA))
    return Patch(_levelled(part), (x, y), half, points, depth(points, _MEAN))


def _levelled(grey: np.ndarray) -> np.ndarray:
    """Detail alone: light that changes, or that a turning head catches otherwise, would look like movement."""
    fine = grey.astype(np.float32)
    fine -= cv2.GaussianBlur(fine, (0, 0), LIGHT_SHARE * len(grey))
    return np.clip(128 + 2 * fine, 0, 255).astype(np.uint8)


def _cut(grey: np.ndarray, x: int, y: int, side: int) -> np.ndarray:
    """A square of a picture; beyond the edge the border is repeated."""
    rows = np.clip(np.arange(y, y + side), 0, grey.shape[0] - 1)
    columns = np.clip(np.arange(x, x + side), 0, grey.shape[1] - 1)
    return np.asarray(grey[rows[:, None], columns[None]])


def follow(one: Patch, other: Patch, window: float = 0.2) -> np.ndarray:
    """How far each point of the face has moved from one frame to the other, less the head's motion.

    Paper: Lucas and Kanade, "An iterative image registration technique with an application to stereo vision", IJCAI
        1981, in Bouguet's pyramidal form (OpenCV).

    Args:
        window: side of what is compared around a point, in distances between the eyes.

    Returns:
        float64 [82, 2], in distances between the eyes; NaN for points that are not used or not found.
    """
    used = list(USED)
    places = one.inside(one.points[used])
    side = int(np.clip(window * one.unit * one.scale, 9, 41)) | 1
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        one.grey, other.grey, places, places.copy(), winSize=(side, side), maxLevel=2,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.005),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW, minEigThreshold=1e-4,
    )  # fmt: skip
    start = one.outside(places)
    moved = other.outside(found) - start
    good = status[:, 0].astype(bool) & (np.linalg.norm(found - places, axis=1) < side)
    out = np.full((len(one.points), 2), np.nan)
    if good.sum() >= 8:
        rest = moved[good] - motion(start[good], moved[good], one.depths[used][good])
        out[np.array(used)[good]] = rest / one.unit
    return out


def by_region(moved: np.ndarray) -> np.ndarray:
    """Mean movement of each of `REGIONS` [R, 2]; 0 where no point of it was found."""
    out = np.zeros((len(REGIONS), 2))
    for row, points in enumerate(REGIONS.values()):
        part = moved[list(points)]
        part = part[np.isfinite(part[:, 0])]
        if len(part):
            out[row] = np.median(part, axis=0)
    return out
