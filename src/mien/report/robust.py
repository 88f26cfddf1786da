"""Curves of accuracy over the strength of degradations, one panel each; and the rows as CSV and JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from mien.errors import DataError
from mien.report import chart
from mien.report.research import RUNS
from mien.report.video import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS, WIDE, HIGH = 4, 1.62, 1.35  # panels in a row, inches


class Measured(Protocol):
    """What a row must tell; `mien.bench.robust.Row` does."""

    @property
    def weights(self) -> str: ...
    @property
    def harm(self) -> str: ...
    @property
    def strength(self) -> float: ...
    @property
    def unit(self) -> str: ...
    @property
    def way(self) -> str: ...
    @property
    def faces(self) -> int: ...
    @property
    def accuracy(self) -> float: ...


class Panel(NamedTuple):
    """One degradation.

    Attributes:
        unit: of its strengths.
        lines: name of a run -> (strength, accuracy) by growing strength.
    """

    unit: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def panels(rows: Iterable[Measured], clean: str = "clean", plain: str = "plain") -> dict[str, Panel]:
    """The curves of each degradation; a run is the weights, and how faces were prepared unless plainly."""
    made: dict[str, Panel] = {}
    for row in rows:
        if row.harm == clean:
            continue
        name = row.weights if row.way == plain else f"{row.weights}, {row.way}"
        lines: Any = made.setdefault(row.harm, Panel(row.unit, {})).lines
        lines.setdefault(name, []).append((row.strength, row.accuracy))
    return made


def robust_figure(rows: Sequence[Measured], path: str | Path, *, title: str = "Degraded faces") -> None:
    """Accuracy over strength, a panel a degradation, a line a run; dotted: each run's accuracy on clean faces.

    Raises:
        DataError: there is no degradation among the rows.
    """
    found = panels(rows)
    if not found:
        raise DataError("curves need at least one degradation beside clean faces")
    runs = list(dict.fromkeys(name for panel in found.values() for name in panel.lines))
    clean = {
        (row.weights if row.way == "plain" else f"{row.weights}, {row.way}"): row.accuracy
        for row in rows
        if row.harm == "clean"
    }
    deep = math.ceil(len(found) / ACROSS)
    keys = math.ceil(len(runs) / 3)
    top = 0.72 + 0.19 * keys
    made = chart.figure(top + deep * (HIGH + 0.72) + 0.1)
    chart.write(made, 0.18, 0.3, title, 11, weight="bold")
    counts = sorted({row.faces for row in rows})
    note = f"accuracy over strength; dotted: the same run on clean faces; n = {' and '.join(f'{n:,}' for n in counts)}"
    chart.write(made, 0.18, 0.52, note, 8, chart.SOFT)
    _keys(made, runs)
    for place, (harm, panel) in enumerate(found.items()):
        left = 0.5 + place % ACROSS * (WIDE + 0.5)
        area = chart.axes(made, left, top + 0.22 + place // ACROSS * (HIGH + 0.72), WIDE, HIGH)
        _panel(area, harm, panel, runs, clean)
    chart.save(made, path)


def _look(place: int) -> dict[str, Any]:
    return {"color": RUNS[place % len(RUNS)], "linestyle": "-" if place < len(RUNS) else "--"}


def _keys(made: Figure, runs: Sequence[str]) -> None:
    """Lines that name the runs' colours, three in a row."""
    from matplotlib.lines import Line2D

    width, height = made.get_size_inches()
    for place, name in enumerate(runs):
        x, y = 0.18 + place % 3 * 2.9, 0.78 + 0.19 * (place // 3)
        level = 1 - (y - 0.035) / height
        line = Line2D([x / width, (x + 0.24) / width], [level, level], linewidth=2.2, **_look(place))
        line.set_transform(made.transFigure)
        made.add_artist(line)
        chart.write(made, x + 0.3, y, name, 8)


def _panel(area: Axes, harm: str, panel: Panel, runs: Sequence[str], clean: Mapping[str, float]) -> None:
    from matplotlib.ticker import PercentFormatter

    area.grid(axis="y", color=chart.RULE, linewidth=0.7)
    area.set_axisbelow(True)
    strengths = sorted({x for line in panel.lines.values() for x, _ in line})
    for place, name in enumerate(runs):
        if name not in panel.lines:
            continue
        line = sorted(panel.lines[name])
        # earlier runs are broader, so that one that later ones cover still shows
        broad = max(1.1, 2.6 - 0.5 * place)
        area.plot(*zip(*line, strict=True), linewidth=broad, marker="o", markersize=1.2 + broad, **_look(place))
        if name in clean:
            area.axhline(clean[name], color=_look(place)["color"], linewidth=0.7, linestyle=":")
    area.set_title(harm, family=chart.FONT, fontsize=8, loc="left", weight="bold", color=chart.INK, pad=3)
    area.set_xticks(strengths, [f"{x:g}" for x in strengths])
    area.set_ylim(0, 1)
    area.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    area.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    area.tick_params(labelsize=6.5)
    area.set_xlabel(panel.unit, family=chart.FONT, fontsize=6.5, color=chart.SOFT, labelpad=2)


def write_rows(rows: Sequence[Any], facts: Mapping[str, Any], folder: Path) -> None:
    """`robust.csv` and `robust.json`: the rows (dataclasses), and in the JSON what was measured with.

    Raises:
        DataError: there are no rows.
    """
    if not rows:
        raise DataError("nothing was measured")
    lines = [{k: _short(v) for k, v in asdict(row).items()} for row in rows]
    with whole_file(folder / "robust.csv") as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(lines[0]))
        table.writeheader()
        table.writerows(lines)
    with whole_file(folder / "robust.json") as part:
        part.write_text(json.dumps({**facts, "rows": lines}, indent=1) + "\n", encoding="utf-8")


def _short(value: Any) -> Any:
    """Floats to four digits, or to three that count where they are smaller; NaN, which JSON lacks, as None."""
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    return round(value, 4) if abs(value) >= 0.001 else float(f"{value:.3g}")
