"""Faces turned after the picture was taken: in the plane, and about the neck by a mean head."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from mien.faces.solid import MIDDLE, UNIT, relief

_FINE = 4  # places a pixel in the turned picture
_DENSE = 8  # samples a place in the picture: skin is stretched up to about so many times
_AXIS, _FEATURES = -0.35, 0.15  # depth of the axis of the turn, and of the features on which crops are centred
_WALL = -1.2  # what lies deeper is no head


def roll(faces: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Faces turned in the plane about the crop's middle, each to a side drawn at random; the border is repeated."""
    side, out = faces.shape[1], np.empty_like(faces)
    for row, sign in enumerate(random.choice((-1, 1), len(faces))):
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), float(sign * degrees), 1.0)
        out[row] = cv2.warpAffine(
            faces[row], matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return out


def yaw(faces: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Faces turned about the neck, each to a side drawn at random: SYNTHETIC, no camera saw them so.

    Each crop is laid over one mean head (`mien.faces.solid.relief`) as if it were frontal, which many are not, and the
    head is turned under orthographic projection. The far side goes behind nose and cheek as it should; what the picture
    did not show, on the near side, is its last skin stretched, and beyond the crop's edge its mirror image. The
    background gives way. Light and expression stay those of the picture.
    """
    out = np.empty_like(faces)
    for row, sign in enumerate(random.choice((-1, 1), len(faces))):
        x, y = yaw_map(faces.shape[1], float(sign * degrees))
        out[row] = cv2.remap(faces[row], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return out


@lru_cache(maxsize=64)
def yaw_map(side: int, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of the turned crop lay before, x and y float32 [S, S], pixels.

    Args:
        degrees: positive turns the nose to the picture's right.
    """
    # half a crop beyond each edge may turn into it
    coarse = np.linspace(-0.5, 1.5, 2 * _FINE * side + 1)
    places = np.linspace(-0.5, 1.5, 2 * _FINE * _DENSE * side + 1)
    down = (np.arange(side) + 0.5) / side
    depths = relief(*np.meshgrid((coarse - MIDDLE[0]) / UNIT, (down - MIDDLE[1]) / UNIT))
    source = np.empty((side, side), np.float32)
    for row, depth in enumerate(depths):
        source[row] = _row(places, np.interp(places, coarse, depth), np.radians(degrees), side)
    level = np.repeat(np.arange(side, dtype=np.float32)[:, None], side, 1)
    # rows are turned one by one; a median takes off the fringe where one of them hides more than its neighbours
    return np.asarray(cv2.medianBlur(source, 3 if side < 72 else 5)), level


def _row(places: np.ndarray, z: np.ndarray, angle: float, side: int) -> np.ndarray:
    """Where the pixels of one row come from: of all skin that falls on a place, the nearest to the camera.

    Args:
        places: [M], shares of the crop, growing.
        z: [M], how far the head stands out there, in distances between the eyes.
        angle: of the turn, radians.
    """
    c, s = np.cos(angle), np.sin(angle)
    x = (places - MIDDLE[0]) / UNIT
    moved = (c * x + s * (z - _FEATURES)) * UNIT + MIDDLE[0]
    nearness = c * (z - _AXIS) - s * x
    fine = 2 * _FINE * side
    at = np.floor((moved + 0.5) * _FINE * side).astype(int)
    # skin that has turned its back to the camera, the wall, and what falls outside
    seen = (np.gradient(moved) > 0) & (z > _WALL) & (at >= 0) & (at < fine)
    order = np.argsort(nearness[seen], kind="stable")
    found = np.full(fine, np.nan)
    found[at[seen][order]] = places[seen][order]
    found[[0, -1]] = np.where(np.isnan(found[[0, -1]]), places[[0, -1]], found[[0, -1]])
    known = np.flatnonzero(~np.isnan(found))
    whole = np.interp(np.arange(fine), known, found[known])[_FINE * side // 2 :][: _FINE * side]
    return np.asarray(whole.reshape(side, _FINE).mean(1) * side - 0.5, np.float32)
