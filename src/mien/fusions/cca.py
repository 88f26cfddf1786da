"""Canonical correlation analysis: the directions in which two modalities say most alike."""

from __future__ import annotations

import numpy as np


def cca(
    x: np.ndarray, y: np.ndarray, components: int, ridge: float = 1e-3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions [D, C] and [E, C] of two sets of features [N, D] and [N, E], and their correlations [C], falling.

    (x - mean) @ a and (y - mean) @ b have variance 1 each, are uncorrelated among themselves, and each pair of columns
    correlates as much as is possible after the earlier ones.

    Paper: Hotelling, "Relations between two sets of variates", Biometrika 28, 1936.

    Args:
        components: C, at most as many as the smaller set has features.
        ridge: added to the variances, as a share of their mean, so that features that go together do no harm.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    a, b = _whitening(x, ridge), _whitening(y, ridge)
    left, values, right = np.linalg.svd(a.T @ (x.T @ y / len(x)) @ b)
    count = min(components, len(values))
    return a @ left[:, :count], b @ right[:count].T, np.minimum(values[:count], 1.0)


def _whitening(x: np.ndarray, ridge: float) -> np.ndarray:
    """A matrix [D, D] with which x @ it has the unit matrix for its covariance, but for the ridge."""
    covariance = x.T @ x / len(x)
    covariance += np.eye(x.shape[1]) * max(ridge * float(np.trace(covariance)) / x.shape[1], 1e-12)
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors / np.sqrt(values))
