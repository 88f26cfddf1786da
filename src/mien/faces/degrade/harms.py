"""Degradations of face crops by name, each with the strengths at which it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from mien.errors import UnknownName
from mien.faces.degrade.occluders import OCCLUDERS, grid, occlude
from mien.faces.degrade.turn import roll, yaw

GAMMA = 2.2
"""Light is a pixel's value to this power; close to sRGB's curve."""
_WHITE, _READ = 1000.0, 2.0  # electrons that make white, and the noise of reading them: a small, cheap sensor


def _light(faces: np.ndarray) -> np.ndarray:
    return np.asarray((faces / np.float32(255)) ** GAMMA)


def _pixels(light: np.ndarray) -> np.ndarray:
    return np.asarray(255 * np.clip(light, 0, 1) ** (1 / GAMMA) + 0.5).astype(np.uint8)


def _noisy(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Light as a sensor counts it: shot noise of each electron, and noise of reading."""
    electrons = random.poisson(light * _WHITE) + random.normal(0, _READ, light.shape)
    return np.asarray(electrons / _WHITE)


def dark(faces: np.ndarray, stops: float, random: np.random.Generator) -> np.ndarray:
    """A 2^stops-th of the light, with the noise of a small sensor; what is below one grey step is lost."""
    return _pixels(_noisy(_light(faces) * 2.0**-stops, random))


def bright(faces: np.ndarray, stops: float, random: np.random.Generator) -> np.ndarray:
    """2^stops times the light; what is beyond white is lost."""
    return _pixels(_light(faces) * 2.0**stops)


def side_light(faces: np.ndarray, stops: float, random: np.random.Generator) -> np.ndarray:
    """Light that falls off across the face by so many stops, from a side drawn at random, with a sensor's noise."""
    x, y = grid(faces.shape[1])
    angle = random.uniform(0, 2 * np.pi, len(faces))[:, None, None]
    along = 0.5 + np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)
    fall = 2.0 ** (-stops * np.clip(along, 0, 1))
    return _pixels(_noisy(_light(faces) * (fall[..., None] if faces.ndim == 4 else fall), random))


def blur(faces: np.ndarray, width: float, random: np.random.Generator) -> np.ndarray:
    """Gaussian blur; `width` is its standard deviation as a share of the side."""
    sigma = width * faces.shape[1]
    return np.stack([cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for face in faces])


def jpeg(faces: np.ndarray, level: float, random: np.random.Generator) -> np.ndarray:
    """Compression at the JPEG quality 100 - level."""
    out = np.empty_like(faces)
    flag = cv2.IMREAD_COLOR if faces.ndim == 4 else cv2.IMREAD_GRAYSCALE
    for row, face in enumerate(faces):
        code = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, max(1, round(100 - level))])[1]
        out[row] = cv2.imdecode(code, flag)
    return out


def small(faces: np.ndarray, times: float, random: np.random.Generator) -> np.ndarray:
    """So many times fewer pixels across, by area averaging, and back by linear interpolation."""
    side = faces.shape[1]
    low = max(1, round(side / times))
    shrunk = [cv2.resize(face, (low, low), interpolation=cv2.INTER_AREA) for face in faces]
    return np.stack([cv2.resize(face, (side, side), interpolation=cv2.INTER_LINEAR) for face in shrunk])


def _hidden(
    faces: np.ndarray, share: float, random: np.random.Generator, kinds: tuple[str, ...] = tuple(OCCLUDERS)
) -> np.ndarray:
    return occlude(faces, share, random, kinds)[0]


class Harm(NamedTuple):
    """One degradation.

    Attributes:
        apply: (faces uint8 [N, S, S] or [N, S, S, 3], strength, random) -> faces like them.
        strengths: at which it is measured, growing; at 0 (or 1 for `small`) it would do nothing.
        unit: of the strength.
    """

    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    strengths: tuple[float, ...]
    unit: str


_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
_HIDDEN = "share of the face hidden"

HARMS: Mapping[str, Harm] = MappingProxyType(
    {
        "occluders": Harm(_hidden, _SHARES, _HIDDEN),
        **{kind: Harm(partial(_hidden, kinds=(kind,)), _SHARES, _HIDDEN) for kind in OCCLUDERS},
        "dark": Harm(dark, (1, 2, 3, 4, 5, 6), "stops less light"),
        "bright": Harm(bright, (0.5, 1, 1.5, 2, 3), "stops more light"),
        "side-light": Harm(side_light, (1, 2, 3, 4, 6), "stops of fall-off across the face"),
        "blur": Harm(blur, (0.01, 0.02, 0.03, 0.045, 0.06), "sigma as a share of the side"),
        "jpeg": Harm(jpeg, (50, 70, 80, 90, 95), "100 - JPEG quality"),
        "small": Harm(small, (1.5, 2, 3, 4, 6), "times fewer pixels across"),
        "roll": Harm(roll, (10, 20, 30, 45, 60), "degrees"),
        "yaw": Harm(yaw, (10, 20, 30, 40, 50), "degrees, synthetic"),
    }
)
"""Name -> degradation, in the order of the pages."""


def degrade(faces: np.ndarray, name: str, strength: float, random: np.random.Generator) -> np.ndarray:
    """Faces spoilt by a degradation of `HARMS`.

    Args:
        faces: uint8 [N, S, S] or RGB [N, S, S, 3].
        strength: in the harm's own unit.

    Raises:
        UnknownName: there is no such degradation.

    >>> grey = np.full((1, 48, 48), 186, np.uint8)  # a linear light of one half
    >>> int(degrade(grey, "bright", 1, np.random.default_rng(0)).min())
    255
    """
    if name not in HARMS:
        raise UnknownName("degradation", name, HARMS)
    return HARMS[name].apply(faces, strength, random)
