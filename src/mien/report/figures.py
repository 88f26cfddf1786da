"""Plain figures: axes without a display, and accuracy over the crop factor. Those of a paper are in `research`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def new_axes(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many inches at 160 dots each, and its axes; needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def curves_png(curves: Mapping[str, Sequence[tuple[float, float, float]]], path: Path) -> None:
    """Accuracy over the crop factor."""
    figure, axes = new_axes(6.4, 4.2)
    for name, rows in curves.items():
        x, accuracy, _ = zip(*rows, strict=True)
        axes.plot(x, accuracy, marker="o", markersize=3, label=name)
    axes.axvline(1.0, color="#cccccc", linewidth=1, zorder=0)
    axes.set(xlabel="crop side relative to the stated geometry", ylabel="accuracy (FER+ validation)")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
