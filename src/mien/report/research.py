"""Figures of a paper: confusion matrix, reliability, risk and coverage, bars per fold, training curves.

Each takes numbers and a path, whose suffix chooses PNG, PDF or SVG. Axes of shares start at 0, so that bars do not
flatter; runs keep their colour by their order.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mien.errors import DataError
from mien.labels import COLOURS
from mien.metrics import accuracy, aurc, calibration_error, reliability, risk_coverage, uar
from mien.report import chart
from mien.report.video import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUNS = ("#3d7ea6", "#e8a33d", "#2fa39a", "#d1495b", "#6f5fb3", "#5b8e3e", "#8a8f98", "#7a5c3e")
"""Colours of runs and models, in order."""

_BLUE = RUNS[0]
_LEFT, _TOP = 0.62, 0.82


class Curves(NamedTuple):
    """What one training run showed, an entry per epoch; NaN where nothing was measured.

    Attributes:
        loss: mean training loss.
        accuracy: share of the test or validation set that was right, in [0, 1].
    """

    loss: Sequence[float]
    accuracy: Sequence[float]


def _page(width: float, height: float, title: str, note: str) -> Figure:
    """A figure with its title and a softer line below it."""
    made = chart.figure(height)
    made.set_size_inches(width, height)
    chart.write(made, 0.18, 0.3, title, 11, weight="bold")
    chart.write(made, 0.18, 0.52, note, 8, chart.SOFT)
    return made


def _area(made: Figure, box: tuple[float, float, float, float], x: str, y: str) -> Axes:
    """Axes at (left, top, width, height) in inches, with level rules and the names of both axes."""
    area = chart.axes(made, *box)
    area.grid(axis="y", color=chart.RULE, linewidth=0.8)
    area.set_axisbelow(True)
    area.set_xlabel(x, family=chart.FONT, fontsize=8, color=chart.SOFT)
    area.set_ylabel(y, family=chart.FONT, fontsize=8, color=chart.SOFT)
    return area


def _percent(area: Axes, axes: str = "xy", most: int = 6) -> None:
    """Show shares as whole per cents, at about `most` places."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    for name in axes:
        axis = getattr(area, f"{name}axis")
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
        low, high = axis.get_view_interval()
        axis.set_major_formatter(PercentFormatter(1, decimals=0 if high - low > 0.05 else 1))


def _look(place: int) -> dict[str, Any]:
    """Colour of the run at this place; the second eight are dashed."""
    return {"color": RUNS[place % len(RUNS)], "linestyle": "-" if place < len(RUNS) else "--"}


def _rows(names: Sequence[str], width: float) -> list[list[str]]:
    """The names of a legend, broken into lines of a figure so many inches wide."""
    rows: list[list[str]] = [[]]
    used = 0.0
    for name in names:
        own = 0.5 + 0.066 * len(name)
        if rows[-1] and used + own > width - 0.3:
            rows.append([])
            used = 0.0
        rows[-1].append(name)
        used += own
    return rows


def _keys(made: Figure, rows: list[list[str]]) -> None:
    """Lines that name the runs' colours, below the title."""
    from matplotlib.lines import Line2D

    width, height = made.get_size_inches()
    place = 0
    for number, names in enumerate(rows):
        x_in, y_in = 0.18, 0.78 + 0.19 * number
        level = 1 - (y_in - 0.035) / height
        for name in names:
            ends = [x_in / width, (x_in + 0.2) / width]
            line = Line2D(ends, [level, level], linewidth=2.4, solid_capstyle="butt", **_look(place))
            line.set_transform(made.transFigure)
            made.add_artist(line)
            x_in = chart.write(made, x_in + 0.26, y_in, name, 8) + 0.24
            place += 1


def confusion_figure(matrix: np.ndarray, labels: Sequence[str], path: str | Path, *, title: str = "Confusion") -> None:
    """Confusion matrix in per cent of the true class, and beside the picture a CSV of the counts.

    Args:
        matrix: counts [K, K]; rows are the truth.
        path: the picture; the CSV has the same name with .csv.

    Raises:
        DataError: the matrix does not fit the labels, or holds nothing.
    """
    from matplotlib.colors import LinearSegmentedColormap

    k = len(labels)
    if matrix.shape != (k, k) or not matrix.sum():
        raise DataError(f"a confusion matrix of shape {matrix.shape} and sum {matrix.sum()} for {k} labels")
    cell = float(np.clip(5.2 / k, 0.36, 0.66))
    names = 0.35 + 0.078 * max(map(len, labels))
    side = cell * k
    note = f"per cent of the true class; accuracy {accuracy(matrix):.1%}, UAR {uar(matrix):.1%}, n = {matrix.sum():,}"
    made = _page(max(names + side + 0.75, 0.36 + 0.064 * len(note)), _TOP + side + 0.32 + 0.6 * names, title, note)
    area = chart.axes(made, names, _TOP, side, side)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    area.imshow(share, cmap=LinearSegmentedColormap.from_list("", ["#f6f8fa", _BLUE, "#16364a"]), vmin=0, vmax=1)
    area.set_xticks(range(k), list(labels), rotation=40, ha="right", rotation_mode="anchor")
    area.set_yticks(range(k), list(labels))
    for line in np.arange(0.5, k - 1):
        area.axhline(line, color="white", linewidth=1.2)
        area.axvline(line, color="white", linewidth=1.2)
    for label, *ticks in zip(labels, area.get_xticklabels(), area.get_yticklabels(), strict=True):
        for tick in ticks:
            tick.set(color=chart.deep(label) if label in COLOURS else chart.INK, fontsize=8)
    area.set_xlabel("predicted", family=chart.FONT, fontsize=8, color=chart.SOFT)
    area.set_ylabel("true", family=chart.FONT, fontsize=8, color=chart.SOFT)
    _cells(area, matrix, share, cell)
    chart.save(made, path)
    with whole_file(Path(path).with_suffix(".csv")) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["true \\ predicted", *labels])
        table.writerows([label, *map(int, row)] for label, row in zip(labels, matrix, strict=True))


def _cells(area: Axes, matrix: np.ndarray, share: np.ndarray, cell: float) -> None:
    """The share in each cell, the count below it where there is room, and the number of faces right of each row."""
    size = 9 * cell / 0.66 + 1
    for (i, j), count in np.ndenumerate(matrix):
        tone = "white" if share[i, j] > 0.45 else chart.INK
        if count:
            strong = "bold" if i == j else "normal"
            text = f"{100 * share[i, j]:.0f}" if share[i, j] >= 0.005 else "<1"
            lift = 0.12 if cell >= 0.5 else 0
            area.text(
                j, i - lift, text, ha="center", va="center", size=size, color=tone, weight=strong, family=chart.FONT
            )
            if cell >= 0.5:
                area.text(
                    j, i + 0.24, f"{count:,}", ha="center", va="center", size=5.5, color=tone, alpha=0.75,
                    family=chart.FONT,
                )  # fmt: skip
    area.text(len(matrix) - 0.4, -0.62, "n", size=7, color=chart.SOFT, family=chart.FONT)
    for i, total in enumerate(matrix.sum(1)):
        area.text(len(matrix) - 0.4, i, f"{total:,}", va="center", size=7, color=chart.SOFT, family=chart.FONT)


def reliability_figure(
    scores: np.ndarray, truth: np.ndarray, path: str | Path, *, bins: int = 15, title: str = "Reliability"
) -> None:
    """Accuracy over the top score, and below it how many faces each bin holds.

    Args:
        scores: [N, K], rows sum to 1.
        truth: [N].

    Raises:
        DataError: there are no rows.
    """
    if not len(truth):
        raise DataError("a reliability diagram needs at least one row")
    table = reliability(scores, truth, bins)
    middle, width = (np.arange(bins) + 0.5) / bins, 0.92 / bins
    used = table[:, 0] > 0
    error = calibration_error(scores, truth, bins)
    note = f"calibration error {error:.3f}, mean top score {scores.max(1).mean():.3f}, n = {len(truth):,}"
    made = _page(4.9, 6.05, title, note)
    area = _area(made, (_LEFT, _TOP, 4.05, 3.75), "", "accuracy")
    area.bar(middle[used], table[used, 2], width, color="#9fc2d6", linewidth=0, label="accuracy")
    low, high = np.minimum(table[:, 1], table[:, 2]), np.maximum(table[:, 1], table[:, 2])
    area.bar(
        middle[used], (high - low)[used], width, low[used], color="none", edgecolor="#d1495b", hatch="//////",
        linewidth=0, label="gap to the mean top score",
    )  # fmt: skip
    area.plot([0, 1], [0, 1], color=chart.INK, linewidth=1, linestyle=(0, (4, 3)), label="as sure as right")
    area.set(xlim=(0, 1), ylim=(0, 1))
    area.tick_params(labelbottom=False)
    area.legend(frameon=False, loc="upper left", prop={"family": chart.FONT, "size": 7.5}, labelcolor=chart.INK)
    below = _area(made, (_LEFT, _TOP + 3.95, 4.05, 0.8), "top score", "faces")
    below.bar(middle, table[:, 0] / len(truth), width, color="#b9c3cd", linewidth=0)
    below.set(xlim=(0, 1), ylim=(0, None))
    _percent(area, "y")
    _percent(below, "x")
    _percent(below, "y", 3)
    chart.save(made, path)


def risk_coverage_figure(
    answers: Mapping[str, tuple[np.ndarray, np.ndarray]],
    path: str | Path,
    *,
    unsure_below: float | None = None,
    title: str = "Risk and coverage",
) -> None:
    """How the error falls as the least sure answers are held back.

    Args:
        answers: name of a model -> confidence [N] and whether it was right, bool [N].
        unsure_below: marks on each curve where answers below this confidence are held back.

    Raises:
        DataError: there is no model, or one without rows.
    """
    if not answers or any(not len(right) for _, right in answers.values()):
        raise DataError("a risk-coverage curve needs at least one model and one row of each")
    rows = _rows([f"{name}: area {aurc(*pair):.3f}" for name, pair in answers.items()], 5.6)
    top = _TOP + 0.06 + 0.19 * len(rows)
    made = _page(5.6, top + 3.5, title, "error among the answers given, surest first; area under each curve")
    _keys(made, rows)
    area = _area(made, (_LEFT, top, 4.7, 3.0), "answered", "wrong among them")
    for place, (confidence, right) in enumerate(answers.values()):
        curve = risk_coverage(confidence, right)
        area.plot(curve[:, 0], curve[:, 1], linewidth=1.8, **_look(place))
        taken = int((np.asarray(confidence) >= unsure_below).sum()) if unsure_below is not None else 0
        if taken:
            at, risk = curve[taken - 1, :2]
            area.plot(at, risk, marker="o", markersize=6, markeredgecolor="white", **_look(place))
            aside: dict[str, Any] = {"ha": "right", "xytext": (-7, 5)}
            if at < 0.4:
                aside = {"ha": "left", "xytext": (7, -10)}
            area.annotate(
                f"{at:.0%} answered, {risk:.1%} wrong", (at, risk), textcoords="offset points",
                family=chart.FONT, fontsize=7.5, color=chart.INK, **aside,
            )  # fmt: skip
    area.set(xlim=(0, 1), ylim=(0, None))
    _percent(area)
    chart.save(made, path)


def _mean_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the finite values."""
    values = values[np.isfinite(values)]
    mean = float(values.mean()) if len(values) else float("nan")
    return mean, float(values.std(ddof=1)) if len(values) > 1 else 0.0


def folds_figure(
    figures: Mapping[str, Sequence[float]],
    path: str | Path,
    *,
    metric: str = "accuracy",
    folds: Sequence[str] = (),
    title: str = "Figure of each fold",
) -> None:
    """One bar for each fold and run, and each run's mean at the right.

    The mean of folds is not the figure of the pooled answers: for UF1, quote `mien.metrics.uf1`.

    Args:
        figures: name of a run -> one share in [0, 1] a fold, equally many for each; NaN where a fold has none.
        metric: name of the vertical axis.
        folds: their names; numbers from 1 if empty.

    Raises:
        DataError: no figures, or runs with different numbers of folds.
    """
    counts = {len(values) for values in figures.values()}
    if len(counts) != 1 or not (number := counts.pop()) or (folds and len(folds) != number):
        raise DataError(f"bars need equally many folds of each run, got {[len(v) for v in figures.values()]}")
    middles = [_mean_and_spread(np.asarray(values, float)) for values in figures.values()]
    rows = _rows([f"{n}: {m:.1%} ± {100 * s:.1f}" for n, (m, s) in zip(figures, middles, strict=True)], 9.0)
    top = _TOP + 0.06 + 0.19 * len(rows)
    note = f"{metric} of {number} folds, and their mean with the standard deviation between folds"
    made = _page(chart.WIDTH_IN, top + 3.15, title, note)
    _keys(made, rows)
    area = _area(made, (_LEFT, top, 8.2, 2.6), "fold", metric)
    width, wide = 0.82 / len(figures), max(1.0, number / 16)
    centre = number + 0.6 * wide
    for place, (values, (mean, spread)) in enumerate(zip(figures.values(), middles, strict=True)):
        shade, shift = RUNS[place % len(RUNS)], width * (place + 0.5) - 0.41
        area.bar(np.arange(number) + shift, values, width * 0.92, color=shade, linewidth=0)
        area.bar(centre + shift * wide, mean, width * wide * 0.92, color=shade, linewidth=0)
        area.errorbar(centre + shift * wide, mean, spread, color=chart.INK, linewidth=1, capsize=2, capthick=1)
    area.axvline((number - 0.59 + centre - 0.41 * wide) / 2, color=chart.RULE, linewidth=1)
    step = -(-number // 20)
    shown = list(folds) or [str(i + 1) for i in range(number)]
    area.set_xticks([*range(0, number, step), centre], [*shown[::step], "mean"])
    if max(map(len, shown)) > 5:
        area.tick_params(axis="x", labelrotation=40)
    area.set(xlim=(-0.6, centre + 0.5 * wide), ylim=(0, 1))
    _percent(area, "y")
    chart.save(made, path)


def training_figure(
    runs: Mapping[str, Curves],
    path: str | Path,
    *,
    measured: str = "accuracy of the test set",
    title: str = "Training",
) -> None:
    """Training loss and accuracy by epoch, side by side, a line a run; the last epoch's figure is named.

    Args:
        runs: name -> its curves.
        measured: what the accuracy was taken on.

    Raises:
        DataError: there is no run, or one without an epoch.
    """
    from matplotlib.ticker import MaxNLocator

    if not runs or any(not len(run.loss) or not len(run.accuracy) for run in runs.values()):
        raise DataError("training curves need at least one run with at least one epoch")
    rows = _rows([f"{name}: {run.accuracy[-1]:.1%}" for name, run in runs.items()], chart.WIDTH_IN)
    top = _TOP + 0.06 + 0.19 * len(rows)
    made = _page(chart.WIDTH_IN, top + 3.0, title, f"{measured} after the last epoch")
    _keys(made, rows)
    loss = _area(made, (_LEFT, top, 3.75, 2.5), "epoch", "training loss")
    share = _area(made, (_LEFT + 4.5, top, 3.75, 2.5), "epoch", measured)
    for place, run in enumerate(runs.values()):
        for area, values in ((loss, run.loss), (share, run.accuracy)):
            epochs = np.arange(1, len(values) + 1)
            alone: dict[str, Any] = {"marker": "o", "markersize": 3} if len(values) == 1 else {}
            area.plot(epochs, values, linewidth=1.5, **_look(place), **alone)
        share.plot(len(run.accuracy), run.accuracy[-1], marker="o", markersize=4, **_look(place))
    longest = max(max(len(run.loss), len(run.accuracy)) for run in runs.values())
    margin = max(longest / 50, 0.5)
    loss.set_ylim(0, None)
    loss.yaxis.set_major_locator(MaxNLocator(6))
    share.set_ylim(0, 1)
    _percent(share, "y")
    for area in (loss, share):
        area.set_xlim(1 - margin, longest + margin)
        area.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1))
    chart.save(made, path)
