"""Decision level: the modalities' scores are the input of a regression model in the next stage."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.fusions import FUSIONS
from mien.fusions.base import Arrays, Fusion, classes_of, stacked
from mien.fusions.linear import ByPresence

FLOOR = 1e-4


@FUSIONS.register(
    "stacking", paper="Wolpert 1992", level="decision", learns="a regression on the scores", reads="scores"
)
class Stacking(Fusion):
    """Softmax regression on the logarithms of all modalities' scores, learnt on validation rows.

    Where modalities are missing, another regression answers, learnt on the scores of the others.

    Paper: Wolpert, "Stacked generalization", Neural Networks 5(2), 1992; Liang and Dong's survey of facial expression
        recognition describes decision-level fusion so: the outputs are the input of a regression model in the next
        stage.
    Differs: one validation split in place of cross-validation; logarithms of the scores, less their mean over the
        classes, in place of the scores.

    Args:
        l2: penalty of the regression, as `SoftmaxRegression`.
    """

    def __init__(self, l2: float = 1.0) -> None:
        self.l2 = l2
        self.model: ByPresence | None = None

    @staticmethod
    def _parts(scores: Arrays, names: tuple[str, ...] = ()) -> tuple[dict[str, np.ndarray], np.ndarray]:
        both, there, names = stacked(scores, names)
        logs = np.log(np.maximum(both, FLOOR))
        logs -= logs.mean(2, keepdims=True)
        logs[~there] = np.nan
        return dict(zip(names, logs, strict=True)), both

    def fit(self, scores: Arrays, truth: np.ndarray, features: Arrays | None = None) -> None:
        parts, both = self._parts(scores)
        self.model = ByPresence(parts, classes_of(truth, *both.shape[1:]), both.shape[2], self.l2)

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        if self.model is None:
            raise DataError("stacking is learnt on validation rows; call fit first, or use mean")
        parts, both = self._parts(scores, self.model.names)
        return self.model(parts, both.shape[1])

    @property
    def learnt(self) -> dict[str, Any]:
        if self.model is None:
            return {}
        whole = self.model._model(self.model.names)
        return {"l2": self.l2} | ({} if whole is None else {"regression": whole.weight.round(4).tolist()})
