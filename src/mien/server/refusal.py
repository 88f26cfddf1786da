"""Answers that are not what was asked for: a status, one sentence, and when to try again."""

from __future__ import annotations

import math


class Refusal(Exception):
    """Becomes `{"error": sentence}`.

    Args:
        status: of HTTP.
        sentence: what was wrong and what to do.
        retry_s: when to try again, seconds; None says nothing of it.
        reason: one word for the metrics.
    """

    def __init__(self, status: int, sentence: str, *, retry_s: float | None = None, reason: str = "") -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.reason = status, sentence, reason
        self.headers = {} if retry_s is None else {"Retry-After": str(max(1, math.ceil(retry_s)))}


class Pace:
    """How long one of them takes, learnt as they come: for Retry-After.

    >>> pace = Pace(4.0)
    >>> pace.note(8.0)
    >>> pace.wait(waiting=4, hands=2)
    9.6
    """

    def __init__(self, first_s: float) -> None:
        self._mean_s = first_s

    def note(self, seconds: float) -> None:
        """One took so long."""
        self._mean_s = round(0.8 * self._mean_s + 0.2 * seconds, 6)

    def wait(self, waiting: int, hands: int) -> float:
        """Seconds until `waiting` of them are done by `hands` workers."""
        return self._mean_s * max(1, waiting) / hands
