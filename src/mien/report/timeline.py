"""Chart of the scores of each person over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mien.events import Event, Marker
from mien.events.micro import MICRO
from mien.labels import colour
from mien.report import chart
from mien.report.bins import Bins, Series
from mien.report.lanes import EVENT_IN, draw_events, draw_markers, lanes
from mien.report.pictures import pictures_chart as pictures_chart
from mien.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

LEFT, RIGHT, TOP, BOTTOM = 0.5, 0.25, 0.72, 0.32  # inches around the panels
STRIP, APART = 0.13, 0.62
NAMED = 0.2  # an expression whose score rises above this is named at its peak
STRONG = 0.1  # an expression whose score never rises above this is drawn faintly
HEADROOM = 1.13


class _Scale(NamedTuple):
    """What all panels share: the axis of time, and the pause from which on a face was absent; seconds."""

    first_s: float
    last_s: float
    gap_s: float
    unsure_below: float | None


def timeline(
    rows: Iterable[Row],
    labels: Sequence[str],
    out_path: str | Path,
    *,
    title: str = "",
    unsure_below: float | None = None,
    max_tracks: int = 6,
    duration_s: float | None = None,
    events: Sequence[Event] = (),
    markers: Sequence[Marker] = (),
) -> None:
    """Draw one panel per person: a line for each expression, a strip with the top label at each time, and the events.

    Rows are taken one at a time and averaged in about a thousand bins, so that hours need no more memory than minutes.
    Where a face is absent, lines and strip have a gap.

    Args:
        rows: the rows of one video; those without a time are passed over.
        labels: names of the K scores.
        out_path: a PNG, PDF or SVG.
        title: stands above the chart.
        unsure_below: the model's threshold in [0, 1], drawn as a line.
        max_tracks: panels at most; those most seen are shown.
        duration_s: length of the recording; None ends the axis with the last row.
        events: of this video: bars from onset to offset under the strip, with a notch at the apex.
        markers: upright lines through all panels, named in the first.
    """
    bins = Bins(labels)
    bins.add(rows)
    people = bins.series(max_tracks)
    first = min([0.0, *(float(s.time_s[0]) for s in people)])
    last = max([duration_s or 0.0, *(float(s.time_s[-1]) for s in people)])
    scale = _Scale(first, last if last > first else first + 1.0, bins.gap_s(), unsure_below)
    panel = 2.4 if len(people) < 2 else 1.25
    rows_of_bars = [lanes([e for e in events if _is_of(e, s)]) for s in people]
    heights = [panel + STRIP + APART + EVENT_IN * len(bars) for bars in rows_of_bars] or [panel + STRIP + APART]
    note = _note(bins, len(people), unsure_below, {e.label for e in events} if people else set())
    made = chart.figure(TOP + sum(heights) + (BOTTOM if note else 0.1))
    chart.write(made, LEFT, 0.3, title, 11, weight="bold")
    chart.legend(made, 0.56, LEFT, labels, any(s.unsure.any() for s in people))
    for i, series in enumerate(people):
        top, lowest = TOP + sum(heights[:i]) + 0.3, i == len(people) - 1
        _panel(made, top, panel, series, labels, scale, rows_of_bars[i], markers, lowest=lowest, named=i == 0)
    if not people:
        chart.write(made, chart.WIDTH_IN / 2, TOP + panel / 2, "no face was found", 10, chart.SOFT, ha="center")
    chart.write(made, LEFT, made.get_figheight() - 0.14, note, 7, chart.SOFT)
    chart.save(made, out_path)


def _is_of(event: Event, series: Series) -> bool:
    return event.person == series.person if series.person else event.track == series.track


def _note(bins: Bins, shown: int, unsure_below: float | None, events: set[str]) -> str:
    """What the reader must know of what is not seen."""
    notes = [f"dashed: a top score below {unsure_below:.2g} counts as unsure"] if unsure_below and shown else []
    if events:
        notes.append("bars: events from onset to offset, notch at the apex")
    if MICRO in events:
        notes.append("black: micro-expressions")
    if (more := bins.people - shown) > 0:
        notes.append(f"{more} more {'person' if more == 1 else 'people'}, seen less, not shown")
    if bins.width_s >= 0.1:
        notes.append(f"each point is the mean of {bins.width_s:.2g} s")
    return "; ".join(notes)


def _panel(
    made: Figure,
    top: float,
    high: float,
    series: Series,
    labels: Sequence[str],
    scale: _Scale,
    bars: Sequence[Sequence[Event]],
    markers: Sequence[Marker],
    *,
    lowest: bool,
    named: bool,
) -> None:
    """One person: heading, lines, strip, events."""
    name = series.person or ("faces" if series.track < 0 else f"#{series.track}")
    end = chart.write(made, LEFT, top - 0.05, name, 9, weight="bold")
    longest = scale.last_s - min(0.0, scale.first_s)
    times = [chart.clock(round(t, 1), longest) for t in (float(series.time_s[0]), float(series.time_s[-1]))]
    unit = " s" if longest < 120 else ""
    count = f"{series.rows:,}".replace(",", "\u2009") + (" frame" if series.rows == 1 else " frames")
    happened = sum(map(len, bars))
    more = f", {happened} event{'' if happened == 1 else 's'}" if happened else ""
    heading = f"{times[0]} to {times[1]}{unit}, seen in {count}{more}"
    chart.write(made, end + 0.1, top - 0.05, heading, 7.5, chart.SOFT)
    width = chart.WIDTH_IN - LEFT - RIGHT
    area, strip = chart.axes(made, LEFT, top, width, high), chart.axes(made, LEFT, top + high + 0.04, width, STRIP)
    _lines(area, series, labels, scale)
    _strip(strip, series, labels, scale)
    rows = [area, strip]
    if bars:
        rows.append(chart.axes(made, LEFT, top + high + 0.08 + STRIP, width, EVENT_IN * len(bars) - 0.04))
    at = chart.ticks(scale.first_s, scale.last_s)
    for axes in rows:
        axes.set_xlim(scale.first_s, scale.last_s)
        axes.set_xticks(at, [chart.clock(t, longest) if axes is rows[-1] else "" for t in at])
    if bars:
        draw_events(rows[-1], bars)
    draw_markers(rows, markers, HEADROOM, named=named)
    if lowest:
        rows[-1].set_xlabel(
            f"time{' (s)' if unit else ''}", family=chart.FONT, fontsize=8, color=chart.SOFT, labelpad=3
        )


def _pieces(series: Series, gap_s: float) -> list[slice]:
    """Stretches without a gap."""
    cuts = np.flatnonzero(np.diff(series.time_s) > gap_s) + 1
    bounds = [0, *cuts.tolist(), len(series.time_s)]
    return [slice(a, z) for a, z in pairwise(bounds)]


def _lines(area: Axes, series: Series, labels: Sequence[str], scale: _Scale) -> None:
    """The scores; faint ones below, the strong ones named at their peak."""
    area.set_ylim(0, HEADROOM)
    area.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    area.grid(axis="both", color=chart.RULE, linewidth=0.5)
    area.set_axisbelow(True)
    if scale.unsure_below:
        area.axhline(scale.unsure_below, color=chart.SOFT, linewidth=0.6, dashes=(4, 3))
    peaks = series.scores.max(0)
    dense = len(series.time_s) > 700
    for k in np.argsort(peaks, kind="stable"):
        strong = peaks[k] > STRONG
        look: dict[str, Any] = {
            "color": colour(labels[k]),
            "solid_capstyle": "round",
            "solid_joinstyle": "round",
            "clip_on": False,
        }
        look |= {"linewidth": (0.9 if dense else 1.3) if strong else 0.6, "alpha": 1.0 if strong else 0.4}
        look |= {"zorder": (2.5 if labels[k] == "neutral" else 3) if strong else 2}
        for piece in _pieces(series, scale.gap_s):
            alone: dict[str, Any] = {"marker": "o", "markersize": 1.6} if piece.stop - piece.start == 1 else {}
            area.plot(series.time_s[piece], series.scores[piece, k], **look, **alone)
    _name_peaks(area, series, labels, peaks, scale)


def _name_peaks(area: Axes, series: Series, labels: Sequence[str], peaks: np.ndarray, scale: _Scale) -> None:
    """Write each strong expression at its highest place where the name hits no other name."""
    from matplotlib.patheffects import withStroke

    area.set_xlim(scale.first_s, scale.last_s)
    taken: list[Bbox] = []
    window = max(1, len(series.time_s) // 40)
    for k in [int(k) for k in np.argsort(-peaks, kind="stable") if peaks[k] > NAMED]:
        smooth = np.convolve(series.scores[:, k], np.ones(window) / window, "same")
        for _ in range(6):
            at = int(smooth.argmax())
            near = slice(max(0, at - window // 2), at + window // 2 + 1)
            height = float(series.scores[near, k].max())
            text = area.text(
                float(series.time_s[at]), height + 0.02, labels[k], family=chart.FONT, fontsize=7,
                color=chart.deep(labels[k]), ha=_side(float(series.time_s[at]), scale), va="bottom", zorder=5,
                path_effects=[withStroke(linewidth=1.8, foreground="white")],
            )  # fmt: skip
            place = text.get_window_extent().padded(3)
            if not any(place.overlaps(other) for other in taken):
                taken.append(place)
                break
            text.remove()
            away = np.abs(series.time_s - series.time_s[at]) < 0.06 * (scale.last_s - scale.first_s)
            smooth[away] = -1
            if smooth.max() <= STRONG / 2:
                break


def _side(time_s: float, scale: _Scale) -> str:
    """Alignment that keeps a name inside the panel."""
    share = (time_s - scale.first_s) / (scale.last_s - scale.first_s)
    return "left" if share < 0.05 else "right" if share > 0.95 else "center"


def _strip(strip: Axes, series: Series, labels: Sequence[str], scale: _Scale) -> None:
    """The top label at each time; pale and hatched where the model was unsure."""
    strip.set_ylim(0, 1)
    strip.set_yticks([])
    best = series.scores.argmax(1)
    step = max(scale.gap_s / 3, (scale.last_s - scale.first_s) / 400)  # a lone frame must show
    for piece in _pieces(series, scale.gap_s):
        times = series.time_s[piece]
        edges = np.concatenate([[times[0] - step / 2], (times[1:] + times[:-1]) / 2, [times[-1] + step / 2]])
        state = best[piece] * 2 + series.unsure[piece]
        starts = np.flatnonzero(np.diff(state, prepend=-1))
        for a, z in zip(starts, [*starts[1:], len(times)], strict=True):
            label, unsure = labels[state[a] // 2], bool(state[a] % 2)
            bar = strip.axvspan(float(edges[a]), float(edges[z]), facecolor=colour(label), linewidth=0)
            if unsure:
                bar.set(facecolor=chart.pale(label), hatch="//////", edgecolor=chart.HATCH)
                bar.set_hatch_linewidth(0.6)
