"""Accuracy, recall, F1 and the confusion matrix."""

from __future__ import annotations

import numpy as np


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts [K, K]; rows are the truth, columns the prediction.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    flat = np.asarray(truth) * classes + np.asarray(predicted)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def accuracy(matrix: np.ndarray) -> float:
    """Share of right predictions of a confusion matrix [K, K]; NaN if it is empty."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def recalls(matrix: np.ndarray) -> np.ndarray:
    """Recall of each class [K]; NaN for a class without a true example."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(matrix) / matrix.sum(1))


def uar(matrix: np.ndarray) -> float:
    """Unweighted average recall over the classes that have a true example."""
    values = recalls(matrix)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def macro_f1(matrix: np.ndarray) -> float:
    """Mean F1 over the classes that are true or predicted at least once."""
    support = matrix.sum(0) + matrix.sum(1)
    values = 2 * np.diag(matrix)[support > 0] / support[support > 0]
    return float(values.mean()) if len(values) else float("nan")
