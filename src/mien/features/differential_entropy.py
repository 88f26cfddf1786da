"""Differential entropy of EEG bands: half the logarithm of the band's variance. Needs the extra `eeg`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mien.features import FEATURES, Extractor
from mien.features.band_powers import BANDS, LEAST, Windows, band_pass, cut, known_bands


def entropy_of(variance: np.ndarray) -> np.ndarray:
    """h = 0.5 ln(2 pi e sigma^2) of a Gaussian, in nats.

    >>> round(float(entropy_of(np.array(1.0))), 4)
    1.4189
    """
    return np.asarray(0.5 * np.log(2 * math.pi * math.e * np.maximum(variance, LEAST)))


def differential_entropy(
    signals: np.ndarray,
    rate: float,
    seconds: float = 4.0,
    step: float = 4.0,
    bands: Mapping[str, tuple[float, float]] = BANDS,
) -> Windows:
    """Differential entropy of each band: values float32 [T, C, B] in nats, for signals [C, samples].

    The whole recording is filtered first, so that windows have no edges of their own; a window's variance is the mean
    square of what passes.

    Paper: Shi, Jiao, Lu, "Differential entropy feature for EEG-based vigilance estimation", EMBC 2013; Duan, Zhu, Lu,
        "Differential entropy feature for EEG-based emotion classification", NER 2013.
    Differs: SEED-IV as released takes a short-time Fourier transform and smooths the result by a linear dynamic system.

    Args:
        rate: samples/s.
        seconds, step: of the windows.

    Raises:
        DataError: signals or bands that are malformed.
        MissingExtra: MNE is not installed.
    """
    found = []
    for low, high in known_bands(bands, rate).values():
        windows = cut(band_pass(signals, rate, low, high), rate, seconds, step)
        found.append(entropy_of(np.square(windows.values).mean(2)))
    return Windows(np.stack(found, 2).astype(np.float32), windows.times, windows.seconds)


@FEATURES.register(
    "differential-entropy",
    about="differential entropy of each EEG band in windows, nats",
    paper="Duan, Zhu, Lu, NER 2013",
    reads="signals [C, samples]",
    gives="T, D",
    extra="eeg",
    version=1,
)
def extractor(rate: float = 128.0, seconds: float = 4.0, step: float = 4.0) -> Extractor:
    """`differential_entropy` as [T, 5 C]: the five bands of the first channel, of the second, ...

    Args:
        rate: samples/s of the recordings: 128 for DEAP, 256 for MAHNOB-HCI.
        seconds, step: of the windows.

    Raises:
        DataError: when a recording is malformed or sampled too slowly.
        MissingExtra: when MNE is not installed.
    """

    def extract(item: Any) -> np.ndarray:
        values = differential_entropy(np.asarray(item), rate, seconds, step).values
        return values.reshape(len(values), -1)

    return extract
