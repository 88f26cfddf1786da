"""Events read as a whole: so many frames of each, spread evenly, for a model over sequences of scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mien.events.event import Event
from mien.table import Row

Place = tuple[str, int]  # source and frame


class Stretches:
    """Collects the scores of evenly spread moments of each event, in one pass over the rows.

    Of each wanted moment the row nearest in time is kept, so that memory grows with the events, not with their length.

    Args:
        frames: moments of each event.
        reads: labels of the scores to collect.
        belongs: whether a row is of the person whose event it is.
    """

    def __init__(
        self, events: Sequence[Event], frames: int, reads: Sequence[str], belongs: Callable[[Row, Event], bool]
    ) -> None:
        self.events, self.reads, self.belongs = events, tuple(reads), belongs
        self.wanted = [np.linspace(event.onset_s, event.offset_s, frames) for event in events]
        self.found = np.full((len(events), frames, len(self.reads)), np.nan, np.float32)
        self._gap = np.full((len(events), frames), np.inf)
        self._of: dict[str, list[int]] = defaultdict(list)
        for number, event in enumerate(events):
            self._of[event.source].append(number)

    def add(self, rows: Iterable[Row]) -> None:
        """Look at rows, in any order."""
        for row in rows:
            time_s = row["time_s"]
            if time_s is None or row["track"] is None:
                continue
            for number in self._of.get(row["source"], ()):
                event = self.events[number]
                if event.onset_s <= time_s <= event.offset_s and self.belongs(row, event):
                    gap = np.abs(self.wanted[number] - time_s)
                    nearer = gap < self._gap[number]
                    self._gap[number][nearer] = gap[nearer]
                    self.found[number][nearer] = [float(row[f"p_{label}"] or 0.0) for label in self.reads]

    def read(self, model: Callable[[np.ndarray], np.ndarray], labels: Sequence[str]) -> list[dict[str, Any]]:
        """For each event `sequence_<label>` of all labels; None where no row of it was seen."""
        whole = ~np.isnan(self.found).any((1, 2))
        scores = np.full((len(self.events), len(labels)), np.nan)
        if whole.any():
            scores[whole] = model(self.found[whole])
        return [
            {
                f"sequence_{label}": None if np.isnan(value) else round(float(value), 4)
                for label, value in zip(labels, row, strict=True)
            }
            for row in scores
        ]
