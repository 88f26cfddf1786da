"""Two codings of one face on one axis of time: the coder's bars above mien's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.events.coding import Bout
from mien.events.compare import Pair
from mien.labels import colour
from mien.report import chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LANE, LEFT, RIGHT = 0.22, 1.1, 0.25
TOP, BOTTOM, BETWEEN = 0.95, 0.72, 0.16
LEAST_SHARE = 0.002


def _lanes(bouts: Sequence[Bout]) -> list[list[Bout]]:
    """Rows of bouts that do not overlap."""
    rows: list[list[Bout]] = []
    for bout in sorted(bouts, key=lambda b: (b.onset_s, -b.offset_s)):
        free = next((row for row in rows if row[-1].offset_s < bout.onset_s), None)
        if free is None:
            rows.append([bout])
        else:
            free.append(bout)
    return rows or [[]]


def agreement_chart(
    first: Sequence[Bout],
    second: Sequence[Bout],
    pairs: Sequence[Pair],
    names: tuple[str, str],
    span: tuple[float, float],
    out_path: str | Path,
    *,
    title: str = "",
    figures: str = "",
) -> None:
    """Draw the reference's bouts above the other coding's; a thin band joins those that were matched.

    Args:
        first, second: bouts of the coding and of the reference.
        names: of both, in this order.
        span: of the axis, seconds.
        out_path: a PNG, PDF or SVG.
        title: stands above the chart, `figures` below it.
    """
    above, below = _lanes(second), _lanes(first)
    high = [LANE * len(above), LANE * len(below)]
    made = chart.figure(TOP + sum(high) + BETWEEN + BOTTOM)
    chart.write(made, 0.3, 0.3, title, 11, weight="bold")
    chart.write(made, 0.3, 0.52, figures, 8, chart.SOFT)
    labels = list(dict.fromkeys(b.label for b in [*second, *first]))
    chart.legend(made, 0.76, 0.3, labels[:10], False)
    width = chart.WIDTH_IN - LEFT - RIGHT
    area = chart.axes(made, LEFT, TOP, width, sum(high) + BETWEEN)
    gap = BETWEEN / LANE
    area.set_ylim(len(above) + gap + len(below), 0)
    area.set_xlim(*span)
    area.set_yticks([])
    _time_axis(area, *span)
    matched = {id(bout) for pair in pairs for bout in (pair.first, pair.second)}
    places: dict[int, float] = {}
    for start, rows in ((0.0, above), (len(above) + gap, below)):
        for i, row in enumerate(rows):
            for bout in row:
                places[id(bout)] = start + i
                _bar(area, bout, start + i, id(bout) in matched)
    for pair in pairs:
        _join(area, pair, places)
    for name, middle in ((names[1], high[0] / 2), (names[0], high[0] + BETWEEN + high[1] / 2)):
        chart.write(made, LEFT - 0.1, TOP + middle, _short(name), 8, ha="right", va="center", weight="bold")
    note = "bands join matched events; pale: no match; white line: apex; lozenge: coded as a point"
    chart.write(made, 0.3, made.get_figheight() - 0.14, note, 7, chart.SOFT)
    chart.save(made, out_path)


def _time_axis(area: Axes, first_s: float, last_s: float) -> None:
    longest = last_s - min(0.0, first_s)
    at = chart.ticks(first_s, last_s)
    area.set_xticks(at, [chart.clock(float(t), longest) for t in at])
    area.grid(axis="x", color=chart.RULE, linewidth=0.5)
    area.set_axisbelow(True)
    area.set_xlabel(f"time{' (s)' if longest < 120 else ''}", family=chart.FONT, fontsize=8, color=chart.SOFT)


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else name[: most - 1] + "\u2026"


def _bar(area: Axes, bout: Bout, level: float, matched: bool) -> None:
    """A bar from onset to offset, pale with an edge where nothing was matched; a point is a lozenge."""
    shade: Any = colour(bout.label)
    if bout.is_point:
        area.plot([bout.onset_s], [level + 0.5], marker="D", markersize=5, color=shade, zorder=4)
        return
    first, last = area.get_xlim()
    wide = max(bout.offset_s - bout.onset_s, LEAST_SHARE * (last - first))
    face = shade if matched else chart.pale(bout.label)
    area.broken_barh(
        [(bout.onset_s, wide)], (level + 0.12, 0.76), facecolor=face, edgecolor=shade, linewidth=0.8, zorder=3
    )
    if bout.apex_s is not None and wide > 6 * LEAST_SHARE * (last - first):
        area.plot([bout.apex_s] * 2, [level + 0.12, level + 0.88], color="white", linewidth=1.3, zorder=4)


def _join(area: Axes, pair: Pair, places: dict[int, float]) -> None:
    """A faint band from the reference's bar down to the other's."""
    above, below = pair.second, pair.first
    top, bottom = places[id(above)] + 0.88, places[id(below)] + 0.12
    x = np.array([above.onset_s, above.offset_s, below.offset_s, below.onset_s])
    area.fill(x, [top, top, bottom, bottom], facecolor=colour(above.label), alpha=0.16, linewidth=0, zorder=2)
