"""The pass over the rows of a finished analysis that finds events and adds columns: rows in, rows out, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mien.events.baseline import Baseline, Thinned, correct, rest_of
from mien.events.event import NEUTRAL, Event, EventOptions, since, step_s
from mien.events.find import Follower
from mien.events.smooth import Moment
from mien.table import Row

WAIT_S = 1.0  # how often it is looked who has left

Person = tuple[str, int]


@dataclass(frozen=True)
class Timing:
    """What is made of the rows; the command line's options have like names.

    Attributes:
        smooth: reach of the filter of the columns `smooth_<label>` and of the events, seconds; 0: no such columns, and
            events by the default of `EventOptions.smooth_s`.
        baseline: add the columns `baseline_<label>`, and find the events in them.
        events: what counts as an event.
    """

    smooth: float = 0.0
    baseline: bool = False
    events: EventOptions = field(default_factory=EventOptions)

    @property
    def options(self) -> EventOptions:
        """`events`, with the filter of `smooth` where that is given."""
        return replace(self.events, smooth_s=self.smooth) if self.smooth else self.events

    def columns(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The columns that are added at the end of the table."""
        wanted = [name for name, on in (("smooth", self.smooth > 0), ("baseline", self.baseline)) if on]
        return tuple(f"{name}_{label}" for name in wanted for label in labels)

    def facts(self) -> dict[str, Any]:
        """For summary.json."""
        return {**asdict(self.options), "low": self.options.low, "baseline": self.baseline}


@dataclass
class Survey:
    """What must be known of all rows before the second look at them: usual steps in time, people at rest."""

    labels: Sequence[str]
    timing: Timing
    _last: dict[str, float] = field(default_factory=dict)
    _steps: dict[str, Thinned[float]] = field(default_factory=dict)
    _scores: dict[Person, Thinned[np.ndarray]] = field(default_factory=dict)

    def add(self, rows: Iterable[Row]) -> None:
        """Look at the rows of sources with time."""
        for row in rows:
            source, time_s, track = row["source"], row["time_s"], row["track"]
            if time_s is None:
                continue
            last = self._last.get(source)
            if last is not None and time_s > last:
                self._steps.setdefault(source, Thinned()).add(time_s - last)
            self._last[source] = time_s
            if track is not None and self.timing.baseline:
                sample = self._scores.setdefault((source, track), Thinned())
                sample.add(scores_of(row, self.labels))

    def absences(self) -> dict[str, float]:
        """Seconds without a face, for each source, from which on it counts as absent."""
        steps = {source: step_s(thinned.items) for source, thinned in self._steps.items()}
        return {source: self.timing.options.absence_s(steps.get(source, 0.0)) for source in self._last}

    def baselines(self) -> dict[Person, Baseline]:
        """Rest of each person."""
        return {
            person: rest_of(np.stack(sample.items), self.labels, sample.count)
            for person, sample in self._scores.items()
        }


def scores_of(row: Row, labels: Sequence[str]) -> np.ndarray:
    """A row's raw scores, float64 [K]."""
    return np.array([float(row.get(f"p_{label}") or 0.0) for label in labels])


@dataclass
class SecondPass:
    """Adds the columns to rows and collects the events.

    Args:
        baselines, absences: from `Survey`.

    Attributes:
        events: by source, onset and track; whole once all rows have come out.
    """

    labels: Sequence[str]
    timing: Timing
    baselines: dict[Person, Baseline]
    absences: dict[str, float]
    events: list[Event] = field(default_factory=list)
    _source: str | None = None
    _order: dict[str, int] = field(default_factory=dict)
    _followers: dict[int, Follower[_Waiting]] = field(default_factory=dict)
    _since_s: float = 0.0

    def run(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows in the same order, with the columns of `Timing.columns`; empty for faces without a track."""
        waiting: deque[_Waiting] = deque()
        for row in rows:
            if row["source"] != self._source:
                self._close()
                self._source = row["source"]
                self._order.setdefault(row["source"], len(self._order))
            waiting.append(self._take(row))
            while waiting and waiting[0].ready:
                yield waiting.popleft().row
        self._close()
        self.events.sort(key=lambda e: (self._order[e.source], e.onset_s, e.track, e.label))
        yield from (entry.row for entry in waiting)

    def _take(self, row: Row) -> _Waiting:
        entry = _Waiting({**row, **dict.fromkeys(self.timing.columns(self.labels))})
        time_s, track = row["time_s"], row["track"]
        if time_s is None or track is None:
            entry.ready = True
            return entry
        raw = scores_of(row, self.labels)
        values = np.stack([raw, self._corrected(raw, track, entry.row)]) if self.timing.baseline else raw[None]
        if track not in self._followers:
            absence_s = self.absences[row["source"]]
            self._followers[track] = Follower(self.labels, self.timing.options, absence_s)
        self._finish(self._followers[track].add(time_s, row["frame"], values, entry))
        if abs(time_s - self._since_s) >= WAIT_S:
            self._let_go(time_s)
        return entry

    def _corrected(self, raw: np.ndarray, track: int, row: Row) -> np.ndarray:
        baseline = self.baselines[str(row["source"]), track]
        corrected = raw if baseline.shift is None else correct(raw, baseline.shift)
        row |= {f"baseline_{label}": round(v, 4) for label, v in zip(self.labels, corrected.tolist(), strict=True)}
        return corrected

    def _finish(self, moments: Iterable[Moment[_Waiting]]) -> None:
        for moment in moments:
            moment.tag.ready = True
            if self.timing.smooth:
                smoothed = zip(self.labels, moment.values[0].tolist(), strict=True)
                moment.tag.row |= {f"smooth_{label}": round(value, 4) for label, value in smoothed}

    def _let_go(self, now_s: float) -> None:
        """Let go of the people who have left: rows that came after theirs wait for them."""
        self._since_s = now_s
        for track, follower in list(self._followers.items()):
            if follower.last_s is not None and not 0 <= since(follower.last_s, now_s) <= follower.absence_s:
                self._leave(track)

    def _leave(self, track: int) -> None:
        follower = self._followers.pop(track)
        self._finish(follower.close())
        self.events += follower.events(self._source or "", track)

    def _close(self) -> None:
        """A source ends, and all leave."""
        for track in list(self._followers):
            self._leave(track)
        self._since_s = 0.0


@dataclass
class _Waiting:
    """A row on its way through the filter."""

    row: Row
    ready: bool = False


def with_events(facts: list[dict[str, Any]], labels: Sequence[str], second: SecondPass) -> None:
    """Add to the tracks of a summary how many events of each expression there were, their seconds, the baseline.

    Args:
        facts: entries per source with `source` and `tracks`, as `summarise` makes them; changed in place.
    """
    by_person: dict[Person, list[Event]] = {}
    for event in second.events:
        if event.track is not None:
            by_person.setdefault((event.source, event.track), []).append(event)
    for entry in facts:
        for track in entry["tracks"]:
            person = (entry["source"], track["track"])
            mine = by_person.get(person, [])
            counts = {label: sum(e.label == label for e in mine) for label in labels if label != NEUTRAL}
            track |= {"events": counts, "event_seconds": round(sum(e.duration_s for e in mine), 3)}
            if person in second.baselines:
                track["baseline"] = second.baselines[person].facts(labels)
