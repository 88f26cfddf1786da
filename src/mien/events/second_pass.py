"""The pass over the rows of a finished analysis that finds events and adds columns: rows in, rows out, in order."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mien.events.baseline import Baseline, Thinned, correct, rest_of
from mien.events.event import NEUTRAL, Event, EventOptions, since, step_s
from mien.events.find import Follower
from mien.events.people import COLUMN, People
from mien.events.smooth import Moment
from mien.table import Row, columns

WAIT_S = 1.0  # how often it is looked who has left

Key = int | str
"""Somebody in one source: a track, or the name that the user gave to tracks."""
Person = tuple[str, Key]


@dataclass(frozen=True)
class Timing:
    """What is made of the rows; the command line's options have like names.

    Attributes:
        smooth: reach of the filter of the columns `smooth_<label>` and of the events, seconds; 0: no such columns, and
            events by the default of `EventOptions.smooth_s`.
        baseline: add the columns `baseline_<label>`, and find the events in them.
        events: what counts as an event.
        people: names of tracks; all that is made of the rows is made for each person then. None: for each track.
    """

    smooth: float = 0.0
    baseline: bool = False
    events: EventOptions = field(default_factory=EventOptions)
    people: People | None = None

    @property
    def options(self) -> EventOptions:
        """`events`, with the filter of `smooth` where that is given."""
        return replace(self.events, smooth_s=self.smooth) if self.smooth else self.events

    def columns(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The columns that are added at the end of the table."""
        wanted = [name for name, on in (("smooth", self.smooth > 0), ("baseline", self.baseline)) if on]
        return tuple(f"{name}_{label}" for name in wanted for label in labels)

    def names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """All columns of the table, in order."""
        first = columns(labels)
        if self.people is not None:
            place = first.index("track") + 1
            first = (*first[:place], COLUMN, *first[place:])
        return (*first, *self.columns(labels))

    def key(self, source: str, track: int) -> Key:
        """To whom a track belongs."""
        return (self.people.name(source, track) if self.people else None) or track

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
    _tracks: dict[tuple[str, int], None] = field(default_factory=dict)
    _frames: dict[Person, tuple[int, int]] = field(default_factory=dict)  # last frame of a named person, and track
    _doubles: list[str] = field(default_factory=list)

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
            if track is None:
                continue
            self._tracks[source, track] = None
            person = (source, self.timing.key(source, track))
            if isinstance(person[1], str):
                self._check(person, row)
            if self.timing.baseline:
                self._scores.setdefault(person, Thinned()).add(scores_of(row, self.labels))

    def _check(self, person: Person, row: Row) -> None:
        """Nobody is at two places at a time."""
        frame, track = self._frames.get(person, (-1, -1))
        if frame == row["frame"] and not self._doubles:
            self._doubles.append(
                f"track {track} and track {row['track']} of {row['source']} are both {person[1]}, but both are seen in "
                f"frame {frame} ({row['time_s']:g} s); give them different names"
            )
        self._frames[person] = (row["frame"], row["track"])

    def trouble(self) -> str:
        """Why the names cannot be used, in one sentence; empty if they can."""
        return self._doubles[0] if self._doubles else ""

    def unused(self) -> list[str]:
        """Names that stand for a track that was not seen."""
        return self.timing.people.unused(self._tracks) if self.timing.people else []

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
        events: by source, onset and track; whole once all rows have come out. That of a person with several tracks has
            the track of its onset.
    """

    labels: Sequence[str]
    timing: Timing
    baselines: dict[Person, Baseline]
    absences: dict[str, float]
    events: list[Event] = field(default_factory=list)
    _source: str | None = None
    _order: dict[str, int] = field(default_factory=dict)
    _followers: dict[Key, Follower[_Waiting]] = field(default_factory=dict)
    _tracks: dict[Key, list[tuple[int, int]]] = field(default_factory=dict)  # frames from which on, and tracks
    _since_s: float = 0.0

    def __post_init__(self) -> None:
        self._names = self.timing.names(self.labels)
        self._added = frozenset(self.timing.columns(self.labels)) | {COLUMN}

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
        # columns of an earlier second pass are left behind
        entry = _Waiting({name: None if name in self._added else row.get(name) for name in self._names})
        time_s, track = row["time_s"], row["track"]
        if time_s is None or track is None:
            entry.ready = True
            return entry
        key = self.timing.key(row["source"], track)
        if COLUMN in entry.row:
            entry.row[COLUMN] = key if isinstance(key, str) else None
        raw = scores_of(row, self.labels)
        values = np.stack([raw, self._corrected(raw, key, entry.row)]) if self.timing.baseline else raw[None]
        if key not in self._followers:
            absence_s = self.absences[row["source"]]
            self._followers[key] = Follower(self.labels, self.timing.options, absence_s)
        tracks = self._tracks.setdefault(key, [])
        if not tracks or tracks[-1][1] != track:
            tracks.append((row["frame"], track))
        self._finish(self._followers[key].add(time_s, row["frame"], values, entry))
        if abs(time_s - self._since_s) >= WAIT_S:
            self._let_go(time_s)
        return entry

    def _corrected(self, raw: np.ndarray, key: Key, row: Row) -> np.ndarray:
        baseline = self.baselines[str(row["source"]), key]
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
        for key, follower in list(self._followers.items()):
            if follower.last_s is not None and not 0 <= since(follower.last_s, now_s) <= follower.absence_s:
                self._leave(key)

    def _leave(self, key: Key) -> None:
        follower, tracks = self._followers.pop(key), self._tracks.pop(key)
        self._finish(follower.close())
        name = key if isinstance(key, str) else None
        for event in follower.events(self._source or ""):
            place = bisect_right(tracks, (event.onset_frame, 2**62)) - 1
            self.events.append(replace(event, track=tracks[place][1], person=name))

    def _close(self) -> None:
        """A source ends, and all leave."""
        for key in list(self._followers):
            self._leave(key)
        self._since_s = 0.0


@dataclass
class _Waiting:
    """A row on its way through the filter."""

    row: Row
    ready: bool = False


def with_events(facts: list[dict[str, Any]], labels: Sequence[str], second: SecondPass) -> None:
    """Add to a summary how many events of each expression there were, their seconds, the baseline.

    Args:
        facts: entries per source with `source` and `tracks`, as `summarise` makes them, and `people`, where there are
            names; changed in place. The tracks of a named person get the events that begin in them.
    """
    by_track: dict[Person, list[Event]] = {}
    by_name: dict[Person, list[Event]] = {}
    for event in second.events:
        if event.track is not None:
            by_track.setdefault((event.source, event.track), []).append(event)
        if event.person is not None:
            by_name.setdefault((event.source, event.person), []).append(event)
    for entry in facts:
        for track in entry["tracks"]:
            _add(track, by_track.get((entry["source"], track["track"]), []), labels)
            _add_baseline(track, (entry["source"], track["track"]), labels, second)
        for person in entry.get("people", ()):
            _add(person, by_name.get((entry["source"], person["person"]), []), labels)
            _add_baseline(person, (entry["source"], person["person"]), labels, second)


def _add(facts: dict[str, Any], events: Sequence[Event], labels: Sequence[str]) -> None:
    counts = {label: sum(e.label == label for e in events) for label in labels if label != NEUTRAL}
    facts |= {"events": counts, "event_seconds": round(sum(e.duration_s for e in events), 3)}


def _add_baseline(facts: dict[str, Any], person: Person, labels: Sequence[str], second: SecondPass) -> None:
    if person in second.baselines:
        facts["baseline"] = second.baselines[person].facts(labels)
