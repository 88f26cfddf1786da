"""Change of the angles between facial key points, as an image."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from mien.errors import DataError

EYES = slice(36, 48)
MIRROR = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1)),  # jaw, brows
        *(27, 28, 29, 30, 35, 34, 33, 32, 31),  # nose
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),  # mouth
    ]
)
"""iBUG index of each point's mirror image [68]."""

Maps = TypeVar("Maps")


def directions(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Direction of every point from every other.

    Args:
        landmarks: [T, P, 2], x to the right and y down.

    Returns:
        Angles [T, P, P] in radians, of the vector from point i to point j, and its length [T, P, P].
    """
    vector = landmarks[:, None, :, :] - landmarks[:, :, None, :]
    return np.arctan2(vector[..., 1], vector[..., 0]), np.linalg.norm(vector, axis=-1)


def angle_changes(landmarks: np.ndarray, neutral: int = 0, near: float = 0.02) -> np.ndarray:
    """How far the line between each two key points has turned since the neutral frame, in every frame.

    D_tij = wrap(a_tij - a_0ij - r_t), where a_tij is the direction from point i to point j in frame t and r_t the turn
    of the whole head in the plane, the direction from the middle of the right eye to that of the left. The map is
    symmetric, for the line from j to i turns as the one from i to j does.

    Paper: Ge et al., "Facial expression recognition based on deep learning", Computer Methods and Programs in
        Biomedicine, 2022, name a "feature map" of the change of angles between facial key points.

    Differs: they print no formula; this is ours.

    Args:
        landmarks: [T, 68, 2] in iBUG order, pixels.
        neutral: index of the frame that the others are compared with; where none is neutral, the first.
        near: points nearer to each other than this share of the head's size (root mean square distance from its centre)
            in either frame have no certain direction: their change is 0.

    Returns:
        float32 [T, 68, 68], radians in (-pi, pi].

    Raises:
        DataError: other shapes, points that are not finite, or no such frame.
    """
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 3 or points.shape[1:] != (68, 2) or not len(points):
        raise DataError(f"landmarks have the shape {list(points.shape)}; [T, 68, 2] is needed, T at least 1")
    if not np.isfinite(points).all():
        raise DataError("landmarks hold values that are not finite; leave out the frames without a face")
    if not -len(points) <= neutral < len(points):
        raise DataError(f"neutral frame {neutral} of {len(points)} frames; count from 0")
    angle, length = directions(points)
    turn = angle - angle[neutral]
    eyes = points[:, EYES].reshape(len(points), 2, 6, 2).mean(2)
    tilt = np.arctan2(*(eyes[:, 1] - eyes[:, 0]).T[::-1])
    turn -= (tilt - tilt[neutral])[:, None, None]
    # to (-pi, pi]
    turn = np.pi - np.mod(np.pi - turn, 2 * np.pi)
    head = np.sqrt(np.square(points - points.mean(1, keepdims=True)).sum(2).mean(1))
    certain = length > near * head[:, None, None]
    return np.where(certain & certain[neutral], turn, 0).astype(np.float32)


def mirror_map(maps: Maps) -> Maps:
    """The change of angles of the mirrored face: what `angle_changes` gives for mirrored points.

    Mirroring takes a direction a to pi - a and point i to its partner m(i), so D'_ij = -D_m(i)m(j); a half turn stays
    one. Turning, moving or enlarging the picture leaves the map as it is.

    >>> bool((mirror_map(mirror_map(np.eye(68))) == np.eye(68)).all())
    True

    Args:
        maps: [..., 68, 68], array or tensor, in radians or units of pi.

    Returns:
        The same kind of array, a copy.
    """
    turned: Maps = -maps[..., MIRROR[:, None], MIRROR]  # type: ignore[index]
    return turned


def steady(landmarks: np.ndarray, width: int = 3) -> np.ndarray:
    """Running median of each coordinate over time, so that points lost in one frame do not pass for an expression.

    At both ends the window is moved inside, so that the first and the last frame are guarded as well.

    Args:
        landmarks: [T, P, 2].
        width: frames in the window; a shorter recording is given back as it is.

    Returns:
        [T, P, 2].
    """
    count = len(landmarks)
    if count < width:
        return landmarks
    start = np.clip(np.arange(count) - width // 2, 0, count - width)
    return np.asarray(np.median(landmarks[start[:, None] + np.arange(width)], axis=1))


def apex(changes: np.ndarray) -> int:
    """The frame in which most angles have turned furthest: the largest mean of |D| over changes [T, P, P]."""
    return int(np.abs(changes).mean((1, 2)).argmax())


def angle_map(landmarks: np.ndarray, neutral: int = 0, frame: int | None = None) -> np.ndarray:
    """The change of angles from the neutral frame to the apex, as an image with values in (-1, 1].

    >>> angle_map(np.zeros((3, 68, 2))).shape
    (1, 68, 68)

    Args:
        landmarks: [T, 68, 2] in iBUG order, pixels.
        neutral: index of the neutral (or first) frame.
        frame: index of the frame to show; by default the apex, where angles differ most from the neutral ones.

    Returns:
        float32 [1, 68, 68], in units of pi: what `alexnet-emotion` reads as `angles`.

    Raises:
        DataError: as `angle_changes`.
    """
    changes = angle_changes(landmarks, neutral)
    shown = apex(changes) if frame is None else frame
    if not -len(changes) <= shown < len(changes):
        raise DataError(f"frame {shown} of {len(changes)} frames; count from 0")
    return np.asarray(changes[shown][None] / np.float32(np.pi), np.float32)
