"""Agreement between people, or between a person and a model: kappas, Krippendorff's alpha, intraclass correlations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


def count_ratings(ratings: np.ndarray, classes: int) -> np.ndarray:
    """Counts [N, K] of categorical ratings [R, N], R raters of N items; -1 where a rater gave none."""
    return np.stack([(np.asarray(ratings) == k).sum(0) for k in range(classes)], 1)


def cohen_kappa(matrix: np.ndarray, weights: Literal["none", "linear", "quadratic"] = "none") -> float:
    """Cohen's kappa of two raters, from their confusion matrix [K, K]; NaN where both always say the same one thing.

    Paper: Cohen, Educational and Psychological Measurement 1960; weighted: Psychological Bulletin 1968.

    Args:
        weights: cost of a disagreement by the distance of two ordered classes; `none` counts all alike.

    >>> round(cohen_kappa(np.array([[20, 5], [10, 15]])), 3)
    0.4
    """
    k = len(matrix)
    apart = np.abs(np.arange(k)[:, None] - np.arange(k))
    powers = {"none": np.minimum(apart, 1), "linear": apart, "quadratic": apart**2}
    if weights not in powers:
        raise ValueError(f"weights is {weights!r}; it must be one of {', '.join(powers)}")
    total = matrix.sum()
    expected = matrix.sum(1)[:, None] * matrix.sum(0) / max(total, 1)
    below = (powers[weights] * expected).sum()
    return float(1 - (powers[weights] * matrix).sum() / below) if below else float("nan")


def fleiss_kappa(counts: np.ndarray) -> float:
    """Fleiss' kappa of counts [N, K]; every item must have the same number of ratings. NaN where all say one thing.

    Paper: Fleiss, Psychological Bulletin 1971.

    Raises:
        ValueError: numbers of ratings differ, or are below two.
    """
    n = counts.sum(1)
    if not len(n) or n.min() != n.max() or n[0] < 2:
        had = f"{n.min()} to {n.max()}" if len(n) else "no"
        raise ValueError(f"items have {had} ratings; use krippendorff_alpha where their number varies")
    raters = n[0]
    agreed = ((counts**2).sum(1) - raters) / (raters * (raters - 1))
    share = counts.sum(0) / counts.sum()
    by_chance = float((share**2).sum())
    return float((agreed.mean() - by_chance) / (1 - by_chance)) if by_chance < 1 else float("nan")


def krippendorff_alpha(counts: np.ndarray) -> float:
    """Krippendorff's alpha for nominal data of counts [N, K]; items with one rating say nothing and do not count.

    Paper: Krippendorff, "Content analysis", 2004, chapter 11.
    """
    paired = np.asarray(counts, float)
    paired = paired[paired.sum(1) >= 2]
    of_class, total = paired.sum(0), paired.sum()
    by_chance = total**2 - (of_class**2).sum()
    if not by_chance:
        return float("nan")
    same = ((paired * (paired - 1)).sum(1) / (paired.sum(1) - 1)).sum()
    return float(1 - (total - 1) * (total - same) / by_chance)


@dataclass(frozen=True)
class Icc:
    """Intraclass correlations of Shrout and Fleiss; single ratings, then the mean of all raters.

    Attributes:
        icc11, icc1k: each item has raters of its own.
        icc21, icc2k: raters are a sample of raters; agreement counts.
        icc31, icc3k: these raters and no others; consistency counts.
    """

    icc11: float
    icc21: float
    icc31: float
    icc1k: float
    icc2k: float
    icc3k: float


def icc(ratings: np.ndarray) -> Icc:
    """Intraclass correlations of numbers [N, R], N items by R raters, none missing.

    Paper: Shrout and Fleiss, "Intraclass correlations", Psychological Bulletin 1979.

    Raises:
        ValueError: fewer than two items or raters, or a rating is missing.
    """
    x = np.asarray(ratings, float)
    if x.ndim != 2 or min(x.shape) < 2 or not np.isfinite(x).all():
        raise ValueError(f"ratings of shape {x.shape}: at least two items by two raters are needed, none missing")
    n, k = x.shape
    items = k * ((x.mean(1) - x.mean()) ** 2).sum()
    raters = n * ((x.mean(0) - x.mean()) ** 2).sum()
    within = ((x - x.mean(1, keepdims=True)) ** 2).sum()
    bms, wms, jms = items / (n - 1), within / (n * (k - 1)), raters / (k - 1)
    ems = (within - raters) / ((n - 1) * (k - 1))
    return Icc(
        _ratio(bms - wms, bms + (k - 1) * wms),
        _ratio(bms - ems, bms + (k - 1) * ems + k * (jms - ems) / n),
        _ratio(bms - ems, bms + (k - 1) * ems),
        _ratio(bms - wms, bms),
        _ratio(bms - ems, bms + (jms - ems) / n),
        _ratio(bms - ems, bms),
    )


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
