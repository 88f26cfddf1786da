"""How far two groups lie apart: mean difference, Hedges' g and Cliff's delta, with bootstrap intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mien.metrics.bootstrap import Interval

LEVEL = 0.95
ROUNDS = 5000
BLOCK = 2_000_000
"""Numbers held at a time: draws times values."""


def hedges_g(first: np.ndarray, second: np.ndarray) -> float:
    """Mean of `second` minus that of `first`, in pooled standard deviations, corrected for small samples.

    With pairs the pooled deviation of equal n is the average one of both conditions (d_av of Cumming, 2012). NaN where
    a group has fewer than two values, or none varies.

    Paper: Hedges, "Distribution theory for Glass's estimator of effect size", Journal of Educational Statistics 1981.

    Args:
        first, second: [N] and [M].

    >>> round(hedges_g(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])), 4)
    0.7979
    """
    n, m = len(first), len(second)
    if n < 2 or m < 2:
        return math.nan
    free = n + m - 2
    pooled = ((n - 1) * float(np.var(first, ddof=1)) + (m - 1) * float(np.var(second, ddof=1))) / free
    difference = float(np.mean(second) - np.mean(first))
    return correction(free) * difference / math.sqrt(pooled) if pooled > 0 else math.nan


def correction(free: int) -> float:
    """Hedges' exact factor J, below 1, for `free` degrees of freedom (equation 6e).

    >>> round(correction(4), 4), round(correction(58), 4)
    (0.7979, 0.987)
    """
    if free < 2:
        return math.nan
    return math.exp(math.lgamma(free / 2) - math.lgamma((free - 1) / 2)) / math.sqrt(free / 2)


def cliffs_delta(first: np.ndarray, second: np.ndarray) -> float:
    """How much more often a value of `second` lies above one of `first` than below it, in [-1, 1]; NaN if one is empty.

    Paper: Cliff, "Dominance statistics: ordinal analyses to answer ordinal questions", Psychological Bulletin 1993.

    >>> cliffs_delta(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.75
    """
    if not len(first) or not len(second):
        return math.nan
    return float(np.sign(np.subtract.outer(second, first)).mean())


@dataclass(frozen=True)
class Contrast:
    """What two groups differ by.

    Attributes:
        means: of the first and the second group.
        sizes: number of values in each.
        difference: second minus first.
        difference_all: the same, its interval widened (Bonferroni) to hold for all comparisons together.
        g: Hedges' g.
        delta: Cliff's delta.
        paired: the values come in pairs, which were drawn together.
    """

    means: tuple[float, float]
    sizes: tuple[int, int]
    difference: Interval
    difference_all: Interval
    g: Interval
    delta: Interval
    paired: bool


def contrast(
    first: np.ndarray,
    second: np.ndarray,
    *,
    paired: bool = False,
    comparisons: int = 1,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Contrast:
    """Compare two groups of independent values with percentile bootstrap intervals of 95 %.

    Each group is drawn anew on its own; of pairs whole pairs are drawn. A draw is held as the number of times that each
    value comes, so that the figures of many draws are sums and products of matrices.

    Paper: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapters 8 and 13.

    Args:
        first, second: float [N] and [M]; of pairs in the same order.
        comparisons: how many such comparisons are made; `difference_all` holds for them together.

    Raises:
        ValueError: an empty group, or pairs of different number.

    >>> found = contrast(np.arange(20.0), np.arange(20.0) + 1, paired=True)
    >>> found.difference.low, found.difference.high
    (1.0, 1.0)
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(a) or not len(b) or (paired and len(a) != len(b)):
        raise ValueError(f"a comparison needs two groups with values, of pairs equally many; got {len(a)} and {len(b)}")
    random = np.random.default_rng(seed)
    block = max(1, BLOCK // max(len(a), len(b)))
    drawn = [_draws(random, a, b, min(block, rounds - done), paired) for done in range(0, rounds, block)]
    differences, deltas, gs = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    whole = float(b.mean() - a.mean())
    return Contrast(
        (float(a.mean()), float(b.mean())),
        (len(a), len(b)),
        _interval(whole, differences, LEVEL),
        _interval(whole, differences, 1 - (1 - LEVEL) / max(1, comparisons)),
        _interval(hedges_g(a, b), gs, LEVEL),
        _interval(cliffs_delta(a, b), deltas, LEVEL),
        paired,
    )


def _draws(
    random: np.random.Generator, a: np.ndarray, b: np.ndarray, rounds: int, paired: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of means, Cliff's delta and Hedges' g of `rounds` draws, each [rounds]."""
    times_a = _counts(random, rounds, len(a))
    times_b = times_a if paired else _counts(random, rounds, len(b))
    differences = times_b @ b / len(b) - times_a @ a / len(a)
    return differences, _drawn_delta(a, b, times_a, times_b), _drawn_g(a, b, times_a, times_b)


def _drawn_delta(a: np.ndarray, b: np.ndarray, times_a: np.ndarray, times_b: np.ndarray) -> np.ndarray:
    """Cliff's delta of each draw [rounds], from how many drawn values of `a` lie below and above each of `b`."""
    order = np.argsort(a, kind="stable")
    upto = np.pad(np.cumsum(times_a[:, order], 1), ((0, 0), (1, 0)))
    below, not_above = (upto[:, np.searchsorted(a[order], b, side)] for side in ("left", "right"))
    wins = below - (len(a) - not_above)
    return np.asarray((wins * times_b).sum(1) / (len(a) * len(b)))


def _counts(random: np.random.Generator, rounds: int, n: int) -> np.ndarray:
    """How often each of n values comes in each draw of n, float64 [rounds, n]."""
    return np.asarray(random.multinomial(n, np.full(n, 1 / n), rounds), np.float64)


def _drawn_g(a: np.ndarray, b: np.ndarray, times_a: np.ndarray, times_b: np.ndarray) -> np.ndarray:
    """Hedges' g of each draw [rounds]; NaN where nothing varies."""
    free = len(a) + len(b) - 2
    if len(a) < 2 or len(b) < 2:
        return np.full(len(times_a), math.nan)
    sums, means = np.zeros(len(times_a)), []
    for values, times in ((a, times_a), (b, times_b)):
        centred = values - values.mean()  # keeps the difference of squares exact enough
        mean = times @ centred / len(values)
        sums += np.maximum(times @ centred**2 - len(values) * mean**2, 0)
        means.append(mean + values.mean())
    pooled = np.sqrt(sums / free)
    least = 1e-9 * max(float(np.ptp(np.concatenate([a, b]))), 1e-300)
    steady = pooled > least
    g = np.full(len(pooled), math.nan)
    g[steady] = correction(free) * (means[1] - means[0])[steady] / pooled[steady]
    return g


def _interval(whole: float, drawn: np.ndarray, level: float) -> Interval:
    """The figure with the percentiles of its draws; draws where it is not defined do not count."""
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return Interval(whole, math.nan, math.nan)
    low, high = np.percentile(kept, [50 * (1 - level), 50 * (1 + level)])
    return Interval(whole, float(low), float(high))
