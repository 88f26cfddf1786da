"""Finding, following and cutting faces. No torch."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mien.registry import Registry
from mien.types import Faces


class Detector(Protocol):
    """Finds faces in one picture.

    Attributes:
        name: as registered; a Spec may hold a crop geometry for it.
    """

    name: str

    def __call__(self, image: np.ndarray) -> Faces:
        """Faces of a uint8 RGB picture [H, W, 3], the most confident first."""
        ...


DETECTORS: Registry[Detector] = Registry("detector", "mien.faces.detectors")
