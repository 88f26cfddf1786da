"""Scores against the votes of several people, and how well one person foretells the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FLOOR = 1e-12
"""Scores below this count as this, so that one zero does not make a mean infinite."""


def _pair(target: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as distributions, without the rows where the target has no mass."""
    t, s = np.asarray(target, float), np.asarray(scores, float)
    kept = t.sum(1) > 0
    t, s = t[kept], s[kept]
    return t / t.sum(1, keepdims=True), s / np.maximum(s.sum(1, keepdims=True), FLOOR)


def _plogp(p: np.ndarray) -> np.ndarray:
    """p ln p, 0 for p = 0."""
    return np.asarray(p * np.log(np.where(p > 0, p, 1)))


def cross_entropy(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean cross-entropy of scores to vote distributions, nats.

    Args:
        target: [N, K], votes or shares; rows of zeros are left out.
        scores: [N, K].
    """
    t, s = _pair(target, scores)
    return float(-(t * np.log(np.maximum(s, FLOOR))).sum(1).mean()) if len(t) else float("nan")


def kl_divergence(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean Kullback-Leibler divergence KL(target || scores), nats; arguments as for `cross_entropy`."""
    t, _ = _pair(target, scores)
    return cross_entropy(target, scores) + float(_plogp(t).sum(1).mean()) if len(t) else float("nan")


def jensen_shannon(target: np.ndarray, scores: np.ndarray) -> float:
    """Mean Jensen-Shannon divergence, nats, in [0, ln 2]; arguments as for `cross_entropy`.

    >>> round(jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])), 4)
    0.6931
    """
    t, s = _pair(target, scores)
    if not len(t):
        return float("nan")
    middle = _plogp((t + s) / 2)
    return float(((_plogp(t) + _plogp(s)) / 2 - middle).sum(1).mean())


@dataclass(frozen=True)
class HumanCeiling:
    """How well one tagger foretells the others, on average over taggers and faces.

    Attributes:
        faces: faces with two votes or more.
        accuracy: share of taggers whose vote is what most of the others say; tied for first place, 1 / ties counts.
        agreement: chance that the vote agrees with one other tagger's.
        smoothing: share of the one vote that `kl` spreads evenly over the other labels.
        kl: KL(the others' votes || the one vote, smoothed), nats.
        js: Jensen-Shannon divergence of the others' votes and the one vote as it is, nats.
    """

    faces: int
    accuracy: float
    agreement: float
    smoothing: float
    kl: float
    js: float


def human_ceiling(votes: np.ndarray, smoothing: float | None = None) -> HumanCeiling:
    """Leave one tagger out, whose vote then foretells the others'; exact, from the counts alone.

    FER+ does not say which tagger gave which vote, and need not: of n votes with n_j for label j, the one left out says
    j with chance n_j / n, and the others' votes are then n - e_j. A model is compared with this by `accuracy` against
    the majority and `kl_divergence` against the votes of the same rows. A lone vote has zeros, for which KL is
    infinite, so it is smoothed.
    Rows that were chosen because their votes agree flatter it, for the vote left out had its part in the choice.

    Args:
        votes: counts [N, K]; rows with fewer than two votes are left out.
        smoothing: in [0, 1); None takes the value with the least KL, which is 1 - agreement.
    """
    counts = np.asarray(votes, float)
    counts = counts[counts.sum(1) >= 2]
    n, k = counts.sum(1), counts.shape[1]
    accuracy = agreement = entropy = js = np.zeros(len(counts))
    for j in range(k):
        chance = counts[:, j] / n
        rest = counts.copy()
        rest[:, j] = np.maximum(rest[:, j] - 1, 0)
        first = rest == rest.max(1, keepdims=True)
        same = rest[:, j] / (n - 1)
        accuracy = accuracy + chance * first[:, j] / first.sum(1)
        agreement = agreement + chance * same
        entropy = entropy - chance * _plogp(rest / (n - 1)[:, None]).sum(1)
        middle = (1 + same) / 2
        js = js + chance * (_plogp(same) + (1 - same) * np.log(2) - 2 * _plogp(middle)) / 2
    if not len(counts):
        return HumanCeiling(0, *[float("nan")] * 5)
    agreed = float(agreement.mean())
    s = min(max(1 - agreed if smoothing is None else smoothing, FLOOR), 1 - FLOOR)
    cross = -agreed * np.log(1 - s) - (1 - agreed) * np.log(s / max(k - 1, 1))
    return HumanCeiling(len(counts), float(accuracy.mean()), agreed, s, float(cross - entropy.mean()), float(js.mean()))
