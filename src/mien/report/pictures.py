"""Chart of the scores of faces in pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.labels import colour
from mien.report import chart
from mien.report.paint import ink, rgb
from mien.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 40
LEFT, RIGHT, TOP = 2.3, 1.75, 0.72  # inches around the bars
LINE = 0.24


def pictures_chart(rows: Iterable[Row], labels: Sequence[str], out_path: str | Path, *, title: str = "") -> None:
    """Draw one stacked bar for each face of each picture: how the scores share out.

    Args:
        rows: rows of pictures, taken one at a time; the first 40 faces are shown, the others counted.
        labels: names of the K scores.
        out_path: a PNG, PDF or SVG.
        title: stands above the chart.
    """
    shown: list[Row] = []
    total = 0
    for row in rows:
        total += 1
        if len(shown) < MOST:
            shown.append(row)
    made = chart.figure(TOP + 0.3 + LINE * max(3, len(shown)) + (0.5 if total > len(shown) else 0.25))
    chart.write(made, 0.35, 0.3, title, 11, weight="bold")
    chart.legend(made, 0.56, 0.35, labels, any(row.get("unsure") for row in shown))
    if shown:
        high = LINE * len(shown)
        area = chart.axes(made, LEFT, TOP + 0.1, chart.WIDTH_IN - LEFT - RIGHT, high)
        _bars(area, shown, labels)
    else:
        chart.write(made, chart.WIDTH_IN / 2, TOP + 0.5, "no face was found", 10, chart.SOFT, ha="center")
    if total > len(shown):
        chart.write(made, 0.35, made.get_figheight() - 0.16, f"the first {MOST} of {total} faces", 7, chart.SOFT)
    chart.save(made, out_path)


def _bars(area: Axes, rows: Sequence[Row], labels: Sequence[str]) -> None:
    area.set_xlim(0, 1)
    area.set_ylim(len(rows) - 0.5, -0.5)
    area.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    area.set_yticks(range(len(rows)), _names(rows))
    area.tick_params(axis="y", labelcolor=chart.INK, pad=6)
    for y, row in enumerate(rows):
        left, unsure = 0.0, bool(row.get("unsure"))
        for label in labels:
            share = float(row.get(f"p_{label}") or 0.0)
            shade = chart.pale(label) if unsure else colour(label)
            area.barh(y, share, 0.72, left, facecolor=shade, edgecolor="white", linewidth=0.5)
            if share >= 0.1:
                front = chart.INK if unsure else tuple(c / 255 for c in ink(rgb(colour(label))))
                area.text(
                    left + share / 2, y, f"{100 * share:.0f}", family=chart.FONT, fontsize=7, color=front,
                    ha="center", va="center_baseline",
                )  # fmt: skip
            left += share
        if unsure:
            (over,) = area.barh(y, left, 0.72, facecolor="none", edgecolor=chart.HATCH, hatch="//////", linewidth=0)
            over.set(alpha=0.45)
            over.set_hatch_linewidth(0.6)
        verdict = f"unsure: {row['label']}" if unsure else str(row["label"])
        area.text(
            1.02, y, verdict, family=chart.FONT, fontsize=7.5, va="center_baseline",
            color=chart.SOFT if unsure else chart.deep(str(row["label"])), weight="normal" if unsure else "bold",
        )  # fmt: skip


def _names(rows: Sequence[Row]) -> list[str]:
    """File names, short enough for the margin, with the face's number where a picture shows several."""
    several = {row["source"] for row in rows if row.get("face")}
    names, before = [], None
    for row in rows:
        name = _short(Path(str(row["source"])).name, 26 if row["source"] in several else 30)
        number = f" {int(row.get('face') or 0) + 1}" if row["source"] in several else ""
        names.append((name if row["source"] != before else "") + number)
        before = row["source"]
    return names


def _short(name: str, most: int) -> str:
    """A name with its middle left out where it is too long: start and end tell files apart."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[len(name) - most // 2 :]}"
