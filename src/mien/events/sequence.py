"""Events read as a whole: so many frames of each, spread evenly, for a model over sequences of scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mien.events.event import Event
from mien.events.people import COLUMN
from mien.table import Row


def of_event(row: Row, event: Event) -> bool:
    """Whether a row of the event's source is of the event's person, else track."""
    return row.get(COLUMN) == event.person if event.person is not None else row["track"] == event.track


class Stretches:
    """Collects the scores of evenly spread moments of each event, in one pass over the rows.

    Of each wanted moment the row nearest in time is kept, so that memory grows with the events, not with their length.

    Args:
        frames: moments of each event.
        reads: labels of the scores to collect.
        belongs: whether a row of the event's source is of the one whose event it is.
    """

    def __init__(
        self,
        events: Sequence[Event],
        frames: int,
        reads: Sequence[str],
        belongs: Callable[[Row, Event], bool] = of_event,
    ) -> None:
        self.events, self.reads, self.belongs = events, tuple(reads), belongs
        self.wanted = [np.linspace(event.onset_s, event.offset_s, frames) for event in events]
        self.found = np.full((len(events), frames, len(self.reads)), np.nan, np.float32)
        self._gap = np.full((len(events), frames), np.inf)
        places: dict[str, list[int]] = defaultdict(list)
        for number, event in enumerate(events):
            places[event.source].append(number)
        self._of = {
            source: (
                np.array(own),
                np.array([events[n].onset_s for n in own]),
                np.array([events[n].offset_s for n in own]),
            )
            for source, own in places.items()
        }

    def add(self, rows: Iterable[Row]) -> None:
        """Look at rows, in any order."""
        for row in rows:
            time_s = row["time_s"]
            if time_s is None or row["track"] is None or row["source"] not in self._of:
                continue
            numbers, onsets, offsets = self._of[row["source"]]
            for number in numbers[(onsets <= time_s) & (time_s <= offsets)].tolist():
                if self.belongs(row, self.events[number]):
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
