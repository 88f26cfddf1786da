"""Events as bars under the curves of a timeline, and the markers of stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.events import Event, Marker
from mien.events.event import lanes as lanes
from mien.events.micro import MICRO
from mien.labels import colour
from mien.report import chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EVENT_IN = 0.17  # height of one row of bars, inches
MOST_NAMED = 24  # of more markers only the lines are drawn: names would hide each other
LEAST_SHARE = 0.003  # of the axis: a bar narrower than this could not be seen


def draw_events(area: Axes, rows: Sequence[Sequence[Event]]) -> None:
    """Bars from onset to offset in the colour of the expression, a notch at the apex, the name where there is room."""
    area.set_ylim(len(rows), 0)
    area.set_yticks([])
    first, last = area.get_xlim()
    least = LEAST_SHARE * (last - first)
    for i, row in enumerate(rows):
        for event in row:
            width = max(event.duration_s, least)
            left = min(event.onset_s, last - width)
            shade = chart.INK if event.label == MICRO else colour(event.label)
            area.broken_barh([(left, width)], (i + 0.1, 0.8), facecolor=shade, linewidth=0, zorder=3)
            if width > 3 * least:
                area.plot([event.apex_s] * 2, [i + 0.1, i + 0.9], color="white", linewidth=1.4, zorder=4)
            _name(area, event, i)


def _name(area: Axes, event: Event, row: int) -> None:
    """The expression's name inside the bar, in the wider part beside the apex, if it fits there."""
    before, after = event.apex_s - event.onset_s, event.offset_s - event.apex_s
    middle = event.onset_s + before / 2 if before > after else event.apex_s + after / 2
    text = area.text(
        middle, row + 0.53, event.label, family=chart.FONT, fontsize=6.5, color="white", ha="center", va="center",
        zorder=5,
    )  # fmt: skip
    place = text.get_window_extent()
    room = area.transData.transform([(0, 0), (max(before, after), 0)])
    if place.width + 8 > room[1][0] - room[0][0]:
        text.remove()


def draw_markers(areas: Sequence[Axes], markers: Sequence[Marker], top: float, *, named: bool) -> None:
    """A line through all `areas` at each marker's time; if `named`, its name along it in the first, below `top`."""
    from matplotlib.patheffects import withStroke

    first, last = areas[0].get_xlim()
    shown = [marker for marker in markers if first <= marker.time_s <= last]
    for marker in shown:
        for area in areas:
            area.axvline(marker.time_s, color=chart.INK, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=4)
        if not named or len(shown) > MOST_NAMED:
            continue
        near_end = marker.time_s > first + 0.98 * (last - first)
        areas[0].annotate(
            marker.label, (marker.time_s, top), xytext=(-2 if near_end else 2, -1), textcoords="offset points",
            rotation=90, family=chart.FONT, fontsize=6.5, color=chart.INK, ha="right" if near_end else "left",
            va="top", zorder=6, path_effects=[withStroke(linewidth=1.8, foreground="white")],
        )  # fmt: skip
