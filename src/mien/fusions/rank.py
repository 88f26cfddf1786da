"""Decision level: Borda count of the classes' ranks."""

from __future__ import annotations

import numpy as np

from mien.fusions import FUSIONS
from mien.fusions.base import TIE, Arrays, Fusion, normalised, stacked


@FUSIONS.register("rank", paper="Ho, Hull and Srihari 1994", level="decision", learns="nothing", reads="scores")
class Rank(Fusion):
    """Each modality gives a class as many points as there are classes that it ranks below; equals share theirs.

    It does not matter how sure a modality is, only in what order it puts the classes; of classes with equal points that
    of the higher mean score is first.

    Paper: Ho, Hull and Srihari, "Decision combination in multiple classifier systems", IEEE PAMI 16(1), 1994
        (Borda count).
    Differs: the scores that are returned are the shares of the points, with a thousandth of the mean scores.
    """

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        both, there, _ = stacked(scores)
        above = both[:, :, :, None] > both[:, :, None, :]
        equal = both[:, :, :, None] == both[:, :, None, :]
        points = above.sum(3) + 0.5 * (equal.sum(3) - 1)
        count = np.maximum(there.sum(0), 1)[:, None]
        return normalised((points * there[:, :, None]).sum(0) + TIE * both.sum(0) / count)
