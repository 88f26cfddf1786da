"""Where do training faces lie relative to a detector's box, and what does another framing cost?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.faces.align import cut, squares
from mien.faces.framing import Found, box_geometry, find, point_geometry
from mien.metrics import accuracy, confusion, uar
from mien.pipeline.model import Model
from mien.spec import Geometry

__all__ = ["box_geometry", "curve", "find", "point_geometry", "score", "whole"]


def score(found: Found, truth: np.ndarray, model: Model, geometry: Geometry, detector: str) -> tuple[float, float]:
    """Accuracy and UAR of faces cut by a geometry; `truth` [N] counts for all N pictures, in the model's labels."""
    size = model.spec.size
    crops = [
        cut(image, squares(face, geometry, detector)[0], size)
        for image, face in zip(found.images, found.faces, strict=True)
    ]
    matrix = confusion(truth[found.rows], model(crops).argmax(1), len(model.spec.labels))
    return accuracy(matrix), uar(matrix)


def curve(
    found: Found, truth: np.ndarray, model: Model, base: Geometry, detector: str, factors: Sequence[float]
) -> list[tuple[float, float, float]]:
    """(factor, accuracy, UAR) for crops `factor` times as large as the base geometry's."""
    rows = []
    for factor in factors:
        geometry = Geometry(base.align, base.scale * factor, base.shift_y / factor)
        rows.append((factor, *score(found, truth, model, geometry, detector)))
    return rows


def whole(pictures: Sequence[np.ndarray], truth: np.ndarray, model: Model) -> tuple[float, float]:
    """Accuracy and UAR of the pictures as they come, without detection."""
    matrix = confusion(truth, model(list(pictures)).argmax(1), len(model.spec.labels))
    return accuracy(matrix), uar(matrix)
