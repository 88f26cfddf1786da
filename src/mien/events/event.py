"""What an event is, what counts as one, and how events stand in a file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from mien.errors import InputError
from mien.events.cells import csv_line, guarded

NEUTRAL = "neutral"
"""The one label that is no expression: it makes no event."""
MISSED_STEPS = 2.5


@dataclass(frozen=True)
class EventOptions:
    """What counts as an event; each default with its reason.

    Attributes:
        threshold: the smoothed score, in (0, 1], that the apex must reach. 0.5: from there on the expression is
            likelier than all others together.
        min_s: shorter events are dropped, seconds from onset to offset. 0.5: the field's upper bound for
            micro-expressions (Yan et al., "How fast are the leaked facial expressions", Journal of Nonverbal Behavior,
            2013), which scores of single frames have not been shown to catch.
        gap_s: two stretches of one expression at most this far apart, seconds, are one event, and an absence longer
            than this ends it. 0.4: a blink lasts 0.1 to 0.4 s and can cost the score, or the face.
        smooth_s: reach of the filter, seconds; 0 switches it off. 0.2: ten frames at 25 frames/s, and well below
            `min_s`.

    Raises:
        InputError: a value out of its range.
    """

    threshold: float = 0.5
    min_s: float = 0.5
    gap_s: float = 0.4
    smooth_s: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InputError(f"event threshold {self.threshold:g}: expected a score above 0 and at most 1, such as 0.5")
        for name in ("min_s", "gap_s", "smooth_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} {getattr(self, name):g}: expected seconds, zero or more, such as 0.5")

    @property
    def low(self) -> float:
        """Half the threshold: an event begins and ends here, so that noise around the threshold does not cut it."""
        return self.threshold / 2

    def absence_s(self, step_s: float) -> float:
        """Time between two sightings, seconds, from which on the face was absent in between.

        Args:
            step_s: usual time between two frames; a face must have been missed for at least two of them.
        """
        return round(max(self.gap_s, MISSED_STEPS * step_s), 6)


@dataclass(frozen=True)
class Event:
    """One expression of one person, from where it leaves the low threshold to where it falls below it.

    Attributes:
        source: as in the table; empty where the scores came without one.
        track: as in the table; None where the scores came without one.
        label: the expression.
        onset_s, apex_s, offset_s: presentation times of the first frame at or above the low threshold, of the highest
            score, and of the last frame at or above the low threshold, seconds.
        onset_frame, apex_frame, offset_frame: the same as frame numbers.
        peak: smoothed score at the apex, in [0, 1].
        duration_s: offset minus onset, seconds.
        person: name that the user gave the track; None where there is none.
    """

    source: str
    track: int | None
    label: str
    onset_s: float
    apex_s: float
    offset_s: float
    onset_frame: int
    apex_frame: int
    offset_frame: int
    peak: float
    duration_s: float
    person: str | None = None


COLUMNS = tuple(field.name for field in fields(Event) if field.name != "person")
"""Columns of events.csv, in order; `person` follows `track` where people are named."""


def lanes(events: Iterable[Event]) -> list[list[Event]]:
    """Rows of events that do not overlap, as few as can be; events of one row stand in order of onset."""
    rows: list[list[Event]] = []
    for event in sorted(events, key=lambda e: (e.onset_s, -e.duration_s)):
        free = next((row for row in rows if row[-1].offset_s < event.onset_s), None)
        if free is None:
            rows.append([event])
        else:
            free.append(event)
    return rows


class Timed(Protocol):
    """Anything with an onset and an offset, seconds."""

    @property
    def onset_s(self) -> float: ...

    @property
    def offset_s(self) -> float: ...


def temporal_iou(a: Timed, b: Timed) -> float:
    """Time that both share over the time that either covers, in [0, 1]; 0 for two points.

    >>> from collections import namedtuple
    >>> span = namedtuple("span", "onset_s offset_s")
    >>> temporal_iou(span(0, 2), span(1, 3))
    0.3333333333333333
    """
    both = min(a.offset_s, b.offset_s) - max(a.onset_s, b.onset_s)
    either = max(a.offset_s, b.offset_s) - min(a.onset_s, b.onset_s)
    return max(0.0, both) / either if either > 0 else 0.0


def since(earlier_s: float, later_s: float) -> float:
    """Time between two presentation times, seconds, to the microsecond to which these are known."""
    return round(later_s - earlier_s, 6)


def step_s(steps: Iterable[float]) -> float:
    """Usual time between two frames, seconds: the median of the positive steps; 0 where there are none."""
    positive = [step for step in steps if step > 0]
    return float(np.median(positive)) if positive else 0.0


def events_csv(rows: Iterable[dict[str, object]], names: Iterable[str] = COLUMNS) -> str:
    """Rows as the text of events.csv: a header, and an empty field for None."""
    names = tuple(names)
    lines = (csv_line("" if row[name] is None else guarded(row[name]) for name in names) for row in rows)
    return "".join([csv_line(names), *lines])
