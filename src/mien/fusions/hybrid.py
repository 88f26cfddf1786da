"""Feature and decision level together."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.fusions import FUSIONS
from mien.fusions.base import Arrays, Fusion
from mien.fusions.feature import Feature

JOINT = "all features"
"""What the feature-level classifier is called among the modalities."""


@FUSIONS.register(
    "hybrid",
    paper="Poria et al. 2017, hybrid",
    level="hybrid",
    learns="as feature, and as its rule",
    reads="both",
)
class Hybrid(Fusion):
    """The scores of the feature-level classifier join those of the modalities at the decision level.

    Paper: Poria et al., "A review of affective computing: from unimodal analysis to multimodal fusion", Information
        Fusion 37, 2017 (hybrid fusion).
    Differs: the review leaves the rule open; here the mean, unless another is named.

    Args:
        rule: a decision-level fusion.
        l2: as `Feature`.
    """

    def __init__(self, rule: str = "mean", l2: float = 0.0) -> None:
        if FUSIONS.facts(rule)["level"] != "decision":
            raise DataError(f"hybrid: rule = {rule!r} is no fusion at the decision level; use mean")
        self.feature = Feature(l2)
        self.rule = FUSIONS.create(rule)

    def fit_features(self, features: Arrays, truth: np.ndarray, group: np.ndarray | None = None) -> None:
        self.feature.fit_features(features, truth, group)

    def fit(self, scores: Arrays, truth: np.ndarray, features: Arrays | None = None) -> None:
        self.rule.fit(self._joined(scores, features), truth)

    def _joined(self, scores: Arrays, features: Arrays | None) -> dict[str, np.ndarray]:
        joint = self.feature(scores, features)
        known = [~np.isnan(array).any(1) for array in (features or {}).values()]
        some = np.asarray(np.column_stack(known).any(1))[:, None]
        return {**scores, JOINT: np.where(some, joint, np.nan)}

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        return self.rule(self._joined(scores, features))

    @property
    def learnt(self) -> dict[str, Any]:
        return {**self.feature.learnt, **self.rule.learnt}
