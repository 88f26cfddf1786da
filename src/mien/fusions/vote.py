"""Decision level: each modality has one vote."""

from __future__ import annotations

import numpy as np

from mien.fusions import FUSIONS
from mien.fusions.base import TIE, Arrays, Fusion, normalised, stacked


@FUSIONS.register(
    "vote", paper="Kittler et al. 1998, majority vote", level="decision", learns="nothing", reads="scores"
)
class Vote(Fusion):
    """The class that most modalities put first; of equals, that of the higher mean score.

    Paper: Kittler et al., "On combining classifiers", IEEE PAMI 20(3), 1998 (majority vote rule).
    Differs: the scores that are returned are the shares of the votes, with a thousandth of the mean scores.
    """

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        both, there, _ = stacked(scores)
        votes = np.eye(both.shape[2])[both.argmax(2)] * there[:, :, None]
        count = np.maximum(there.sum(0), 1)[:, None]
        return normalised(votes.sum(0) + TIE * both.sum(0) / count)
