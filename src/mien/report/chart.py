"""What the charts share: a figure without global state, its legend, its axes, saving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.labels import colour
from mien.report.paint import mix, rgb
from mien.report.video import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
WIDTH_IN = 9.0
INK = "#23272e"
SOFT = "#6b7079"
RULE = "#e3e5e9"
HATCH = "#9aa0a8"
FONT = "DejaVu Sans"


def deep(label: str) -> tuple[float, float, float]:
    """A label's colour, darkened to read as text on white; red, green, blue in [0, 1]."""
    r, g, b = mix(rgb(colour(label)), (0, 0, 0), 0.22)
    return r / 255, g / 255, b / 255


def pale(label: str) -> tuple[float, float, float]:
    """A label's colour where the model was unsure of it; red, green, blue in [0, 1]."""
    r, g, b = mix(rgb(colour(label)), (240, 241, 243), 0.7)
    return r / 255, g / 255, b / 255


def figure(height_in: float) -> Figure:
    """An empty white figure, `WIDTH_IN` wide, which no other part of the program sees."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="white")
    FigureCanvasAgg(made)
    return made


def write(made: Figure, x_in: float, y_in: float, text: str, size: float, shade: str = INK, **options: Any) -> float:
    """Text at a distance from the figure's left and top edge, in inches; returns where it ends, in inches."""
    width, height = made.get_size_inches()
    drawn = made.text(x_in / width, 1 - y_in / height, text, family=FONT, fontsize=size, color=shade, **options)
    return float(drawn.get_window_extent().x1) / DPI


def legend(made: Figure, y_in: float, x_in: float, labels: Sequence[str], hatched: bool) -> None:
    """One line that names the colours; `hatched` also explains what unsure looks like."""
    from matplotlib.patches import Rectangle

    width, height = made.get_size_inches()
    keys: list[tuple[str, str]] = [(label, colour(label)) for label in labels]
    for name, shade in keys + ([("unsure", "")] if hatched else []):
        place = (x_in / width, 1 - (y_in + 0.005) / height)
        size = (0.15 / width, 0.09 / height)
        options = {"facecolor": shade} if shade else {"facecolor": "#eceef1", "hatch": "//////", "edgecolor": HATCH}
        patch = Rectangle(place, *size, transform=made.transFigure, linewidth=0, **options)  # type: ignore[arg-type]
        if not shade:
            patch.set_hatch_linewidth(0.6)
        made.add_artist(patch)
        x_in = write(made, x_in + 0.2, y_in, name, 7.5, INK) + 0.2


def axes(made: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes without frame, placed in inches from the figure's left and top edge."""
    whole_w, whole_h = made.get_size_inches()
    area = made.add_axes((left / whole_w, 1 - (top + height) / whole_h, width / whole_w, height / whole_h))
    for side in area.spines.values():
        side.set_visible(False)
    area.tick_params(length=0, labelsize=7.5, labelcolor=SOFT, labelfontfamily=FONT)
    area.set_facecolor("none")
    return area


def clock(time_s: float, longest_s: float) -> str:
    """A time as it stands on an axis: seconds, or m:ss from two minutes on, or h:mm:ss from an hour on.

    >>> clock(7, 20), clock(65, 600), clock(3725, 7200)
    ('7', '1:05', '1:02:05')
    """
    if longest_s < 120:
        return f"{time_s:g}"
    whole = round(time_s)
    if longest_s < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


_STEPS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def ticks(first_s: float, last_s: float, most: int = 11) -> np.ndarray:
    """Round times for an axis, at most about `most` of them, also where times lie by years."""
    span = last_s - first_s
    days = _STEPS_S[-1] * math.ceil(max(1.0, span / _STEPS_S[-1] / most))
    step = next((s for s in _STEPS_S if span / s <= most), days)
    count = np.arange(np.ceil(first_s / step - 1e-9), np.floor(last_s / step + 1e-9) + 1)
    return np.asarray(np.round(count * step, 6) + 0.0)


def save(made: Figure, path: str | Path) -> None:
    """Write the figure; the suffix says how: .pdf and .svg, else PNG."""
    suffix = Path(path).suffix.lower().lstrip(".")
    with whole_file(path) as part, open(part, "wb") as file:
        made.savefig(file, format=suffix if suffix in ("pdf", "svg") else "png", dpi=DPI)
