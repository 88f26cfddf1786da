"""What occluders look like: RGB [S, S, 3] in [0, 1], drawn anew each time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Paint = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""(x, y, inward, random) -> RGB; x, y [S, S] in shares of the crop, `inward` grows from 0 at the thing's edge."""

# from pale to deep; sRGB shares
_SKINS = np.array([(0.95, 0.80, 0.69), (0.86, 0.66, 0.52), (0.72, 0.52, 0.38), (0.52, 0.35, 0.24), (0.33, 0.21, 0.15)])
_MASKS = np.array([(0.66, 0.82, 0.90), (0.93, 0.94, 0.95), (0.13, 0.13, 0.15), (0.55, 0.75, 0.66), (0.85, 0.72, 0.74)])


def _flat(colour: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.asarray(colour, float), (*shape, 3)).copy()


def _shade(x: np.ndarray, y: np.ndarray, depth: float, random: np.random.Generator) -> np.ndarray:
    """Light that falls off across the thing, [S, S, 1], about 1."""
    angle = random.uniform(0, 2 * np.pi)
    return np.asarray(1 + depth * (np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)))[..., None]


def _stripes(x: np.ndarray, y: np.ndarray, count: float, angle: float) -> np.ndarray:
    """0 and 1 in turn [S, S, 1], `count` pairs across the crop."""
    return np.asarray(np.sin(2 * np.pi * count * (x * np.cos(angle) + y * np.sin(angle))) > 0, float)[..., None]


def _noise(x: np.ndarray, depth: float, random: np.random.Generator) -> np.ndarray:
    return np.asarray(random.normal(0, depth, (*x.shape, 1)))


def block_paint(x: np.ndarray, y: np.ndarray, inward: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One colour, two in stripes or checks, or noise."""
    first, second = _flat(random.uniform(0, 1, 3), x.shape), _flat(random.uniform(0, 1, 3), x.shape)
    kind, angle, count = random.integers(4), random.uniform(0, np.pi), random.uniform(3, 9)
    if kind == 1:
        first += _stripes(x, y, count, angle) * (second - first)
    elif kind == 2:
        checks = _stripes(x, y, count, angle) + _stripes(x, y, count, angle + np.pi / 2)
        first += (checks == 1) * (second - first)
    elif kind == 3:
        first = random.uniform(0, 1, first.shape)
    return np.asarray(first * _shade(x, y, 0.4, random))


def sunglasses_paint(x: np.ndarray, y: np.ndarray, inward: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Dark glass, lighter at the bottom, a glint and a rim."""
    glass = _flat(random.uniform(0.02, 0.25, 3), x.shape) * (0.7 + 0.8 * np.clip((y - 0.3) / 0.4, 0, 1))[..., None]
    glint = np.exp(-(((x - 0.8 * y - random.uniform(-0.1, 0.5)) / 0.04) ** 2))[..., None]
    rim = _flat(random.uniform(0, 0.6, 3), x.shape)
    return np.where((inward < 0.1)[..., None], rim, glass + random.uniform(0, 0.5) * glint)


def mask_paint(x: np.ndarray, y: np.ndarray, inward: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Pale cloth, or any colour, with pleats across."""
    usual = random.random() < 0.7
    colour = _MASKS[random.integers(len(_MASKS))] if usual else random.uniform(0, 1, 3)
    pleats = 1 - random.uniform(0.05, 0.2) * _stripes(x, y, random.uniform(4, 7), np.pi / 2)
    return np.asarray(_flat(colour, x.shape) * pleats * _shade(x, y, 0.4, random))


def hand_paint(x: np.ndarray, y: np.ndarray, inward: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Skin, darker towards the edges of the fingers; now and then a glove."""
    pale = random.uniform(0, len(_SKINS) - 1.001)
    below = int(pale)
    skin = _SKINS[below] + (pale - below) * (_SKINS[below + 1] - _SKINS[below])
    colour = skin if random.random() < 0.85 else random.uniform(0, 1, 3)
    edge = 1 - 0.35 * np.exp(-np.maximum(inward, 0) / 0.03)[..., None]
    return np.asarray(_flat(colour, x.shape) * edge * _shade(x, y, 0.5, random) + _noise(x, 0.01, random))


def scarf_paint(x: np.ndarray, y: np.ndarray, inward: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Cloth of one or two colours, in folds, slightly rough."""
    first, second = _flat(random.uniform(0, 1, 3), x.shape), random.uniform(0, 1, 3)
    if random.random() < 0.5:
        first += _stripes(x, y, random.uniform(3, 8), random.uniform(0, np.pi)) * (second - first)
    folds = 1 + 0.25 * np.sin(2 * np.pi * (random.uniform(2, 5) * (y + random.uniform(-0.5, 0.5) * x)))
    return np.asarray(first * folds[..., None] + _noise(x, 0.03, random))
