"""A face held still: cut out of each frame so that the head does not move in the cut."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from mien.faces.align import matrix, squares
from mien.faces.movement import USED, template
from mien.spec import Geometry
from mien.types import Faces

SIDES = 3.6
"""Side of the cut, in distances between the eyes, or between eyes and mouth where that is longer."""
WINDOW = 0.2
"""Side of what is compared around a point, in distances between the eyes."""
KEPT = 0.5
"""Where fewer than this share of the points come home, the face is looked for again."""


class Steady:
    """Cuts one face, the largest, out of the frames of a clip, always at the same place of the cut.

    Points of the face are followed from the first cut to each frame by optical flow (Lucas and Kanade); the shift, turn
    and scale that bring most of them home are undone.

    Args:
        find: faces of a frame with their 68 points; called for the first frame and where the face was lost.
        size: side of the cut, pixels.
    """

    def __init__(self, find: Callable[[np.ndarray], Faces], size: int = 384) -> None:
        self.size = size
        self._find = find
        self._way: np.ndarray | None = None  # affine [2, 3], from the cut to the frame
        self._reference = np.zeros((0, 0), np.uint8)
        self._points = np.zeros((0, 2), np.float32)

    def __call__(self, image: np.ndarray) -> np.ndarray | None:
        """The face in the next frame, uint8 [size, size, 3]; None while none was found.

        Args:
            image: uint8 RGB [H, W, 3].
        """
        if self._way is not None:
            change = self._change(_grey(self._cut(image, self._way)))
            if change is not None:
                self._way = (np.vstack([self._way, [0, 0, 1]]) @ np.vstack([change, [0, 0, 1]]))[:2]
                return self._cut(image, self._way)
        self._look(image)
        return None if self._way is None else self._cut(image, self._way)

    def _look(self, image: np.ndarray) -> None:
        """Find the face, from which on it is followed; a cut without one stays where it was."""
        faces = self._find(image)
        if not len(faces):
            return
        sides = faces.box[:, 2:] - faces.box[:, :2]
        face = faces[[int(sides.prod(1).argmax())]]
        self._way = matrix(squares(face, Geometry("landmarks", SIDES), "")[0], self.size)
        back = cv2.invertAffineTransform(self._way)
        points = template(face.landmarks[0].astype(np.float64))[list(USED)]
        self._points = np.asarray(points @ back[:, :2].T + back[:, 2], np.float32)
        self._reference = _grey(self._cut(image, self._way))

    def _change(self, here: np.ndarray) -> np.ndarray | None:
        """Affine [2, 3] from the reference to this cut; None if the face is lost."""
        side = round(WINDOW * self.size / SIDES) | 1
        found, status, _ = cv2.calcOpticalFlowPyrLK(
            self._reference, here, self._points, self._points.copy(), winSize=(side, side), maxLevel=3,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )  # fmt: skip
        good = status[:, 0].astype(bool)
        least = KEPT * len(good)
        if good.sum() < least:
            return None
        change, kept = cv2.estimateAffinePartial2D(self._points[good], found[good], ransacReprojThreshold=1.5)
        return None if change is None or kept.sum() < least else np.asarray(change)

    def _cut(self, image: np.ndarray, way: np.ndarray) -> np.ndarray:
        flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (self.size, self.size)
        return np.asarray(cv2.warpAffine(image, way, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _grey(image: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
