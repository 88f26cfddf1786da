"""Accuracy, recall, precision, F1 and the confusion matrix.

All figures are read from the confusion matrix, so those of several folds are had from the sum of their matrices.
"""

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


def precisions(matrix: np.ndarray) -> np.ndarray:
    """Precision of each class [K]; NaN for a class that is never predicted."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(matrix) / matrix.sum(0))


def f1_scores(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class [K], 2 TP / (2 TP + FP + FN); NaN for a class that is neither true nor predicted."""
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * np.diag(matrix) / (matrix.sum(0) + matrix.sum(1)))


def uar(matrix: np.ndarray) -> float:
    """Unweighted average recall over the classes that have a true example."""
    values = recalls(matrix)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def macro_f1(matrix: np.ndarray) -> float:
    """Mean F1 over the classes that are true or predicted at least once."""
    support = matrix.sum(0) + matrix.sum(1)
    values = 2 * np.diag(matrix)[support > 0] / support[support > 0]
    return float(values.mean()) if len(values) else float("nan")


def weighted_f1(matrix: np.ndarray) -> float:
    """Mean F1 weighted by the number of true examples of each class."""
    total = matrix.sum()
    if not total:
        return float("nan")
    return float((np.nan_to_num(f1_scores(matrix)) * matrix.sum(1)).sum() / total)


def uf1(matrices: np.ndarray) -> float:
    """Unweighted F1 of the Micro-Expression Grand Challenge: TP, FP and FN are summed over the folds, then F1 is taken.

    Not the mean of the folds' F1, which depends on how the rows fall into folds. Classes that never occur do not count.

    Paper: See et al., "MEGC 2019: the second facial micro-expressions grand challenge", FG 2019.

    Args:
        matrices: [F, K, K], one confusion matrix a fold, or their sum [K, K].

    >>> folds = np.array([[[1, 0], [0, 0]], [[0, 1], [0, 2]]])
    >>> round(uf1(folds), 3)
    0.733
    """
    return macro_f1(matrices.sum(0) if matrices.ndim == 3 else matrices)


def balanced(matrix: np.ndarray) -> np.ndarray:
    """The matrix as it would be if every class had the same number of true examples, shares that sum to 1 [K, K].

    The figures of it do not depend on how common a class is in the test set: `accuracy` is then the UAR, and precision
    and F1 can be compared between sets of different make-up (Jeni, Cohn, De la Torre, ACII 2013: skew normalisation).
    """
    true = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, true, out=np.zeros(matrix.shape), where=true > 0)
    return np.asarray(shares / max(shares.sum(), 1e-12))
