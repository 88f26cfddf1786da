"""Timelines as geometry: paths in a box of 1000 x 200, everything else as percentages of the width."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mien.events.event import lanes
from mien.events.micro import MICRO
from mien.report import chart
from mien.report.bins import Series
from mien.report.page.folder import Happening
from mien.report.page.gather import Recording

WIDE, HIGH = 1000, 200
HEADROOM = 1.1
NAMED, STRONG = 0.2, 0.1  # scores from which an expression is named at its peak, and drawn at all
MOST_BARS = 300  # events of one person that are drawn
LETTER = 0.72, 2.1  # width of a letter, % of a wide and of a narrow plot


class Line(NamedTuple):
    """Curve of one expression: number of the label, path of the line, path of the area below it."""

    k: int
    path: str
    area: str


class Peak(NamedTuple):
    """Name of an expression at its peak; `wide` ones have room on a wide page alone."""

    k: int
    left: float
    top: float
    side: str
    wide: bool


class Bar(NamedTuple):
    """An event: place and width, and the apex as a share of the bar, %; its name stands beside the apex, if it fits."""

    k: int
    left: float
    width: float
    apex: float
    about: str
    name: str


class Tick(NamedTuple):
    """A time on the axis; every second one is `minor` and left out where there is little room."""

    left: float
    text: str
    minor: bool


@dataclass(frozen=True)
class Panel:
    """One person.

    Attributes:
        name: the person's name, or `Person 3`.
        about: when and how long seen, what was shown.
        lines: in order of drawing.
        threshold: height of the unsure threshold, % from the top; None where there is none.
        strip: (number of the label, unsure, path in 1000 x 10) of the top label over time.
        lanes: rows of events.
        hidden: number of events that are not drawn.
    """

    name: str
    about: str
    lines: list[Line]
    peaks: list[Peak]
    threshold: float | None
    strip: list[tuple[int, bool, str]]
    lanes: list[list[Bar]]
    hidden: int
    spoken: str


@dataclass(frozen=True)
class Timeline:
    """All panels of one recording over one axis."""

    panels: list[Panel]
    ticks: list[Tick]
    unit: str
    notes: list[str]


class _Axis(NamedTuple):
    first_s: float
    last_s: float
    gap_s: float

    @property
    def span_s(self) -> float:
        return self.last_s - self.first_s

    def percent(self, time_s: float) -> float:
        return round(100 * (time_s - self.first_s) / self.span_s, 2)

    def clock(self, time_s: float) -> str:
        return chart.clock(round(time_s, 1), self.last_s - min(0.0, self.first_s))


def timeline(
    recording: Recording,
    labels: Sequence[str],
    events: Sequence[Happening],
    duration_s: float,
    unsure_below: float,
    seen: Mapping[str, float],
) -> Timeline:
    """Geometry of a recording's timelines.

    Args:
        recording: the curves.
        events: of this source.
        duration_s: length of the recording.
        unsure_below: the model's threshold in [0, 1]; 0 for none.
        seen: for how long each person was seen, seconds.
    """
    people = recording.people
    first = min([0.0, *(float(s.time_s[0]) for s in people)])
    last = max([duration_s, *(float(s.time_s[-1]) for s in people)])
    axis = _Axis(first, last if last > first else first + 1.0, recording.gap_s)
    panels = [_panel(s, labels, _events_of(events, s), axis, unsure_below, seen) for s in people]
    notes = []
    if recording.more > 0:
        notes.append(f"{recording.more} more tracks, seen less, are not drawn")
    if recording.width_s >= 0.1:
        notes.append(f"each point is the mean of {recording.width_s:.2g} s")
    longest = axis.last_s - min(0.0, first)
    at = [float(t) for t in chart.ticks(axis.first_s, axis.last_s)]
    ticks = [Tick(axis.percent(t), chart.clock(t, longest), i % 2 == 1) for i, t in enumerate(at)]
    return Timeline(panels, ticks, "s" if longest < 120 else "min" if longest < 3600 else "h", notes)


def _events_of(events: Sequence[Happening], series: Series) -> list[Happening]:
    """Events of one person; only tracks that the user has not named are known by their number."""
    if series.person:
        return [event for event in events if event.person == series.person]
    return [event for event in events if not event.person and event.track == series.track]


def _panel(
    series: Series,
    labels: Sequence[str],
    events: list[Happening],
    axis: _Axis,
    unsure_below: float,
    seen: Mapping[str, float],
) -> Panel:
    name = series.person or ("Faces" if series.track < 0 else f"Person {series.track}")
    begin, end = axis.clock(float(series.time_s[0])), axis.clock(float(series.time_s[-1]))
    unit = " s" if axis.span_s < 120 else ""
    seconds = seen.get(series.person or str(series.track), 0.0)
    about = f"{begin} to {end}{unit}, seen for {axis.clock(min(seconds, axis.span_s))}{unit}"
    happened = sum(not event.is_micro for event in events)
    if happened:
        about += f", {happened} event{'' if happened == 1 else 's'}"
    shown = sorted(events, key=lambda e: -e.peak)[:MOST_BARS]
    peaks = series.scores.max(0)
    strong = [int(k) for k in np.argsort(peaks, kind="stable") if peaks[k] > STRONG]
    return Panel(
        name, about, [_line(series, k, axis) for k in strong], list(_peaks(series, labels, peaks, axis)),
        round(100 * (1 - unsure_below / HEADROOM), 2) if unsure_below else None,
        list(_strip(series, axis)), _lanes(shown, labels, axis), len(events) - len(shown),
        _spoken(series, labels),
    )  # fmt: skip


def _spoken(series: Series, labels: Sequence[str]) -> str:
    """The curve in words, for those who do not see it."""
    means = series.scores.mean(0)
    order = [int(k) for k in np.argsort(-means, kind="stable") if means[k] >= 0.05][:3]
    return ", ".join(f"{labels[k]} {100 * means[k]:.0f} % on average" for k in order)


def _pieces(series: Series, gap_s: float) -> list[slice]:
    """Stretches without an absence."""
    cuts = np.flatnonzero(np.diff(series.time_s) > gap_s) + 1
    bounds = [0, *cuts.tolist(), len(series.time_s)]
    return [slice(a, z) for a, z in pairwise(bounds)]


def _line(series: Series, k: int, axis: _Axis) -> Line:
    line, area = [], []
    for piece in _pieces(series, axis.gap_s):
        x = np.rint(WIDE * (series.time_s[piece] - axis.first_s) / axis.span_s).astype(int)
        y = np.rint(HIGH * (1 - series.scores[piece, k] / HEADROOM)).astype(int)
        if len(x) == 1:
            x, y = np.array([x[0] - 1, x[0] + 1]), np.repeat(y, 2)
        path = _path(x, y)
        line.append(path)
        area.append(f"M{x[0]} {HIGH}L{path[1:]}L{x[-1]} {HIGH}z")
    return Line(k, "".join(line), "".join(area))


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """Points as a path of relative steps, without those that lie on the line between their neighbours."""
    bends = np.ones(len(x), bool)
    dx, dy = np.diff(x), np.diff(y)
    bends[1:-1] = dx[:-1] * dy[1:] != dx[1:] * dy[:-1]
    x, y = x[bends], y[bends]
    steps = (f"{a} {b}" if b >= 0 else f"{a}{b}" for a, b in zip(np.diff(x), np.diff(y), strict=True))
    return f"M{x[0]} {y[0]}l{' '.join(steps)}"


def _peaks(series: Series, labels: Sequence[str], peaks: np.ndarray, axis: _Axis) -> Iterator[Peak]:
    """Each strong expression at the highest place where its name hits no other."""
    taken: tuple[list[tuple[float, float, float]], ...] = ([], [])
    window = max(1, len(series.time_s) // 40)
    for k in (int(k) for k in np.argsort(-peaks, kind="stable") if peaks[k] > NAMED):
        smooth = np.convolve(series.scores[:, k], np.ones(window) / window, "same")
        for _ in range(8):
            at = int(smooth.argmax())
            near = slice(max(0, at - window // 2), at + window // 2 + 1)
            left = axis.percent(float(series.time_s[at]))
            top = round(100 * (1 - float(series.scores[near, k].max()) / HEADROOM), 2)
            side = "start" if left < 8 else "end" if left > 92 else "middle"
            spans = [_span(left, side, LETTER[i] * len(labels[k])) for i in (0, 1)]
            free = [not any(a < z2 and a2 < z and abs(top - t) < 9 for a2, z2, t in taken[i])
                    for i, (a, z) in enumerate(spans)]  # fmt: skip
            if free[0]:
                taken[0].append((*spans[0], top))
                if free[1]:
                    taken[1].append((*spans[1], top))
                yield Peak(k, left, top, side, not free[1])
                break
            smooth[np.abs(series.time_s - series.time_s[at]) < 0.06 * axis.span_s] = -1
            if smooth.max() <= STRONG / 2:
                break


def _span(left: float, side: str, width: float) -> tuple[float, float]:
    begin = left if side == "start" else left - width if side == "end" else left - width / 2
    return begin, begin + width


def _strip(series: Series, axis: _Axis) -> Iterator[tuple[int, bool, str]]:
    """The top label at each time: one path for each label, sure and unsure."""
    best = series.scores.argmax(1)
    state = best * 2 + series.unsure
    step = max(axis.gap_s / 3, axis.span_s / 500)  # a lone frame must show
    paths: dict[int, list[str]] = {}
    for piece in _pieces(series, axis.gap_s):
        times = series.time_s[piece]
        edges = np.concatenate([[times[0] - step / 2], (times[1:] + times[:-1]) / 2, [times[-1] + step / 2]])
        places = np.clip(np.rint(WIDE * (edges - axis.first_s) / axis.span_s), 0, WIDE).astype(int)
        starts = np.flatnonzero(np.diff(state[piece], prepend=-1))
        for a, z in zip(starts, [*starts[1:], len(times)], strict=True):
            wide = max(1, places[z] - places[a])
            paths.setdefault(int(state[piece][a]), []).append(f"M{places[a]} 0h{wide}v10h-{wide}z")
    for value, parts in sorted(paths.items()):
        yield value // 2, bool(value % 2), "".join(parts)


def _lanes(events: Sequence[Happening], labels: Sequence[str], axis: _Axis) -> list[list[Bar]]:
    rows = []
    for row in lanes(events):
        bars = []
        for event in row:
            left = axis.percent(event.onset_s)
            width = max(0.25, axis.percent(event.offset_s) - left)
            apex = 100 * (event.apex_s - event.onset_s) / event.duration_s if event.duration_s else 50.0
            k = labels.index(event.label) if event.label in labels else -1
            strength = f"strength {event.peak:.1f} %" if event.label == MICRO else f"peak {event.peak:.2f}"
            about = f"{event.label}: {event.onset_s:.2f} to {event.offset_s:.2f} s, {strength}"
            room = width * max(apex, 100 - apex) / 100
            name = event.label if room > LETTER[0] * len(event.label) + 1 else ""
            bars.append(Bar(k, min(left, 100 - width), width, round(apex, 1), about, name))
        rows.append(bars)
    return rows
