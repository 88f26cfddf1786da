"""What trained weights say of faces, as features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mien.errors import DataError, RecipeError, require
from mien.features import FEATURES
from mien.pipeline.model import load


@FEATURES.register(
    "embed", about="what the last linear layer of weights reads", reads="face, frames", gives="T, D", version=1
)
class Embed:
    """Embeddings of a face uint8 [H, W] or [H, W, 3], or of each frame of a clip [T, H, W] or [T, H, W, 3].

    Attributes:
        mark: SHA-256 of the weights.

    Args:
        what: name of weights in the package, or a path to an .onnx file.
        reads: `embeddings`, or `scores`: the logarithms of the weights' scores.

    Raises:
        MissingExtra: embeddings need onnx.
        WeightsError: the weights have no linear layer before their scores.
    """

    def __init__(self, what: str = "mien-s", reads: str = "embeddings") -> None:
        if reads not in ("embeddings", "scores"):
            raise RecipeError(f"embed: reads = {reads!r}; choose embeddings or scores")
        require("onnx", "train")
        from mien.train.embed import Embedder, log_scores

        model = load(what)
        self.mark = model.sha256
        self._ask: Callable[[np.ndarray], np.ndarray] = (
            Embedder(what) if reads == "embeddings" else lambda faces: log_scores(model(list(faces)))
        )

    def __call__(self, item: Any) -> np.ndarray:
        """Float32 [T, D].

        Raises:
            DataError: the item is no picture.
        """
        faces = np.asarray(item)
        if faces.dtype != np.uint8 or faces.ndim not in (2, 3, 4):
            raise DataError(f"embed reads faces uint8, not {faces.dtype} of shape {list(faces.shape)}")
        still = faces.ndim == 2 or (faces.ndim == 3 and faces.shape[2] == 3)
        return self._ask(faces[None] if still else faces)
