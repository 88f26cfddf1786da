"""68 facial landmarks, by the small network in the package."""

from __future__ import annotations

import numpy as np

from mien.faces.align import box_square, cut, to_frame
from mien.pipeline.model import Model
from mien.pipeline.store import find_file
from mien.types import Faces

WEIGHTS = "landmarks68"


class Landmarks:
    """Adds 68 points (iBUG order) to faces."""

    def __init__(self, threads: int = 0, device: str = "cpu") -> None:
        self._model = Model(find_file(WEIGHTS), threads, device)
        self.spec = self._model.spec

    def __call__(self, image: np.ndarray, faces: Faces, detector: str) -> Faces:
        """Faces with `landmarks` float32 [N, 68, 2] in pixels of the picture."""
        if not len(faces):
            return faces
        scale, shift = self.spec.geometry.for_detector(detector)
        squares = [box_square(box, scale, shift) for box in faces.box]
        crops = [cut(image, square, self.spec.size) for square in squares]
        points = self._model.run(self._model.prepare(crops)).reshape(len(faces), 68, 2)
        return faces.with_(landmarks=np.stack([to_frame(p, s) for p, s in zip(points, squares, strict=True)]))
