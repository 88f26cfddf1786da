"""The figure of an ensemble: what each member reaches alone, and all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mien.errors import DataError
from mien.report import chart

ALONE, TOGETHER = "#9fc2d6", "#1f6f8b"


def members_figure(
    alone: Mapping[str, float],
    together: float,
    faces: int,
    path: str | Path,
    *,
    weights: Sequence[float] = (),
    rule: str = "mean",
    title: str = "Ensemble",
    what: str = "faces",
) -> None:
    """A bar of validation accuracy for each member, and a darker one for the ensemble below them.

    Args:
        alone: name of a member -> its accuracy, in [0, 1].
        together: accuracy of the ensemble.
        faces: how many validation faces the accuracies rest on.
        path: the picture.
        weights: of the members, where the rule has learnt some.
        rule: by which they are joined.
        what: the rows are called.

    Raises:
        DataError: there are no members, or not one weight for each.
    """
    if not alone or (weights and len(weights) != len(alone)):
        raise DataError(f"an ensemble's figure needs members and as many weights, got {len(alone)} and {len(weights)}")
    names = [*alone, f"together, by {rule}"]
    values = [*alone.values(), together]
    notes = [f", weight {weight:.2f}" for weight in weights] or [""] * len(alone)
    left, tall = 0.4 + 0.068 * max(map(len, names)), 0.3 * len(names)
    made = chart.figure(1.1 + tall)
    chart.write(made, 0.18, 0.3, title, 11, weight="bold")
    chart.write(made, 0.18, 0.52, f"accuracy on {faces:,} validation {what}", 8, chart.SOFT)
    area = chart.axes(made, left, 0.72, chart.WIDTH_IN - left - 1.6, tall)
    area.barh(range(len(values)), values, 0.72, color=[ALONE] * len(alone) + [TOGETHER], linewidth=0)
    for row, (value, note) in enumerate(zip(values, [*notes, ""], strict=True)):
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        text = f"{value:.1%}{note}"
        area.text(value + 0.008, row, text, va="center", size=8, color=chart.INK, family=chart.FONT, bbox=behind)
    area.set(xlim=(0, 1), ylim=(len(values) - 0.4, -0.6))
    area.set_yticks(range(len(names)), names)
    area.tick_params(axis="y", labelcolor=chart.INK, labelsize=8)
    area.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    area.grid(axis="x", color=chart.RULE, linewidth=0.8)
    area.set_axisbelow(True)
    chart.save(made, path)
