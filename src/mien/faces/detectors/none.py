"""No detection: the whole picture is one face."""

from __future__ import annotations

import numpy as np

from mien.faces import DETECTORS
from mien.types import Faces


@DETECTORS.register("none", paper="", package="", licence="", platforms="all", points=0)
class WholePicture:
    """For pictures that are face crops already: one face, as large as the picture."""

    name = "none"

    def __init__(self, threshold: float = 0.0, threads: int = 0, device: str = "cpu") -> None:
        del threshold, threads, device

    def __call__(self, image: np.ndarray) -> Faces:
        height, width = image.shape[:2]
        return Faces(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))
