"""Seven expressions as action units, and action units as shapes of the ICT face model, for SYNTHETIC faces.

Paper: Friesen & Ekman, "EMFACS-7: Emotional Facial Action Coding System", unpublished manual, University of
    California at San Francisco, 1983; Ekman, Friesen & Hager, "Facial Action Coding System: Investigator's Guide",
    2002 (prototypes and major variants). One prototype each is taken here.
Differs: weights are ours, set by eye; FACS has five grades (A to E) and no such numbers. The shapes are an artist's,
    not measured muscles; wrinkles are missing, for the model's mesh is too coarse for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import DataError
from mien.labels import CKPLUS7

SIDES = ("L", "R")
"""The person's own left and right, as in the model's names."""


@dataclass(frozen=True)
class Unit:
    """An action unit.

    Attributes:
        name: as in FACS.
        shapes: coefficient -> weight at full strength, in [-1, 2]; above 1 the model's own shape is exaggerated (its
            brows move little), below 0 turned round.
        paired: the coefficients end in `_L` and `_R`, so that the unit can be shown on one side.
    """

    name: str
    shapes: Mapping[str, float]
    paired: bool = True


ACTION_UNITS: dict[int, Unit] = {
    1: Unit("inner brow raiser", {"browInnerUp": 1.5, "browOuterUp": -0.3}),
    2: Unit("outer brow raiser", {"browOuterUp": 1.4}),
    4: Unit("brow lowerer", {"browDown": 2.0, "browInnerUp": -0.6}),
    5: Unit("upper lid raiser", {"eyeWide": 1.3}),
    6: Unit("cheek raiser", {"cheekRaiser": 0.7, "cheekSquint": 0.7}),
    7: Unit("lid tightener", {"eyeSquint": 1.0}),
    9: Unit("nose wrinkler", {"noseSneer": 1.2}),
    10: Unit("upper lip raiser", {"mouthUpperUp": 1.0}),
    12: Unit("lip corner puller", {"mouthSmile": 1.0}),
    14: Unit("dimpler", {"mouthDimple": 1.0}),
    15: Unit("lip corner depressor", {"mouthFrown": 1.3}),
    16: Unit("lower lip depressor", {"mouthLowerDown": 1.0}),
    17: Unit("chin raiser", {"mouthShrugLower": 1.0}, paired=False),
    20: Unit("lip stretcher", {"mouthStretch": 1.3}),
    23: Unit("lip tightener", {"mouthPress": 1.0}),
    26: Unit("jaw drop", {"jawOpen": 0.6}, paired=False),
    64: Unit("eyes down", {"eyeLookDown": 1.0}),
}
"""One table from action units to shapes."""


@dataclass(frozen=True)
class Part:
    """One action unit of a recipe: its strength in [0, 1], and the sides that show it."""

    unit: int
    weight: float = 1.0
    sides: Sequence[str] = SIDES


RECIPES: dict[str, tuple[Part, ...]] = {
    "anger": (Part(4), Part(5, 0.3), Part(7, 0.8), Part(17, 0.3), Part(23)),
    "contempt": (Part(12, 0.6, ("R",)), Part(14, 1.0, ("R",))),
    "disgust": (Part(9), Part(10, 0.2), Part(15, 0.7), Part(17, 0.7)),
    "fear": (Part(1), Part(2, 0.6), Part(4, 0.3), Part(5), Part(7, 0.2), Part(20), Part(26, 0.45)),
    "happiness": (Part(6), Part(12)),
    "sadness": (Part(1), Part(4, 0.3), Part(15), Part(17, 0.5), Part(64, 0.3)),
    "surprise": (Part(1), Part(2), Part(5, 0.8), Part(26)),
}
"""The action units of each expression, in the order of `mien.labels.CKPLUS7`."""


def shapes_of(label: str) -> dict[str, float]:
    """Coefficient -> weight of an expression at intensity 1.

    Raises:
        DataError: there is no recipe for that expression.

    >>> shapes_of("happiness")["mouthSmile_L"], sorted(shapes_of("contempt"))
    (1.0, ['mouthDimple_R', 'mouthSmile_R'])
    """
    if label not in RECIPES:
        raise DataError(f"no recipe for {label!r}; there are: {', '.join(CKPLUS7)}")
    shapes: dict[str, float] = {}
    for part in RECIPES[label]:
        unit = ACTION_UNITS[part.unit]
        for shape, weight in unit.shapes.items():
            for name in [f"{shape}_{side}" for side in part.sides] if unit.paired else [shape]:
                shapes[name] = shapes.get(name, 0.0) + part.weight * weight
    return shapes


def coefficients(names: Sequence[str], label: str, intensity: float = 1.0) -> np.ndarray:
    """The model's coefficients float32 [E] of an expression.

    Args:
        names: of the model's coefficients (`FaceModel.expressions`).
        label: one of `RECIPES`.
        intensity: share of the full expression, in [0, 1].

    Raises:
        DataError: an unknown expression, or a model without one of the shapes.
    """
    shapes = shapes_of(label)
    missing = [name for name in shapes if name not in names]
    if missing:
        raise DataError(f"the face model has no shape {', '.join(missing)} for {label}; use the light ICT face model")
    values = np.zeros(len(names), np.float32)
    for name, weight in shapes.items():
        values[list(names).index(name)] = weight * intensity
    return values
