"""Figures of an evaluation: confusion matrix, reliability diagram, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.metrics import reliability
from mien.metrics.evaluation import Evaluation


def new_axes(width: float, height: float) -> tuple[Any, Any]:
    """A figure of so many inches at 160 dots each, and its axes; needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def confusion_png(result: Evaluation, path: Path) -> None:
    """Row-normalised confusion matrix with counts."""
    matrix = result.matrix
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, axes = new_axes(6.4, 5.6)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    places = range(len(result.labels))
    axes.set_xticks(places, result.labels, rotation=40, ha="right")
    axes.set_yticks(places, result.labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(result.name, fontsize=10)
    for i in places:
        for j in places:
            if matrix[i, j]:
                tone = "white" if share[i, j] > 0.55 else "#333333"
                axes.text(j, i, f"{share[i, j]:.2f}\n{matrix[i, j]}", ha="center", va="center", fontsize=7, color=tone)
    axes.spines[:].set_visible(False)
    figure.savefig(path)


def reliability_png(result: Evaluation, path: Path) -> None:
    """Accuracy over the top score, with the share of faces in each bin."""
    table = reliability(result.scores, result.truth)
    used = table[table[:, 0] > 0]
    figure, axes = new_axes(5.2, 4.8)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--", label="perfect")
    axes.bar(
        (np.arange(len(table)) + 0.5) / len(table),
        table[:, 0] / table[:, 0].sum(),
        width=0.9 / len(table),
        color="#d7dee8",
        label="share of faces",
    )
    axes.plot(used[:, 1], used[:, 2], marker="o", color="#3d7ea6", label="accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="top score", ylabel="accuracy")
    axes.set_title(f"{result.name}: calibration error {result.figures()['ece']:.3f}", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


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
