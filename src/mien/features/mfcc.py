"""Mel-frequency cepstral coefficients with their first and second differences over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.features import FEATURES, Extractor
from mien.features.log_mel import log_mel
from mien.features.voice import librosa

BANDS = 40
SPAN = 9
"""Frames that a difference is fitted over."""


@FEATURES.register(
    "mfcc",
    about="cepstral coefficients and their first and second differences, every 10 ms",
    paper="Davis, Mermelstein, IEEE Trans. ASSP 1980",
    reads="audio",
    gives="T, D",
    extra="audio",
    version=1,
)
def mfcc(coefficients: int = 20, level: bool = True) -> Extractor:
    """The first coefficients, their differences, and the differences of these: float32 [T, 3 coefficients].

    The orthonormal discrete cosine transform of 40 log-mel bands; differences are slopes over nine frames. Frame t is
    centred on t x 10 ms.

    Paper: Davis, Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
        continuously spoken sentences", IEEE Trans. ASSP 28(4), 1980; differences of Furui, same journal 34(1), 1986.

    Args:
        coefficients: of the cosine transform, 2 to 40, the zeroth among them.
        level: bring every sound to one loudness before.

    Raises:
        MissingExtra: librosa is not installed.
        DataError: a number of coefficients that cannot be, or an item that is no sound.
    """
    if not 2 <= coefficients <= BANDS:
        raise DataError(f"mfcc: {coefficients} coefficients of {BANDS} bands; give 2 to {BANDS}")
    bands, delta = log_mel(BANDS, level=level), librosa().feature.delta

    def extract(item: Any) -> np.ndarray:
        energy = bands(item).T
        if not energy.shape[1]:
            return np.zeros((0, 3 * coefficients), np.float32)
        still = librosa().feature.mfcc(S=energy, n_mfcc=coefficients)
        # a sound of fewer frames than the slopes need repeats its last
        room = np.pad(still, ((0, 0), (0, max(0, SPAN - still.shape[1]))), mode="edge")
        parts = [still, *(delta(room, width=SPAN, order=order)[:, : still.shape[1]] for order in (1, 2))]
        return np.concatenate(parts).T.astype(np.float32)

    return extract
