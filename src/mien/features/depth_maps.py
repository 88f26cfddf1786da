"""Depth as the networks over maps read it: height, normals and curvature, in channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.errors import DataError
from mien.faces.surface import curvatures, fit_patches, normals
from mien.features import FEATURES, Extractor

CHANNELS = ("depth", "x", "y", "z", "mean", "gauss", "shape")
REACH = 60.0  # heights beyond are cut, mm
BEND = 15.0  # radius whose curvature counts as 1, mm; sharper bends are cut


def maps_of(depth: np.ndarray, window: float = 160.0, channels: Sequence[str] = CHANNELS, fit: int = 5) -> np.ndarray:
    """Channels of a depth map, float32 [C, S, S] in [-1, 1]; 0 where nothing was measured.

    `depth` is the fitted height over 60 mm, `x`, `y`, `z` the unit normal, `mean` and `gauss` curvature in units of a
    ball of 15 mm, `shape` the shape index. Holes narrower than half of the fit are closed by it.

    Args:
        depth: z in mm [S, S], NaN where nothing was measured.
        window: side of the view, mm.
        channels: of `CHANNELS`.
        fit: side of the window that each pixel's surface is fitted in, pixels, odd.

    Raises:
        DataError: no square picture, or an unknown channel.
    """
    if depth.ndim != 2 or depth.shape[0] != depth.shape[1]:
        raise DataError(f"depth-maps reads depth [S, S], not {list(depth.shape)}")
    unknown = [name for name in channels if name not in CHANNELS]
    if unknown or not channels:
        raise DataError(f"depth-maps: channels {unknown or 'none'}; choose of {', '.join(CHANNELS)}")
    patch = fit_patches(depth, window / len(depth), fit)
    found = {"depth": patch.z / REACH}
    found |= dict(zip("xyz", normals(patch), strict=True))
    mean, gauss, shape = curvatures(patch)
    found |= {"mean": mean * BEND, "gauss": gauss * BEND**2, "shape": shape}
    stacked = np.stack([found[name] for name in channels])
    return np.nan_to_num(stacked).clip(-1, 1).astype(np.float32)


@FEATURES.register(
    "depth-maps",
    about="height, normals, curvature",
    paper="Haralick et al. 1983; Koenderink, van Doorn 1992",
    reads="depth in mm [S, S] or [T, S, S]",
    gives="C, S, S",
    version=1,
)
def depth_maps(channels: Sequence[str] = CHANNELS, window: float = 160.0, fit: int = 5) -> Extractor:
    """Maps of an aligned depth map, as `maps_of`; of a sequence, those of all moments one after another [T * C, S, S].

    A map without a single measured pixel gives an array of no rows.
    """

    def extract(item: Any) -> np.ndarray:
        depth = np.asarray(item)
        if depth.ndim not in (2, 3) or depth.dtype.kind != "f":
            raise DataError(f"depth-maps reads depth in mm [S, S] or [T, S, S], not {depth.dtype} {list(depth.shape)}")
        if not np.isfinite(depth).any():
            return np.zeros((0, *depth.shape[-2:]), np.float32)
        moments = depth[None] if depth.ndim == 2 else depth
        return np.concatenate([maps_of(moment, window, channels, fit) for moment in moments])

    return extract
