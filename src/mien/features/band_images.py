"""EEG as pictures: each band's values drawn at the electrodes' places on a flattened head. Needs the extra `eeg`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from mien.errors import DataError, require
from mien.features import FEATURES, Extractor
from mien.features.differential_entropy import differential_entropy


def _named(names: str) -> tuple[str, ...]:
    return tuple(names.split())


BIOSEMI32 = _named(
    "Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2"
)
"""The 32 electrodes of DEAP and MAHNOB-HCI, in their order."""
SEED62 = _named(
    "Fp1 Fpz Fp2 AF3 AF4 F7 F5 F3 F1 Fz F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 T7 C5 C3 C1 Cz C2 C4 C6 "
    "T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO5 PO3 POz PO4 PO6 PO8 CB1 O1 Oz O2 CB2"
)
"""The 62 electrodes of SEED and SEED-IV, in their order."""
NEAREST = {"CB1": "PO9", "CB2": "PO10"}
"""Electrodes that the 10-05 system lacks -> the one whose place they take: CB1 and CB2 sit below PO7 and PO8."""
CAPS = {"biosemi32": BIOSEMI32, "seed62": SEED62}


@lru_cache(maxsize=4)
def _montage() -> dict[str, np.ndarray]:
    channels = require("mne.channels", "eeg")
    # releases of MNE differ in what they call the same places
    name = next(name for name in ("colin27_1005", "standard_1005") if name in channels.get_builtin_montages())
    places: dict[str, np.ndarray] = channels.make_standard_montage(name).get_positions()["ch_pos"]
    return {name.lower(): np.asarray(place) for name, place in places.items()}


def flat_places(electrodes: Sequence[str]) -> np.ndarray:
    """Places float64 [C, 2] of electrodes by the azimuthal equidistant projection about the vertex: x right, y front.

    The distance from the centre is the angle from the vertex in radians: the ears lie near 1.6.

    Paper: Snyder, "Map projections: a working manual", 1987; for EEG Bashivan et al., ICLR 2016, section 3.

    Raises:
        DataError: an electrode that the 10-05 system does not know.
        MissingExtra: MNE is not installed.
    """
    known = _montage()
    names = [NEAREST.get(name.upper(), name).lower() for name in electrodes]
    unknown = [electrode for electrode, name in zip(electrodes, names, strict=True) if name not in known]
    if unknown:
        raise DataError(f"electrode {', '.join(unknown)} is not of the 10-05 system; rename or leave it out")
    every = np.stack(list(known.values()))
    # the head's middle: the sphere |p|^2 = 2 c p + d that fits all places best
    middle = np.linalg.lstsq(np.c_[2 * every, np.ones(len(every))], (every**2).sum(1), rcond=None)[0][:3]
    x, y, z = (np.stack([known[name] for name in names]) - middle).T
    angle, turn = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    return np.stack([angle * np.cos(turn), angle * np.sin(turn)], 1)


@lru_cache(maxsize=8)
def drawing(electrodes: tuple[str, ...], side: int) -> np.ndarray:
    """What each electrode adds to each pixel: float32 [side^2, C].

    Clough and Tocher's piecewise cubic interpolation is linear in the values, so that drawing is one product with this
    matrix; pixels outside the hull of the electrodes are 0. Row 0 of a picture is the front, column 0 the left.

    Raises:
        DataError: fewer than three electrodes, an unknown one, or a side below 2.
        MissingExtra: MNE or SciPy is not installed.
    """
    interpolate = require("scipy.interpolate", "eeg")
    if len(electrodes) < 3 or side < 2:
        raise DataError(f"{len(electrodes)} electrodes on {side} x {side} pixels; at least 3 and 2 x 2 are needed")
    places = flat_places(electrodes)
    reach = np.abs(places).max()
    line = np.linspace(-reach, reach, side)
    column, row = np.meshgrid(line, line[::-1])
    cubic = interpolate.CloughTocher2DInterpolator(places, np.eye(len(places)), fill_value=0.0, tol=1e-8)
    return np.asarray(cubic(column, row).reshape(side * side, len(places)), np.float32)


def band_images(values: np.ndarray, electrodes: Sequence[str], side: int = 32) -> np.ndarray:
    """Pictures float32 [T, B, side, side] of band values [T, C, B], such as powers or entropies; same times.

    Paper: Bashivan, Rish, Yeasin, Codella, "Learning representations from EEG with deep recurrent-convolutional neural
        networks", ICLR 2016, section 3.1.
    Differs: all bands that are given, where they draw three (theta, alpha, beta).

    Raises:
        DataError: values of another shape, or electrodes or a side as `drawing` refuses.
        MissingExtra: MNE or SciPy is not installed.
    """
    if values.ndim != 3 or values.shape[1] != len(electrodes):
        raise DataError(f"values of shape {values.shape}, expected [windows, {len(electrodes)} electrodes, bands]")
    pixels = np.einsum("pc,tcb->tbp", drawing(tuple(electrodes), side), values.astype(np.float32))
    return np.ascontiguousarray(pixels.reshape(len(values), values.shape[2], side, side))


ORDERS = ("channel", "band")


@FEATURES.register(
    "band-images",
    about="EEG bands drawn on the flattened head, a picture a band and window",
    paper="Bashivan et al., ICLR 2016",
    reads="band features [T, D] or signals [C, samples]",
    gives="T, D",
    extra="eeg",
    version=1,
)
def extractor(
    cap: str = "seed62", order: str = "channel", side: int = 16, bands: Sequence[int] = (1, 2, 3), rate: float = 0.0
) -> Extractor:
    """Pictures of some bands in windows, flattened to [T, bands side^2], row by row.

    Args:
        cap: `seed62` (SEED-IV) or `biosemi32` (DEAP, MAHNOB-HCI).
        order: of band features: `channel`, the bands of the first channel, of the second, ...; or `band`, the channels
            of the first band, of the second, ...
        side: of the pictures.
        bands: which of the item's bands; theta, alpha and beta of five by default.
        rate: 0 for band features; else the item is signals of so many samples/s, whose differential entropy is drawn.

    Raises:
        DataError: another cap or order, or when an item's size does not fit.
        MissingExtra: when MNE or SciPy is not installed.
    """
    if cap not in CAPS or order not in ORDERS:
        raise DataError(f"cap {cap!r}, order {order!r}; choose {' or '.join(CAPS)}, and {' or '.join(ORDERS)}")
    electrodes = CAPS[cap]

    def extract(item: Any) -> np.ndarray:
        array = np.asarray(item, np.float32)
        if rate:
            values = differential_entropy(array, rate).values
        elif array.ndim != 2 or array.shape[1] % len(electrodes):
            raise DataError(f"band features of shape {array.shape} for the {len(electrodes)} electrodes of {cap}")
        elif order == "channel":
            values = array.reshape(len(array), len(electrodes), -1)
        else:
            values = array.reshape(len(array), -1, len(electrodes)).swapaxes(1, 2)
        if not bands or min(bands) < 0 or max(bands) >= values.shape[2]:
            raise DataError(f"bands {tuple(bands)} of {values.shape[2]}; choose from 0 to {values.shape[2] - 1}")
        return band_images(values[:, :, list(bands)], electrodes, side).reshape(len(values), -1)

    return extract
