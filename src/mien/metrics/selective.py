"""Answering only when sure: how the error falls as the least sure answers are held back.

A risk-coverage curve shows what `unsure` buys. Answers are taken from the surest down; coverage is the share taken,
risk the share of those that are wrong.

Paper: Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017; excess area: Geifman,
    Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019.
"""

from __future__ import annotations

import numpy as np


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rows (coverage, risk, lowest confidence taken) for 1 to N answers taken, [N, 3].

    Among equal confidences there is no order: risk inside such a run is what a random order gives on average.

    Args:
        confidence: [N], higher is surer; any scale.
        right: bool [N].

    >>> risk_coverage(np.array([0.9, 0.6]), np.array([True, False])).tolist()
    [[0.5, 0.0, 0.9], [1.0, 0.5, 0.6]]
    """
    confidence, wrong = np.asarray(confidence, float), 1.0 - np.asarray(right, float)
    order = np.argsort(-confidence, kind="stable")
    _, run = np.unique(-confidence[order], return_inverse=True)
    sizes = np.bincount(run)
    errors = np.cumsum((np.bincount(run, wrong[order]) / sizes)[run]) if len(order) else wrong
    taken = np.arange(1, len(order) + 1)
    return np.stack([taken / max(len(order), 1), errors / taken, confidence[order]], 1)


def aurc(confidence: np.ndarray, right: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean risk over all coverages, lower is better; NaN without rows."""
    curve = risk_coverage(confidence, right)
    return float(curve[:, 1].mean()) if len(curve) else float("nan")


def excess_aurc(confidence: np.ndarray, right: np.ndarray) -> float:
    """`aurc` less that of a perfect order, which takes all right answers first; 0 is perfect."""
    return aurc(confidence, right) - aurc(np.asarray(right, float), right)


def coverage_at(confidence: np.ndarray, right: np.ndarray, risk: float) -> tuple[float, float]:
    """Largest coverage whose risk is at most `risk`, and the confidence from which on to answer.

    Answers of equal confidence are taken together, as a threshold takes them. (0, infinity) where no threshold will do.
    """
    curve = risk_coverage(confidence, right)
    last_of_run = np.append(np.diff(curve[:, 2]) != 0, True)[: len(curve)]
    good = np.flatnonzero(last_of_run & (curve[:, 1] <= risk + 1e-12))
    if not len(good):
        return 0.0, float("inf")
    return float(curve[good[-1], 0]), float(curve[good[-1], 2])
