"""Contact sheets: a few samples of every label, to see at a glance what a data set holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.datasets import Index
from mien.errors import DataError
from mien.report.figures import new_axes

SIDE = 72


def as_thumbnail(item: Any, side: int = SIDE) -> np.ndarray:
    """Any sample as an RGB thumbnail [side, side, 3]: a picture, the middle frame of several, a signal as a curve."""
    array = np.asarray(item)
    if array.dtype == np.uint8 and array.ndim >= 2:
        if array.ndim == 4 or (array.ndim == 3 and array.shape[-1] not in (3, 4)):
            array = array[len(array) // 2]
        if array.ndim == 2:
            array = np.repeat(array[:, :, None], 3, 2)
        return cv2.resize(np.ascontiguousarray(array[:, :, :3]), (side, side), interpolation=cv2.INTER_AREA)
    if array.ndim == 2 and min(array.shape) > 1:
        low, high = np.nanmin(array), np.nanmax(array)
        grey = ((array - low) / max(float(high - low), 1e-9) * 255).astype(np.uint8)
        return np.repeat(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)[:, :, None], 3, 2)
    return _curve(array.astype(np.float64).ravel(), side)


def _curve(values: np.ndarray, side: int) -> np.ndarray:
    sheet = np.full((side, side, 3), 250, np.uint8)
    parts = np.array_split(values, side) if len(values) >= side else [values[i : i + 1] for i in range(len(values))]
    top = max(float(np.abs(values).max()), 1e-9) if len(values) else 1.0
    for x, part in enumerate(parts):
        low, high = (round((1 - v / top) / 2 * (side - 1)) for v in (part.max(), part.min()))
        sheet[low : high + 1, x * side // len(parts)] = (61, 126, 166)
    return sheet


def contact_sheet(index: Index, modality: str, path: Path, *, each: int = 12, seed: int = 0) -> None:
    """Write a PNG with a row of samples for every label, drawn by chance; unreadable ones are left grey."""
    random = np.random.default_rng(seed)
    names = [*index.labels] or ["samples"]
    rows = []
    for k in range(len(names)):
        members = np.flatnonzero(index.majority == k) if index.labels else np.arange(len(index))
        chosen = random.permutation(members)[:each]
        cells = [np.full((SIDE, SIDE, 3), 225, np.uint8) for _ in range(each)]
        for place, row in enumerate(chosen):
            try:
                item = index.media[modality][int(row)]
                cells[place] = as_thumbnail(item)
            except DataError:
                continue
        rows.append(np.hstack([np.pad(cell, ((1, 1), (1, 1), (0, 0)), constant_values=255) for cell in cells]))
    sheet = np.vstack(rows)
    figure, axes = new_axes(1.6 + sheet.shape[1] / 110, 0.4 + sheet.shape[0] / 110)
    axes.imshow(sheet)
    step = SIDE + 2
    counts = [int((index.majority == k).sum()) if index.labels else len(index) for k in range(len(names))]
    labels = [f"{name}\n{count:,}" for name, count in zip(names, counts, strict=True)]
    axes.set_yticks([step * (k + 0.5) for k in range(len(names))], labels, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
