"""What a network looks at: faces of each class, right and wrong, each beside the map laid over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mien.errors import DataError
from mien.report import chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENLARGED = 192
_FACE, _GAP, _BETWEEN, _NAMES, _LINE = 0.92, 0.03, 0.16, 1.15, 1.22
_PER_LINE = 4
_HEAT = ("#20124d", "#7b2d8b", "#e0533d", "#fdb32f", "#fff3b0")


@dataclass(frozen=True)
class Shown:
    """One face of the sheet.

    Attributes:
        face: uint8 [S, S] or [S, S, 3].
        map: [S, S] in [0, 1].
        predicted: label.
        score: of that label, in [0, 1].
        right: whether it is the true one.
    """

    face: np.ndarray
    map: np.ndarray
    predicted: str
    score: float
    right: bool


def overlay(face: np.ndarray, heat: np.ndarray, side: int = ENLARGED) -> np.ndarray:
    """A face in grey under its map, uint8 RGB [side, side, 3]: what does not matter is dimmed, what does is tinted."""
    from matplotlib.colors import LinearSegmentedColormap

    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) if face.ndim == 3 else face
    grey = cv2.resize(grey, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)[..., None] / 255
    wide = np.clip(cv2.resize(heat.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)
    colours: np.ndarray = LinearSegmentedColormap.from_list("", list(_HEAT))(wide)[..., :3]
    strength = 0.25 + 0.4 * wide[..., None]
    mixed: np.ndarray = np.rint(255 * np.clip(grey * (1 - strength) + colours * strength, 0, 1)).astype(np.uint8)
    return mixed


def explain_figure(
    rows: Mapping[str, Sequence[Shown]],
    path: str | Path,
    *,
    title: str,
    method: str,
    shares: Mapping[str, float] | None = None,
) -> None:
    """A contact sheet, a row or more for each true class; right answers stand before wrong ones.

    Args:
        rows: faces by true label.
        method: how the maps were made; stands below the title.
        shares: recall of each label, in [0, 1], written below its name.

    Raises:
        DataError: there is no face.
    """
    if not any(rows.values()):
        raise DataError("there is no labelled face to show; choose another split")
    largest = max(map(len, rows.values()))
    most = -(-largest // -(-largest // _PER_LINE))
    lines = {label: -(-len(shown) // most) for label, shown in rows.items() if shown}
    pair = 2 * _FACE + _GAP
    width = max(_NAMES + most * (pair + _BETWEEN) + 0.05, 0.36 + 0.068 * len(method), 4.2)
    made = chart.figure(1.06 + sum(lines.values()) * _LINE + 0.06 * len(lines))
    made.set_size_inches(width, made.get_size_inches()[1])
    chart.write(made, 0.18, 0.3, title, 11, weight="bold")
    chart.write(made, 0.18, 0.52, method, 8, chart.SOFT)
    chart.write(made, 0.18, 0.71, "rows: true class; below each face: answer and its score", 8, chart.SOFT)
    _scale(made, width)
    top = 0.94
    for label, count in lines.items():
        chart.write(made, 0.18, top + 0.4, label, 9, _ink(label), weight="bold")
        if shares and label in shares:
            chart.write(made, 0.18, top + 0.57, f"{shares[label]:.0%} right", 7.5, chart.SOFT)
        for place, item in enumerate(rows[label]):
            line, column = divmod(place, most)
            _pair(made, _NAMES + column * (pair + _BETWEEN), top + line * _LINE, item)
        top += count * _LINE + 0.06
    chart.save(made, path)


def _ink(label: str) -> str:
    from matplotlib.colors import to_hex

    return to_hex(chart.deep(label))


def _pair(made: Figure, left: float, top: float, item: Shown) -> None:
    """A face, its overlay, and the answer below them."""
    small = item.face if item.face.ndim == 3 else np.repeat(item.face[..., None], 3, 2)
    plain = cv2.resize(small, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    for number, picture in enumerate((plain, overlay(item.face, item.map))):
        area = chart.axes(made, left + number * (_FACE + _GAP), top, _FACE, _FACE)
        area.imshow(picture)
        area.set_xticks([])
        area.set_yticks([])
    mark, shade = ("✓", chart.INK) if item.right else ("✗", "#b3261e")
    end = chart.write(made, left, top + _FACE + 0.14, f"{mark} ", 8, shade, weight="bold")
    words = f"{item.predicted} {item.score:.2f}"
    chart.write(made, end + 0.02, top + _FACE + 0.14, words, 8, _ink(item.predicted), weight="bold")


def _scale(made: Figure, width: float) -> None:
    """What the colours mean, at the right of the title."""
    bar = overlay(np.full((8, 8), 128, np.uint8), np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1)), 128)
    left = width - 1.5
    area = chart.axes(made, left, 0.2, 0.9, 0.1)
    area.imshow(bar, aspect="auto")
    area.set_xticks([])
    area.set_yticks([])
    chart.write(made, left - 0.05, 0.295, "little", 7.5, chart.SOFT, ha="right")
    chart.write(made, left + 0.95, 0.295, "much", 7.5, chart.SOFT)
