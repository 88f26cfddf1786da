"""Scoring weights on a data set: the figures of a model card. Uses the ONNX file, not torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets import DATASETS, FaceSet
from mien.errors import DataError
from mien.metrics import accuracy, calibration_error, confusion, macro_f1, recalls, uar
from mien.pipeline.model import Model


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
        random = np.random.default_rng(seed)
        predicted, k, n = self.scores.argmax(1), len(self.labels), len(self.truth)
        values = []
        for _ in range(rounds):
            rows = random.integers(0, n, n)
            values.append(uar(confusion(self.truth[rows], predicted[rows], k)))
        return float(np.percentile(values, 2.5)), float(np.percentile(values, 97.5))


def restrict(scores: np.ndarray, labels: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Scores over `wanted` labels only, renormalised: how an 8-class model is scored on 7 classes."""
    part = scores[:, [labels.index(name) for name in wanted]]
    return np.asarray(part / np.maximum(part.sum(1, keepdims=True), 1e-12))


def evaluate(model: Model, faces: FaceSet, name: str) -> list[Evaluation]:
    """Score a model on all faces of a set; for FER+ also on FER2013's labels and on FER+7.

    Raises:
        DataError: the set has a label that the model does not know.
    """
    scores = model(list(faces.pixels))
    labels = model.spec.labels
    results = []
    rows = faces.majority >= 0
    results.append(_on(name, labels, faces.labels, faces.majority[rows], scores[rows]))
    seven = tuple(label for label in labels if label != "contempt")
    if "clean7" in faces.extra:
        rows = faces.extra["clean7"] >= 0
        truth = _reindex(faces.extra["clean7"][rows], faces.labels, seven)
        results.append(_on(f"{name}: FER+7", labels, seven, truth, scores[rows]))
    if "fer2013" in faces.extra:
        truth = _reindex(faces.extra["fer2013"], faces.labels, seven)
        results.append(_on(f"{name}: FER2013's own labels", labels, seven, truth, scores))
    return results


def _reindex(truth: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]) -> np.ndarray:
    return np.asarray(np.array([new.index(name) if name in new else -1 for name in old])[truth])


def _on(name: str, labels: tuple[str, ...], wanted: tuple[str, ...], truth: np.ndarray, s: np.ndarray) -> Evaluation:
    missing = [label for label in wanted if label not in labels]
    if missing:
        raise DataError(f"{name} has labels that the model does not know: {', '.join(missing)}")
    return Evaluation(name, wanted, truth, restrict(s, labels, wanted))


def load_split(dataset: str, data: Path, split: str) -> FaceSet:
    """One split of a data set, or all of it where `split` is `all`."""
    faces = DATASETS.create(dataset, root=data)
    return faces if split == "all" else faces.part(split)
