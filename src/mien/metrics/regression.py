"""Figures of dimensional prediction, valence and arousal: CCC, Pearson, RMSE, MAE, sign agreement."""

from __future__ import annotations

import numpy as np


def ccc(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Concordance correlation coefficient in [-1, 1]; NaN where both are one constant.

    2 cov / (var + var + (mean - mean)^2), with moments divided by N: unlike Pearson's it falls where the prediction is
    shifted or scaled.

    Paper: Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 1989.

    >>> truth = np.array([0.0, 1.0, 2.0])
    >>> ccc(truth, truth), round(ccc(truth, truth + 1), 3)
    (1.0, 0.571)
    """
    t, p = np.asarray(truth, float), np.asarray(predicted, float)
    if not len(t):
        return float("nan")
    below = t.var() + p.var() + (t.mean() - p.mean()) ** 2
    return float(2 * ((t - t.mean()) * (p - p.mean())).mean() / below) if below > 0 else float("nan")


def pearson(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Pearson correlation in [-1, 1]; NaN where either is constant."""
    t, p = np.asarray(truth, float), np.asarray(predicted, float)
    if len(t) < 2 or np.ptp(t) == 0 or np.ptp(p) == 0:
        return float("nan")
    t, p = t - t.mean(), p - p.mean()
    return float((t * p).sum() / np.sqrt((t * t).sum() * (p * p).sum()))


def spearman(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank.

    >>> round(spearman(np.array([1, 2, 3, 4]), np.array([10, 100, 1000, 900])), 2)
    0.8
    """
    return pearson(_ranks(truth), _ranks(predicted))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(((last - counts + last - 1) / 2)[which])


def rmse(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Root of the mean squared error, in the unit of the truth; NaN without rows."""
    error = np.asarray(truth, float) - np.asarray(predicted, float)
    return float(np.sqrt((error**2).mean())) if len(error) else float("nan")


def mae(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error, in the unit of the truth; NaN without rows."""
    error = np.asarray(truth, float) - np.asarray(predicted, float)
    return float(np.abs(error).mean()) if len(error) else float("nan")


def sign_agreement(truth: np.ndarray, predicted: np.ndarray, middle: float = 0.0) -> float:
    """Share of rows on the same side of `middle` (SAGR of AffectNet); NaN without rows."""
    same = np.sign(np.asarray(truth, float) - middle) == np.sign(np.asarray(predicted, float) - middle)
    return float(same.mean()) if len(same) else float("nan")
