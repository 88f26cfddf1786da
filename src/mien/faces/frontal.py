"""Pose normalisation of face crops by their 68 landmarks: roll, and yaw by mirrored symmetry or by a mean head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import cv2
import numpy as np

from mien.errors import UnknownName
from mien.faces.head import MEAN
from mien.faces.landmarks import Landmarks
from mien.faces.solid import MIDDLE, UNIT, relief
from mien.types import Faces

Pose = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(one crop uint8 [S, S] or [S, S, 3], its 68 points [68, 2] in pixels) -> the crop made upright or frontal."""

RIGHT_EYE, LEFT_EYE, BRIDGE, CHIN = slice(36, 42), slice(42, 48), 27, 8
LEAST, TILT = 12.0, 15.0
"""Degrees of yaw, and of roll, below which a face is left as it is: the landmarks are hardly surer than that, and
training turns faces by as much in the plane."""


def find_points(crops: np.ndarray, landmarks: Landmarks) -> np.ndarray:
    """68 points float32 [N, 68, 2] in pixels of crops uint8 [N, S, S] or [N, S, S, 3] that faces fill."""
    points = np.zeros((len(crops), 68, 2), np.float32)
    whole = Faces(np.array([[0, 0, crops.shape[2], crops.shape[1]]], np.float32), np.ones(1, np.float32))
    for row, crop in enumerate(crops):
        colour = crop if crop.ndim == 3 else cv2.cvtColor(crop, cv2.COLOR_GRAY2RGB)
        points[row] = landmarks(np.asarray(colour), whole, "none").landmarks[0]
    return points


def roll_of(points: np.ndarray) -> float:
    """Roll of a face by the line between its eyes, degrees, clockwise on the screen."""
    across = points[LEFT_EYE].mean(0) - points[RIGHT_EYE].mean(0)
    return float(np.degrees(np.arctan2(across[1], across[0])))


def camera(points: np.ndarray) -> np.ndarray:
    """The affine camera [2, 4] that shows the mean head's points nearest to these [68, 2]: least squares."""
    solid = np.column_stack([MEAN, np.ones(len(MEAN))])
    return np.asarray(np.linalg.lstsq(solid, points.astype(np.float64), rcond=None)[0].T)


def yaw_of(points: np.ndarray) -> float:
    """Yaw of a face by its camera, degrees; positive where the nose points to the picture's right.

    The camera's first two rows are the head's axes as the picture shows them; their cross product is the line of sight.
    """
    fit = camera(points)[:, :3]
    right, down = fit / np.maximum(np.linalg.norm(fit, axis=1, keepdims=True), 1e-9)
    sight = np.cross(right, down)
    return float(np.degrees(np.arctan2(-sight[0], sight[2])))


def _warp(face: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A crop by an affine matrix [2, 3] from places after to places before; the border is repeated."""
    size = face.shape[1], face.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(face, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _read(face: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The crop at places [S, S], pixels; the border is repeated."""
    maps = x.astype(np.float32), y.astype(np.float32)
    return np.asarray(cv2.remap(face, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _levelling(points: np.ndarray, side: int) -> np.ndarray:
    """The affine matrix [2, 3], after to before, that turns the crop about its middle until the eyes are level."""
    c, s = np.cos(np.radians(roll_of(points))), np.sin(np.radians(roll_of(points)))
    middle = np.full(2, (side - 1) / 2)
    turn = np.array([[c, -s], [s, c]])
    return np.column_stack([turn, middle - turn @ middle])


def upright(face: np.ndarray, points: np.ndarray, least: float = TILT) -> np.ndarray:
    """The crop turned about its middle until the eyes are level.

    Args:
        least: roll in degrees below which the crop is left as it is.
    """
    return face if abs(roll_of(points)) < least else _warp(face, _levelling(points, face.shape[1]))


def symmetric(face: np.ndarray, points: np.ndarray, least: float = LEAST) -> np.ndarray:
    """A turned face made of its nearer half and that half's mirror image.

    The crop is made upright; the line from the bridge of the nose to the chin, where both halves meet, becomes the
    crop's middle; the half on which the eye's outer corner lies farther off is stretched to a frontal face's width and
    mirrored onto the other. Differences between the halves of a face, a one-sided smile say, are lost.

    Args:
        least: yaw in degrees below which the crop is only made upright.
    """
    side = face.shape[1]
    turn = _levelling(points, side)
    straight = _warp(face, turn)
    if abs(yaw_of(points)) < least:
        return straight
    level = (points - 0.5 - turn[:, 2]) @ turn[:, :2] + 0.5
    bridge, chin = level[BRIDGE], level[CHIN]
    slant = (chin[0] - bridge[0]) / max(float(chin[1] - bridge[1]), 1e-3)
    corners = level[[36, 45]]
    reach = corners[:, 0] - (bridge[0] + slant * (corners[:, 1] - bridge[1]))
    near = 1 if reach[1] > -reach[0] else -1  # the half on the picture's right or left
    wide = float(abs(reach[1] if near == 1 else reach[0])) / side
    usual = float(abs(MEAN[45, 0])) * UNIT
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    away = np.abs(x - side * MIDDLE[0]) * max(wide, 0.02) / usual
    source = bridge[0] + slant * (y - bridge[1]) + near * away
    return _read(straight, source - 0.5, y - 0.5)


@lru_cache(maxsize=8)
def _frontal_head(side: int) -> tuple[np.ndarray, np.ndarray]:
    """What a frontal crop shows of the mean head: places [S, S, 3], and the surface's normals [S, S, 3]."""
    line = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid((line - MIDDLE[0]) / UNIT, (line - MIDDLE[1]) / UNIT)
    z = relief(x, y)
    down, across = np.gradient(z, (line[1] - line[0]) / UNIT)
    normals = np.dstack([-across, -down, np.ones_like(z)])
    return np.dstack([x, y, z]), normals / np.linalg.norm(normals, axis=2, keepdims=True)


def frontal(face: np.ndarray, points: np.ndarray, least: float = LEAST) -> np.ndarray:
    """A turned face seen from the front, by a mean head; skin that the picture hides is taken from the other half.

    The affine camera of the 68 points says where each place of a frontal head lies in the crop. Where the head's
    surface looks away from the camera, the mirrored place is read instead, blended by how much it looks away.

    Paper: after Hassner et al., "Effective face frontalization in unconstrained images", CVPR 2015.
    Differs: an affine camera in place of a calibrated one; the surface's normal decides what is hidden, not how often a
        pixel is sampled.

    Args:
        least: yaw in degrees below which the crop is only made upright.
    """
    if abs(yaw_of(points)) < least:
        return upright(face, points)
    side = face.shape[1]
    head, normals = _frontal_head(side)
    fit = camera(points)
    right, down = fit[:, :3] / np.maximum(np.linalg.norm(fit[:, :3], axis=1, keepdims=True), 1e-9)
    sight = np.cross(right, down)
    facing = normals @ (sight / max(float(np.linalg.norm(sight)), 1e-9))
    mirrored = facing[:, ::-1]
    own = np.clip((facing - 0.15) / 0.25, 0, 1)
    # a half is borrowed only from where it is seen better
    own = np.where(mirrored > facing, own, 1.0)
    place = head @ fit[:, :3].T + fit[:, 3] - 0.5
    seen = _read(face, place[..., 0], place[..., 1])
    weight = np.asarray(cv2.GaussianBlur(own, (0, 0), side / 48))
    weight = weight[..., None] if face.ndim == 3 else weight
    return np.asarray(weight * seen + (1 - weight) * seen[:, ::-1] + 0.5).astype(np.uint8)


POSES: Mapping[str, Pose] = MappingProxyType({"upright": upright, "symmetric": symmetric, "frontal": frontal})
"""Name -> pose normalisation."""


def pose(name: str, landmarks: Landmarks | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """The pose normalisation of that name as a function of crops [N, S, S] or [N, S, S, 3]; finds their points itself.

    Raises:
        UnknownName: there is none.
    """
    if name not in POSES:
        raise UnknownName("pose normalisation", name, POSES)
    finder, change = landmarks or Landmarks(), POSES[name]

    def apply(crops: np.ndarray) -> np.ndarray:
        found = find_points(crops, finder)
        return (
            np.stack([change(crop, points) for crop, points in zip(crops, found, strict=True)]) if len(crops) else crops
        )

    return apply
