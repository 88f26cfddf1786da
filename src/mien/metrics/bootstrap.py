"""Confidence intervals of any figure by drawing again: percentile bootstrap over samples or over people."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A figure and the interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    metric: Callable[..., float],
    *arrays: np.ndarray,
    groups: np.ndarray | None = None,
    rounds: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """A figure with its percentile bootstrap interval.

    Samples of one person are no independent draws: where people are known, give them as `groups`, and whole people are
    drawn. The interval is then about new people, and wider. Draws where the figure is not defined do not count.

    Paper: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.

    Args:
        metric: takes the arrays, cut to some rows, and gives one number.
        arrays: each [N, ...].
        groups: [N], equal values are one person; None draws single samples.
        rounds: number of draws.
        level: share of the draws inside the interval, in (0, 1).

    Raises:
        ValueError: no rows, or arrays of different lengths.

    >>> truth = np.array([0, 1] * 50)
    >>> bootstrap(lambda t, p: float((t == p).mean()), truth, truth)
    Interval(value=1.0, low=1.0, high=1.0)
    """
    rows = len(arrays[0]) if arrays else 0
    lengths = {len(array) for array in arrays} | ({len(groups)} if groups is not None else set())
    if not rows or len(lengths) != 1:
        raise ValueError(f"the bootstrap needs arrays of one length above 0, got lengths {sorted(lengths)}")
    random = np.random.default_rng(seed)
    members = None if groups is None else _members(groups)
    values = np.empty(rounds)
    for i in range(rounds):
        if members is None:
            drawn = random.integers(0, rows, rows)
        else:
            drawn = np.concatenate([members[g] for g in random.integers(0, len(members), len(members))])
        values[i] = metric(*(array[drawn] for array in arrays))
    values = values[np.isfinite(values)]
    whole = float(metric(*arrays))
    if not len(values):
        return Interval(whole, float("nan"), float("nan"))
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return Interval(whole, float(low), float(high))


def _members(groups: np.ndarray) -> list[np.ndarray]:
    """The rows of each group."""
    _, place = np.unique(groups, return_inverse=True)
    order = np.argsort(place, kind="stable")
    return np.split(order, np.cumsum(np.bincount(place))[:-1])
