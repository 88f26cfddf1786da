"""What every fusion shares: its interface, and scores of several modalities as one array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from mien.errors import DataError

Arrays = Mapping[str, np.ndarray]
"""modality -> scores [N, K] or features [N, D]; rows of NaN where the modality is missing."""

LEAST = 1e-6
"""Scores below this count as this, so that one modality cannot veto a class alone."""

TIE = 1e-3
"""Weight of the mean score beside votes and points: it decides between equals and nothing else."""


class Fusion(ABC):
    """Joins what modalities say of the same N rows.

    `fit_features` learns from the features of training rows, `fit` from the scores of validation rows: rows that the
    modalities' own classifiers were not trained on, whose scores flatter nobody. A fusion that learns nothing from one
    of them ignores it. A row for which nothing is there gets 1 / K for every class.
    """

    def fit_features(self, features: Arrays, truth: np.ndarray, group: np.ndarray | None = None) -> None:  # noqa: B027
        """Learn from features {modality: [N, D]} of training rows and their classes [N], from 0.

        Args:
            group: people or recordings [N] that are kept together where a penalty is chosen.
        """

    def fit(self, scores: Arrays, truth: np.ndarray, features: Arrays | None = None) -> None:  # noqa: B027
        """Learn from scores {modality: [N, K]} of validation rows and their classes [N].

        Raises:
            DataError: scores that do not fit together, or nothing to learn from.
        """

    @abstractmethod
    def __call__(self, scores: Arrays, features: Arrays | None = None) -> np.ndarray:
        """Joint scores [N, K], rows sum to 1.

        Raises:
            DataError: scores that do not fit together, or a modality that it was not fitted with.
        """

    @property
    def learnt(self) -> dict[str, Any]:
        """What was learnt, in words and numbers, for the record of a run."""
        return {}


def stacked(scores: Arrays, names: tuple[str, ...] = ()) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Scores as float64 [M, N, K] with 0 for what is missing, what is there [M, N], and the modalities.

    Args:
        names: the modalities it must be, in their order; those that `scores` lacks are missing in every row.

    Raises:
        DataError: no modality, an unknown one, unlike shapes, or rows that are no scores.
    """
    given = {name: np.asarray(array, np.float64) for name, array in scores.items()}
    unknown = sorted(given.keys() - set(names)) if names else []
    if not given or unknown:
        raise DataError(f"scores of {', '.join(unknown) or 'nothing'}; this fusion knows {', '.join(names) or 'none'}")
    names = names or tuple(given)
    shapes = {array.shape for array in given.values()}
    shape = next(iter(shapes))
    if len(shapes) > 1 or len(shape) != 2:
        raise DataError(f"scores of shapes {sorted(shapes)}; each modality must give one [N, K] of the same rows")
    both = np.stack([given.get(name, np.full(shape, np.nan)) for name in names])
    there = ~np.isnan(both).any(2)
    both = np.where(there[:, :, None], both, 0.0)
    wrong = there & ((both < 0).any(2) | (np.abs(both.sum(2) - 1) > 1e-3))
    if wrong.any():
        place, row = np.argwhere(wrong)[0]
        raise DataError(f"{names[place]}, row {row}: {both[place, row]} are no scores that sum to 1")
    return both, there, names


def normalised(joint: np.ndarray) -> np.ndarray:
    """Rows [N, K] of numbers from 0 that sum to 1; a row of zeros becomes 1 / K."""
    total = joint.sum(1, keepdims=True)
    even = np.full_like(joint, 1 / joint.shape[1])
    return np.asarray(np.where(total > 0, joint / np.where(total > 0, total, 1.0), even))


def classes_of(truth: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """The classes as integers [N].

    Raises:
        DataError: another number of rows, or a class outside 0 to K - 1.
    """
    truth = np.asarray(truth)
    if truth.shape != (rows,) or not rows or truth.min() < 0 or truth.max() >= classes:
        raise DataError(
            f"classes of shape {list(truth.shape)} for {rows} rows of {classes} classes; leave rows without a class out"
        )
    return truth.astype(np.int64)
