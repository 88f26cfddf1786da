"""Decision level: a weighted mean of the scores, the weights learnt on validation rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.fusions import FUSIONS
from mien.fusions.base import LEAST, Arrays, Fusion, classes_of, normalised, stacked


@FUSIONS.register(
    "weights", paper="Jacobs et al. 1991, without a gate", level="decision", learns="a weight each", reads="scores"
)
class Weights(Fusion):
    """p_k = sum_m w_m p_mk with w >= 0 that sum to 1: the weights under which validation rows are most likely.

    The likelihood is concave in w, and expectation-maximisation climbs to its only maximum: w_m becomes the mean of
    w_m p_m(truth) / sum_j w_j p_j(truth). Where modalities are missing, the weights of the others are scaled up.

    Paper: Jacobs et al., "Adaptive mixtures of local experts", Neural Computation 3(1), 1991, without the gate.
    Differs: the weights are the same for all rows; they are learnt on rows in which every modality is there.
    """

    def __init__(self, rounds: int = 1000) -> None:
        self.rounds = rounds
        self.names: tuple[str, ...] = ()
        self.weights: np.ndarray = np.zeros(0)

    def fit(self, scores: Arrays, truth: np.ndarray, features: Arrays | None = None) -> None:
        both, there, self.names = stacked(scores)
        truth = classes_of(truth, *both.shape[1:])
        whole = there.all(0)
        if not whole.any():
            raise DataError("no validation row has all modalities, so that no weights can be learnt; use mean")
        right = np.maximum(both[:, whole, truth[whole]], LEAST)
        weights = np.full(len(both), 1 / len(both))
        for _ in range(self.rounds):
            share = weights[:, None] * right
            new = (share / share.sum(0)).mean(1)
            done = np.abs(new - weights).max() < 1e-9
            weights = new
            if done:
                break
        self.weights = weights

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        if not self.names:
            raise DataError("weights are learnt on validation rows; call fit first, or use mean")
        both, there, _ = stacked(scores, self.names)
        joint = (self.weights[:, None, None] * both).sum(0)
        # only modalities of no weight are there: better than nothing
        lost = there.any(0) & ((self.weights[:, None] * there).sum(0) < LEAST)
        return normalised(np.where(lost[:, None], both.sum(0), joint))

    @property
    def learnt(self) -> dict[str, Any]:
        return {"weights": dict(zip(self.names, self.weights.round(4).tolist(), strict=True))}
