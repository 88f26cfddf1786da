"""Decision level: the product of the scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.fusions import FUSIONS
from mien.fusions.base import LEAST, Arrays, Fusion, classes_of, normalised, stacked


@FUSIONS.register(
    "product", paper="Kittler et al. 1998, product rule", level="decision", learns="class frequencies", reads="scores"
)
class Product(Fusion):
    """p_k proportional to P_k^(1 - M) prod_m p_mk over the M modalities that are there: right where they are
    independent given the class, P being the class frequencies.

    Paper: Kittler et al., "On combining classifiers", IEEE PAMI 20(3), 1998 (product rule).
    Differs: scores below 1e-6 count as that, so that one modality cannot veto a class. Before `fit` all classes are
        taken to be equally frequent.
    """

    def __init__(self) -> None:
        self.prior: np.ndarray | None = None

    def fit(self, scores: Arrays, truth: np.ndarray, features: Arrays | None = None) -> None:
        both, _, _ = stacked(scores)
        counts = np.bincount(classes_of(truth, *both.shape[1:]), minlength=both.shape[2])
        self.prior = (counts + 1) / (counts + 1).sum()

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        both, there, _ = stacked(scores)
        prior = np.full(both.shape[2], 1 / both.shape[2]) if self.prior is None else self.prior
        logs = (np.log(np.maximum(both, LEAST)) * there[:, :, None]).sum(0)
        logs += np.maximum(there.sum(0) - 1, 0)[:, None] * -np.log(prior)
        logs -= logs.max(1, keepdims=True)
        known = np.asarray(there.any(0))[:, None]
        return normalised(np.where(known, np.exp(logs), 0.0))

    @property
    def learnt(self) -> dict[str, Any]:
        return {} if self.prior is None else {"prior": self.prior.round(4).tolist()}
