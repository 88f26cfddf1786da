"""Whether two faces are of one person, by a recognition network in the package; for the tracker alone."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mien.faces.align import cut, squares
from mien.pipeline.model import Model
from mien.pipeline.store import find_file
from mien.spec import Geometry
from mien.types import Faces

WEIGHTS = "identity"
SIDE = 150
"""Of the network's input, pixels."""
GEOMETRY = Geometry(align="landmarks", scale=2.44)
"""The eyes of dlib's own cuts lie 0.41 of the side apart."""
SMALLEST = 32
"""Shorter side of a face, pixels, below which its identity is not asked for."""


class Identity:
    """Describes faces by 128 numbers that are nearer to each other for one person than for two (Euclidean distance).

    The network is loaded when the first face is described. Descriptors are biometric data: they stay in memory.
    """

    def __init__(self, threads: int = 0, device: str = "cpu") -> None:
        self._threads, self._device = threads, device

    @cached_property
    def _model(self) -> Model:
        return Model(find_file(WEIGHTS), self._threads, self._device)

    def crops(self, image: np.ndarray, faces: Faces, detector: str) -> list[np.ndarray | None]:
        """What `describe` wants of each face, uint8 RGB [S, S, 3]; None where a face is too small."""
        sides = (faces.box[:, 2:] - faces.box[:, :2]).min(1)
        wanted = squares(faces, GEOMETRY, detector)
        return [
            cut(image, square, SIDE) if side >= SMALLEST else None for square, side in zip(wanted, sides, strict=True)
        ]

    def describe(self, crops: list[np.ndarray]) -> np.ndarray:
        """Descriptors float32 [N, 128]."""
        return self._model.run(self._model.prepare(crops)).astype(np.float32, copy=False)
