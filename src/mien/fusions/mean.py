"""Decision level: the mean of the scores."""

from __future__ import annotations

import numpy as np

from mien.fusions import FUSIONS
from mien.fusions.base import Arrays, Fusion, normalised, stacked


@FUSIONS.register("mean", paper="Kittler et al. 1998, sum rule", level="decision", learns="nothing", reads="scores")
class Mean(Fusion):
    """p_k = 1/M sum_m p_mk, over the modalities that are there (the sum rule).

    Paper: Kittler et al., "On combining classifiers", IEEE PAMI 20(3), 1998 (sum rule).
    Differs: the rule's correction by the class frequencies, which the mean of posteriors does without, is left out.
    """

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        both, _, _ = stacked(scores)
        return normalised(both.sum(0))
