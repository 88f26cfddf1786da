"""All figures of one model on one labelled set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.metrics.bootstrap import bootstrap
from mien.metrics.calibration import calibration_error
from mien.metrics.classification import accuracy, confusion, macro_f1, recalls, uar


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one label set.

    Attributes:
        name: data set and label set, such as `ferplus8`.
        labels: K names.
        truth: [N].
        scores: [N, K], rows sum to 1.
    """

    name: str
    labels: tuple[str, ...]
    truth: np.ndarray
    scores: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        return confusion(self.truth, self.scores.argmax(1), len(self.labels))

    def figures(self) -> dict[str, Any]:
        """Accuracy, UAR with a bootstrap interval, macro F1, calibration error, recall per class."""
        matrix = self.matrix
        low, high = self.interval()
        return {
            "faces": len(self.truth),
            "accuracy": round(accuracy(matrix), 4),
            "uar": round(uar(matrix), 4),
            "uar_low": round(low, 4),
            "uar_high": round(high, 4),
            "macro_f1": round(macro_f1(matrix), 4),
            "ece": round(calibration_error(self.scores, self.truth), 4),
            "recall": {k: round(float(v), 3) for k, v in zip(self.labels, recalls(matrix), strict=True) if v == v},
        }

    def interval(self, rounds: int = 1000, seed: int = 0) -> tuple[float, float]:
        """95 % bootstrap interval of the UAR, drawing faces with replacement."""
        k = len(self.labels)
        found = bootstrap(
            lambda truth, predicted: uar(confusion(truth, predicted, k)),
            self.truth,
            self.scores.argmax(1),
            rounds=rounds,
            seed=seed,
        )
        return found.low, found.high
