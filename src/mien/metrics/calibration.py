"""Do scores mean what they say: calibration error, reliability and temperature."""

from __future__ import annotations

import numpy as np


def reliability(scores: np.ndarray, truth: np.ndarray, bins: int = 15) -> np.ndarray:
    """Rows (count, mean top score, accuracy) of `bins` equal-width bins of the top score, [bins, 3].

    Paper: Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        scores: [N, K], rows sum to 1.
        truth: [N].
    """
    top = scores.max(1)
    right = scores.argmax(1) == truth
    index = np.minimum((top * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    safe = np.maximum(count, 1)
    mean = np.bincount(index, top, bins) / safe
    share = np.bincount(index, right, bins) / safe
    return np.stack([count, mean, share], 1)


def calibration_error(scores: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean gap between top score and accuracy, weighted by the bins' counts."""
    table = reliability(scores, truth, bins)
    return float((table[:, 0] * np.abs(table[:, 1] - table[:, 2])).sum() / max(table[:, 0].sum(), 1))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Temperature T > 0 for which softmax(logits / T) has the least negative log-likelihood.

    The likelihood has one minimum in log T, so golden-section search finds it.
    """

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits / np.exp(log_t))[np.arange(len(truth)), truth].mean())

    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(np.exp((low + high) / 2))
