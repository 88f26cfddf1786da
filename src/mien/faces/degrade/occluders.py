"""Things in front of a face, drawn: blocks, sunglasses, surgical masks, hands, scarves, of chosen extent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from mien.faces.degrade.cloth import Paint, block_paint, hand_paint, mask_paint, scarf_paint, sunglasses_paint

CENTRE, HALF = (0.5, 0.53), (0.40, 0.47)
"""Middle and half axes of the ellipse that stands for the face, in shares of a crop cut as FER2013's are."""

EYES, MOUTH = (0.5, 0.41), (0.5, 0.76)


class Thing(NamedTuple):
    """One kind of occluder.

    Attributes:
        reach: (x, y, share, random) -> when each place is hidden as the thing grows or comes nearer, lowest first;
            x, y [S, S] in shares of the crop.
        paint: (x, y, reach, random) -> its RGB [S, S, 3] in [0, 1].
    """

    reach: Callable[[np.ndarray, np.ndarray, float, np.random.Generator], np.ndarray]
    paint: Paint


def grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the middle of each pixel [S, S], in shares of the crop."""
    line = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(line, line)
    return x, y


def face_area(side: int) -> np.ndarray:
    """Where a face stands in a crop cut as FER2013's are, bool [S, S]: an ellipse from hair line to chin.

    The axes are those of the median of 68 landmarks over FER2013's validation faces, the forehead added.
    """
    x, y = grid(side)
    return np.asarray(((x - CENTRE[0]) / HALF[0]) ** 2 + ((y - CENTRE[1]) / HALF[1]) ** 2 <= 1)


def _turned(x: np.ndarray, y: np.ndarray, at: tuple[float, float], degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Places as a thing at `at`, turned by so much, sees them."""
    c, s = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    return c * (x - at[0]) + s * (y - at[1]), c * (y - at[1]) - s * (x - at[0])


def _near(at: tuple[float, float], spread: float, random: np.random.Generator) -> tuple[float, float]:
    dx, dy = random.uniform(-spread, spread, 2)
    return at[0] + float(dx), at[1] + float(dy)


def _gauge(u: np.ndarray, v: np.ndarray, half: tuple[float, float], power: float) -> np.ndarray:
    """How much a rounded rectangle must be enlarged to reach a place; `power` 2 is an ellipse."""
    return np.asarray((np.abs(u / half[0]) ** power + np.abs(v / half[1]) ** power) ** (1 / power))


def _block(x: np.ndarray, y: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A rectangle or an ellipse anywhere on the face."""
    angle, radius = float(random.uniform(0, 2 * np.pi)), float(np.sqrt(random.uniform(0, 0.8)))
    at = CENTRE[0] + radius * HALF[0] * np.cos(angle), CENTRE[1] + radius * HALF[1] * np.sin(angle)
    u, v = _turned(x, y, at, random.uniform(-45, 45))
    aspect = np.exp(random.uniform(-0.7, 0.7))
    return _gauge(u, v, (aspect, 1 / aspect), 2.0 if random.random() < 0.25 else 40.0)


def _sunglasses(x: np.ndarray, y: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Two lenses, their bridge and arms; goggles and a visor where much is to be hidden."""
    u, v = _turned(x, y, _near(EYES, 0.02, random), random.uniform(-6, 6))
    apart, wide = random.uniform(0.165, 0.185), random.uniform(0.11, 0.14)
    high = wide * random.uniform(0.7, 1.0)
    lenses = _gauge(np.abs(u) - apart, v / np.where(v > 0, 1.15, 0.85), (wide, high), random.uniform(2, 5))
    bar = np.maximum(np.abs(u) / 0.42, np.abs(v + 0.3 * high) / 0.018)
    return np.asarray(np.minimum(lenses, np.maximum(bar, 0.5)))


def _mask(x: np.ndarray, y: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A surgical mask over mouth and nose, peaked at the bridge of the nose."""
    u, v = _turned(x, y, _near((MOUTH[0], 0.80), 0.02, random), random.uniform(-6, 6))
    peak = 0.05 * np.exp(-((u / 0.12) ** 2))
    body = _gauge(u, np.where(v < 0, v + peak, v * 0.8), (random.uniform(0.32, 0.38), 0.24), random.uniform(3, 5))
    straps = np.abs(np.abs(u) * random.uniform(0.15, 0.4) + v + 0.17) / 0.008
    return np.asarray(np.minimum(body, np.where(np.abs(u) > 0.3, np.maximum(straps, 0.7), np.inf)))


def _scarf(x: np.ndarray, y: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Cloth drawn up from the neck, its edge slanting and in folds."""
    slope, bend = random.uniform(-0.25, 0.25), random.uniform(-0.5, 0.3)
    edge = 1 - y + slope * (x - 0.5) + bend * (x - 0.5) ** 2
    for count in (1.1, 1.7, 2.9):
        edge = edge + random.uniform(0, 0.025) * np.sin(2 * np.pi * (count * x + random.uniform()))
    return np.asarray(edge)


def _hand(x: np.ndarray, y: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A hand with four fingers that comes in from a side or from below, and its wrist after it."""
    target = _near((0.5, 0.55), 0.16, random)
    u, v = _turned(x, y, target, _from_where(random))
    width = random.uniform(0.17, 0.24) + 0.35 * share
    finger = 2 * width / 4
    number = np.clip(np.floor((u + width) / finger), 0, 3).astype(int)
    inside = (u + width - (number + 0.5) * finger) / finger
    tip = np.array([0.05, 0.0, 0.02, 0.1]) * random.uniform(0.8, 1.2)
    round_end = 0.35 * finger * (1 - np.sqrt(np.clip(1 - (2.15 * inside) ** 2, 0, 1)))
    gap = np.where(np.abs(inside) > 0.44, random.uniform(0.22, 0.34), 0.0)
    beside = np.maximum(np.abs(u) - width, 0)
    return np.asarray(-v + tip[number] + np.maximum(round_end, gap) + 3 * beside)


def _from_where(random: np.random.Generator) -> float:
    """Degrees by which a hand is turned: 0 comes from below, 90 from a side; never from above."""
    return float(random.uniform(20, 110) * random.choice((-1, 1)))


OCCLUDERS: Mapping[str, Thing] = MappingProxyType(
    {
        "block": Thing(_block, block_paint),
        "sunglasses": Thing(_sunglasses, sunglasses_paint),
        "mask": Thing(_mask, mask_paint),
        "hand": Thing(_hand, hand_paint),
        "scarf": Thing(_scarf, scarf_paint),
    }
)


def occlude(
    faces: np.ndarray,
    share: float | tuple[float, float],
    random: np.random.Generator,
    kinds: Sequence[str] | Mapping[str, Thing] = tuple(OCCLUDERS),
) -> tuple[np.ndarray, np.ndarray]:
    """Hide a share of each face behind something drawn.

    Each thing grows, or comes nearer, until it hides just so much of the face: the share is exact to one pixel. What it
    hides beside the face comes on top. Kinds are drawn evenly, colours and places anew for each face.

    Args:
        faces: uint8 [N, S, S] or RGB [N, S, S, 3].
        share: of the face's area (`face_area`) to hide, in (0, 1), or its least and its most, drawn evenly.
        kinds: names in `OCCLUDERS`.

    Returns:
        Faces like those given, and where they are hidden, bool [N, S, S].

    Raises:
        ValueError: a share or a kind that cannot be, or faces of another shape.

    >>> grey = np.full((2, 48, 48), 128, np.uint8)
    >>> hidden, mask = occlude(grey, 0.3, np.random.default_rng(0))
    >>> face = face_area(48)
    >>> [round(float(m[face].mean()), 2) for m in mask], bool((hidden[~mask] == 128).all())
    ([0.3, 0.3], True)
    """
    low, high = (share, share) if isinstance(share, int | float) else share
    names = tuple(kinds)
    if not 0 < low <= high < 1:
        raise ValueError(f"share: expected 0 < share < 1 or a range of such, got {share}")
    if not names or any(name not in OCCLUDERS for name in names):
        raise ValueError(f"kinds: expected some of {', '.join(OCCLUDERS)}, got {names}")
    if faces.dtype != np.uint8 or faces.ndim not in (3, 4) or faces.shape[1] != faces.shape[2]:
        raise ValueError(f"faces: expected uint8 [N, S, S] or [N, S, S, 3], got {faces.dtype} {list(faces.shape)}")
    x, y = grid(faces.shape[1])
    face = face_area(faces.shape[1])
    out, masks = faces.copy(), np.zeros(faces.shape[:3], bool)
    for picture, mask in zip(out, masks, strict=True):
        part, thing = float(random.uniform(low, high)), OCCLUDERS[names[random.integers(len(names))]]
        reach = thing.reach(x, y, part, random)
        pixels = max(1, round(part * int(face.sum())))
        last = np.partition(reach[face], pixels - 1)[pixels - 1]
        mask[:] = reach <= last
        colour = thing.paint(x, y, last - reach, random) * 255
        if faces.ndim == 3:
            colour = colour @ (0.299, 0.587, 0.114)
        picture[mask] = np.clip(colour[mask] + 0.5, 0, 255).astype(np.uint8)
    return out, masks
