"""Rhythms of the EEG: band-pass filtering and the power of each frequency band in windows. Needs the extra `eeg`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from mien.errors import DataError, require
from mien.features import FEATURES, Extractor

BANDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 14.0), "beta": (14.0, 31.0), "gamma": (31.0, 50.0)}
)
"""Band -> lowest and highest frequency in Hz, as Zheng et al., "EmotionMeter", IEEE Trans. Cybernetics 2019."""

LEAST = 1e-12
"""Powers and variances below this count as this: a dead channel has a low entropy and not minus infinity."""


@dataclass(frozen=True)
class Windows:
    """Values of successive windows.

    Attributes:
        values: float32 [T, ...].
        times: float64 [T], the middle of each window in seconds from the first sample.
        seconds: length of a window.
    """

    values: np.ndarray
    times: np.ndarray
    seconds: float


def checked(signals: np.ndarray, rate: float) -> np.ndarray:
    """Signals as float64 [C, samples].

    Raises:
        DataError: another number of axes, a value that is no finite number, or a rate that is not above 0.
    """
    array = np.asarray(signals, np.float64)
    if array.ndim != 2 or not array.size:
        raise DataError(f"signals of shape {array.shape}, expected [channels, samples]")
    if not np.isfinite(array).all():
        channel, sample = np.argwhere(~np.isfinite(array))[0]
        raise DataError(f"channel {channel}, sample {sample} is {array[channel, sample]}; fill or cut such samples")
    if not rate > 0:
        raise DataError(f"a rate of {rate} samples/s; it must be above 0")
    return array


def cut(signals: np.ndarray, rate: float, seconds: float, step: float) -> Windows:
    """Overlapping windows of signals [C, samples]: values [T, C, n], all whole ones from the first sample on.

    A recording shorter than one window is one window, so that no trial is without values; `seconds` says so.

    >>> found = cut(np.arange(10.0)[None], rate=2, seconds=2, step=1)
    >>> found.values[:, 0, 0].tolist(), found.times.tolist()
    ([0.0, 2.0, 4.0, 6.0], [1.0, 2.0, 3.0, 4.0])

    Args:
        rate: samples/s.
        seconds: length of a window.
        step: from one window's start to the next, in seconds.

    Raises:
        DataError: signals that are malformed, or a window or step shorter than one sample.
    """
    array = checked(signals, rate)
    size, stride = round(seconds * rate), round(step * rate)
    if size < 1 or stride < 1:
        raise DataError(f"windows of {seconds:g} s every {step:g} s are less than a sample at {rate:g}/s; make longer")
    size = min(size, array.shape[1])
    starts = np.arange(0, array.shape[1] - size + 1, stride)
    values = np.lib.stride_tricks.sliding_window_view(array, size, 1)[:, starts].swapaxes(0, 1)
    return Windows(values, (starts + size / 2) / rate, size / rate)


def band_pass(signals: np.ndarray, rate: float, low: float | None, high: float | None) -> np.ndarray:
    """Signals float64 [C, samples] between two frequencies in Hz, by MNE's zero-phase FIR filter; None leaves a side
    open.

    Raises:
        DataError: signals that are malformed, or a frequency outside 0 to half the rate.
        MissingExtra: MNE is not installed.
    """
    filters = require("mne.filter", "eeg")
    array = checked(signals, rate)
    edges = [edge for edge in (low, high) if edge is not None]
    if not edges or min(edges) <= 0 or max(edges) >= rate / 2 or edges != sorted(set(edges)):
        raise DataError(
            f"a pass band of {low} to {high} Hz; at {rate:g} samples/s it must lie within 0 to {rate / 2:g}"
        )
    # a filter as long as the slow edge asks may be longer than the recording; padding by reflection serves
    found = filters.filter_data(array, rate, low, high, pad="reflect_limited", verbose="CRITICAL")
    return np.asarray(found, np.float64)


def known_bands(bands: Mapping[str, tuple[float, float]], rate: float) -> Mapping[str, tuple[float, float]]:
    """The bands, all of which must end below half the rate.

    Raises:
        DataError: one does not, or none is given.
    """
    beyond = [name for name, (low, high) in bands.items() if not 0 < low < high < rate / 2]
    if beyond or not bands:
        cure = f"at {rate:g} samples/s bands must lie within 0 to {rate / 2:g} Hz"
        raise DataError(f"band {', '.join(beyond) or 'none given'}: {cure}")
    return bands


def band_powers(
    signals: np.ndarray,
    rate: float,
    seconds: float = 4.0,
    step: float = 4.0,
    bands: Mapping[str, tuple[float, float]] = BANDS,
) -> Windows:
    """Power of each band: values float32 [T, C, B] in the square of the signal's unit, such as square microvolts.

    P_b = sum over low <= f < high of S(f) df, with the spectral density S by Welch (Hann segments of at most two
    seconds, half overlapping, without their mean), so that the bands of a partition add up to the variance.

    Paper: Welch, "The use of fast Fourier transform for the estimation of power spectra", IEEE Trans. Audio and
        Electroacoustics 1967; as features of emotion Koelstra et al., IEEE Trans. Affective Computing 2012.

    Args:
        signals: [C, samples].
        rate: samples/s.
        seconds, step: of the windows.

    Raises:
        DataError: signals or bands that are malformed.
        MissingExtra: SciPy is not installed.
    """
    spectra = require("scipy.signal", "eeg")
    windows = cut(signals, rate, seconds, step)
    known_bands(bands, rate)
    size = min(windows.values.shape[2], round(2 * rate))
    frequency, density = spectra.welch(windows.values, rate, nperseg=size, axis=2)
    width = frequency[1] if len(frequency) > 1 else 0.0
    powers = [density[:, :, (frequency >= low) & (frequency < high)].sum(2) * width for low, high in bands.values()]
    return Windows(np.stack(powers, 2).astype(np.float32), windows.times, windows.seconds)


@FEATURES.register(
    "band-powers",
    about="logarithms of the power of each EEG band in windows",
    paper="Koelstra et al. 2012",
    reads="signals [C, samples]",
    gives="T, D",
    extra="eeg",
    version=1,
)
def extractor(rate: float = 128.0, seconds: float = 4.0, step: float = 4.0) -> Extractor:
    """Natural logarithms of `band_powers`, [T, 5 C]: the five bands of the first channel, of the second, ...

    Args:
        rate: samples/s of the recordings: 128 for DEAP, 256 for MAHNOB-HCI.
        seconds, step: of the windows.

    Raises:
        DataError: when a recording is malformed or sampled too slowly.
        MissingExtra: when SciPy is not installed.
    """

    def extract(item: Any) -> np.ndarray:
        powers = band_powers(np.asarray(item), rate, seconds, step).values
        return np.asarray(np.log(np.maximum(powers, LEAST)).reshape(len(powers), -1))

    return extract
