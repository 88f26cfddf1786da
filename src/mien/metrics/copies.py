"""Figures with and without the test rows that have an exact copy in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class BothWays(NamedTuple):
    """One figure read twice.

    Attributes:
        official: over all rows, comparable with published figures.
        distinct: over the rows without a copy in training; NaN where every row has one.
        rows: rows in all.
        copies: rows with a copy.
    """

    official: float
    distinct: float
    rows: int
    copies: int

    def __str__(self) -> str:
        left = self.rows - self.copies
        return f"{self.official:.4f} ({self.rows} rows), {self.distinct:.4f} without copies ({left} rows)"


def both_ways(metric: Callable[..., float], copied: np.ndarray, *arrays: np.ndarray) -> BothWays:
    """Take a figure over all rows, and over those that training has not seen.

    Args:
        metric: takes the arrays, cut to some rows, and gives one number.
        copied: bool [N], the row has an exact copy in training (see `mien.protocols.Leak.mask`).
        arrays: each [N, ...].

    >>> right = np.array([1.0, 1.0, 0.0])
    >>> print(both_ways(lambda r: float(r.mean()), np.array([True, False, False]), right))
    0.6667 (3 rows), 0.5000 without copies (2 rows)
    """
    copied = np.asarray(copied, bool)
    distinct = float(metric(*(array[~copied] for array in arrays))) if not copied.all() else float("nan")
    return BothWays(float(metric(*arrays)), distinct, len(copied), int(copied.sum()))
