"""Is one model better than another on the same rows: McNemar's test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class McNemar(NamedTuple):
    """Outcome of the test.

    Attributes:
        first: rows that only the first model has right.
        second: rows that only the second has right.
        p_exact: two-sided, from the binomial distribution; the one to report.
        statistic: chi-square with continuity correction, one degree of freedom.
        p_chi2: its p-value; close to the exact one from about 25 differing rows on.
    """

    first: int
    second: int
    p_exact: float
    statistic: float
    p_chi2: float


def mcnemar(truth: np.ndarray, first: np.ndarray, second: np.ndarray) -> McNemar:
    """Compare two models' predictions of the same rows, all [N].

    Only rows where one is right and the other wrong say anything. The rows must be independent: with several rows of
    one person, compare figures by `bootstrap` over people instead.

    Paper: McNemar, Psychometrika 1947; continuity correction of Edwards, Psychometrika 1948 (never below 0 here).
    """
    a, b = np.asarray(first) == truth, np.asarray(second) == truth
    return mcnemar_counts(int((a & ~b).sum()), int((b & ~a).sum()))


def mcnemar_counts(first: int, second: int) -> McNemar:
    """The test from the two numbers of differing rows.

    >>> mcnemar_counts(6, 1).p_exact
    0.125
    """
    total = first + second
    if not total:
        return McNemar(0, 0, 1.0, 0.0, 1.0)
    tail, term = 0, 1
    for i in range(min(first, second) + 1):
        tail += term
        term = term * (total - i) // (i + 1)
    statistic = max(abs(first - second) - 1, 0) ** 2 / total
    # whole numbers to the end: 0.5 ** total is 0 from about 1,075 rows on
    exact = min(1.0, 2 * tail / 2**total)
    return McNemar(first, second, exact, statistic, math.erfc(math.sqrt(statistic / 2)))
