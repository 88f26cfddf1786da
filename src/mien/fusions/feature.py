"""Feature level: the modalities' features side by side, and one linear classifier."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.fusions import FUSIONS
from mien.fusions.base import Arrays, Fusion
from mien.fusions.linear import ByPresence, choose


@FUSIONS.register(
    "feature",
    paper="Poria et al. 2017, feature level",
    level="feature",
    learns="a linear classifier of the features",
    reads="features",
)
class Feature(Fusion):
    """Softmax regression on all features, each of mean 0 and deviation 1 over the training rows.

    Where modalities are missing, another regression answers, learnt on the features of the others.

    Paper: Poria et al., "A review of affective computing: from unimodal analysis to multimodal fusion", Information
        Fusion 37, 2017 (feature-level or early fusion).
    Differs: the classifier is linear, so that what it gains is the fusion's.

    Args:
        l2: penalty of the regression; 0 chooses among 1 to 10,000 by five folds of the training rows.
    """

    def __init__(self, l2: float = 0.0) -> None:
        self.l2 = l2
        self.chosen = l2
        self.model: ByPresence | None = None
        self.scale: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def fit_features(self, features: Arrays, truth: np.ndarray, group: np.ndarray | None = None) -> None:
        """As `Fusion.fit_features`; the number of classes is the largest class + 1.

        Raises:
            DataError: features of unlike numbers of rows, or no row with all modalities.
        """
        rows = {len(array) for array in features.values()} | {len(truth)}
        if not features or len(rows) > 1 or not len(truth) or int(np.min(truth)) < 0:
            raise DataError(f"features and classes of {sorted(rows)} rows; each modality must tell of the same rows")
        self.scale = {name: _scale(name, np.asarray(array, np.float64)) for name, array in features.items()}
        parts, classes = self._scaled(features), int(np.max(truth)) + 1
        x = np.column_stack(list(parts.values()))
        whole = ~np.isnan(x).any(1)
        if not whole.any():
            raise DataError("no training row has all modalities; leave out one that is hardly ever there")
        group = np.arange(len(truth)) if group is None else np.asarray(group)
        self.chosen = self.l2 or choose(x[whole], truth[whole], classes, group[whole])
        self.model = ByPresence(parts, np.asarray(truth, np.int64), classes, self.chosen)

    def _scaled(self, features: Arrays) -> dict[str, np.ndarray]:
        unknown = sorted(features.keys() - self.scale.keys())
        if unknown:
            raise DataError(f"features of {', '.join(unknown)}; this fusion knows {', '.join(self.scale)}")
        return {name: (np.asarray(features[name]) - self.scale[name][0]) / self.scale[name][1] for name in features}

    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        if self.model is None:
            raise DataError("feature fusion is learnt on training rows; call fit_features first")
        if not features:
            raise DataError("feature fusion reads features; give them beside the scores")
        return self.model(self._scaled(features), len(next(iter(features.values()))))

    @property
    def learnt(self) -> dict[str, Any]:
        return {"l2": self.chosen}


def _scale(name: str, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = array[~np.isnan(array).any(1)]
    if not len(known):
        raise DataError(f"{name} is missing in every training row")
    deviation = known.std(0)
    return known.mean(0), np.where(deviation > 1e-9, deviation, 1.0)
