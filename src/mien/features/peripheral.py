"""Body signals beside the EEG, as statistics of windows: skin, pulse, breath, temperature, muscles, eyes.

Needs the extra `eeg` (SciPy). Each function takes windows [T, n] of one channel and gives float64 [T, D]; NAMES says
what its columns are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mien.errors import DataError, require
from mien.features import FEATURES, Extractor
from mien.features.band_powers import Windows, checked, cut

NAMES: dict[str, tuple[str, ...]] = {
    "skin": ("tonic mean", "tonic slope/s", "phasic deviation", "responses/min", "mean rise"),
    "pulse": ("rate/min", "SDNN ms", "RMSSD ms", "height"),
    "breath": ("rate/min", "depth", "deviation of the period s"),
    "temperature": ("mean", "slope/s", "deviation"),
    "muscle": ("log RMS", "log mean absolute difference", "share of crossings"),
    "eyes": ("log RMS", "log range", "slow share"),
}
"""Kind of channel -> its statistics."""
DEAP = ("eyes", "eyes", "muscle", "muscle", "skin", "breath", "pulse", "temperature")
"""DEAP's channels 33 to 40: EOG across and down, EMG of cheek and shoulder, skin response, breath, blood volume, and
temperature."""
MAHNOB = ("pulse", "pulse", "pulse", "skin", "", "breath", "temperature")
"""MAHNOB-HCI: three of ECG (EXG1-3), GSR1, Erg1 (not a body signal), Resp, Temp."""
LAYOUTS = {"deap": DEAP, "mahnob": MAHNOB}
USUAL = {"pulse": (70.0, 50.0, 40.0, 0.0), "breath": (15.0, 0.0, 0.5)}
"""What stands in for statistics that a whole recording does not show: those of a person at rest, without height."""
LEAST = 1e-9


def slope(x: np.ndarray, rate: float) -> np.ndarray:
    """Slope a second of the straight line through each window [T, n]."""
    time = (np.arange(x.shape[1]) - (x.shape[1] - 1) / 2) / rate
    return np.asarray(x @ time / max(float(time @ time), LEAST))


def low_pass(x: np.ndarray, rate: float, edge: float) -> np.ndarray:
    """Second-order Butterworth low-pass, forth and back, at most at 0.9 of half the rate: windows [T, n]."""
    signal = require("scipy.signal", "eeg")
    sections = signal.butter(2, min(edge, 0.45 * rate), fs=rate, output="sos")
    return np.asarray(signal.sosfiltfilt(sections, x, axis=1, padlen=min(x.shape[1] - 1, int(2 * rate / edge))))


def peaks_of(x: np.ndarray, rate: float, shortest: float, height: float) -> np.ndarray:
    """Times in seconds of the peaks of one window [n], to a fraction of a sample, by the parabola through three.

    Args:
        shortest: least time between two, in seconds.
        height: least prominence.
    """
    signal = require("scipy.signal", "eeg")
    found, _ = signal.find_peaks(x, distance=max(1, int(shortest * rate)), prominence=height)
    before, top, after = x[found - 1], x[found], x[found + 1]
    bend = before - 2 * top + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
    return np.asarray((found + np.clip(shift, -0.5, 0.5)) / rate)


def skin(windows: np.ndarray, rate: float) -> np.ndarray:
    """Skin conductance: what lies below 0.05 Hz is tonic, the rest phasic; a response rises by a tenth of the
    phasic range at least.

    Paper: Boucsein, "Electrodermal activity", 2nd edition, 2012.
    """
    smooth = low_pass(windows, rate, 2.0)
    tonic = low_pass(smooth, rate, 0.05)
    phasic = smooth - tonic
    minutes = windows.shape[1] / rate / 60
    rows = []
    for level, change in zip(tonic, phasic, strict=True):
        least = max(0.1 * float(np.ptp(change)), LEAST)
        times = peaks_of(change, rate, 1.0, least)
        tops = change[np.minimum((times * rate).round().astype(int), len(change) - 1)]
        rise = float((tops - change.min()).mean()) if len(times) else 0.0
        rows.append((level.mean(), slope(level[None], rate)[0], change.std(), len(times) / minutes, rise))
    return np.array(rows, np.float64)


def pulse(windows: np.ndarray, rate: float) -> np.ndarray:
    """Blood volume or ECG: beats are peaks of what lies between 0.7 Hz and 8 Hz, at most 200 a minute; a beat that
    rises less than four tenths of the largest is none. NaN where fewer than three beats are seen.

    Paper: Task Force of the European Society of Cardiology, "Heart rate variability", Circulation 1996.
    """
    band = low_pass(windows, rate, 8.0)
    band = band - low_pass(band, rate, 0.7)
    rows = []
    for x in band:
        times = peaks_of(x, rate, 0.3, max(0.4 * float(np.ptp(x)), LEAST))
        gaps = np.diff(times)
        if len(gaps) < 2:
            rows.append((np.nan,) * 4)
            continue
        steps = np.sqrt(np.square(np.diff(gaps)).mean())
        rows.append((60 / gaps.mean(), 1000 * gaps.std(), 1000 * steps, float(np.ptp(x))))
    return np.array(rows, np.float64)


def breath(windows: np.ndarray, rate: float) -> np.ndarray:
    """Respiration belt: breaths are peaks below 0.8 Hz; the depth is from trough to peak. NaN below two breaths."""
    slow = low_pass(windows, rate, 0.8)
    slow = slow - slow.mean(1, keepdims=True)
    rows = []
    for x in slow:
        least = max(0.3 * float(np.ptp(x)), LEAST)
        gaps = np.diff(peaks_of(x, rate, 1.2, least))
        if len(gaps) < 1:
            rows.append((np.nan,) * 3)
            continue
        depth = 2 * np.sqrt(2) * x.std()  # of a sine, its height from trough to peak
        rows.append((60 / gaps.mean(), depth, gaps.std()))
    return np.array(rows, np.float64)


def temperature(windows: np.ndarray, rate: float) -> np.ndarray:
    """Skin temperature: its level, its slope a second and what is left beside that line."""
    level, climb = windows.mean(1), slope(windows, rate)
    time = (np.arange(windows.shape[1]) - (windows.shape[1] - 1) / 2) / rate
    rest = windows - level[:, None] - climb[:, None] * time
    return np.stack([level, climb, rest.std(1)], 1)


def muscle(windows: np.ndarray, rate: float) -> np.ndarray:
    """EMG: strength above 20 Hz (above a third of the rate where that is lower), roughness, and how often it crosses
    zero."""
    quick = windows - low_pass(windows, rate, min(20.0, rate / 3))
    strength = np.sqrt(np.square(quick).mean(1))
    rough = np.abs(np.diff(quick, axis=1)).mean(1)
    crossings = (np.diff(np.signbit(quick), axis=1) != 0).mean(1)
    return np.stack([np.log(strength + LEAST), np.log(rough + LEAST), crossings], 1)


def eyes(windows: np.ndarray, rate: float) -> np.ndarray:
    """EOG: strength, range, and the share of it below 2 Hz, where gaze wanders and lids close."""
    centred = windows - windows.mean(1, keepdims=True)
    power = np.square(centred).mean(1)
    slow = np.square(low_pass(centred, rate, 2.0)).mean(1) / np.maximum(power, LEAST)
    return np.stack([0.5 * np.log(power + LEAST), np.log(np.ptp(windows, axis=1) + LEAST), slow], 1)


KINDS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "skin": skin,
    "pulse": pulse,
    "breath": breath,
    "temperature": temperature,
    "muscle": muscle,
    "eyes": eyes,
}


def column_names(layout: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns that `peripheral` gives for a layout, each with the number and kind of its channel."""
    return tuple(f"{i} {kind}: {name}" for i, kind in enumerate(layout) if kind for name in NAMES[kind])


def peripheral(
    signals: np.ndarray, rate: float, layout: Sequence[str], seconds: float = 10.0, step: float = 5.0
) -> Windows:
    """Statistics float32 [T, D] of windows of all channels [C, samples], in the order of the layout.

    What could not be measured, such as a rate without beats, is NaN.

    Args:
        rate: samples/s.
        layout: kind of each channel, a key of `NAMES`, or "" for one to pass over.
        seconds, step: of the windows; rates need some ten seconds.

    Raises:
        DataError: a layout of other length than there are channels, or of an unknown kind.
        MissingExtra: SciPy is not installed.
    """
    array = checked(signals, rate)
    unknown = [kind for kind in layout if kind and kind not in KINDS]
    if unknown or len(layout) != len(array) or not any(layout):
        known = ", ".join(KINDS)
        raise DataError(f"layout {tuple(layout)} for {len(array)} channels; name for each one of {known}, or ''")
    windows = cut(array, rate, seconds, step)
    found = [KINDS[kind](windows.values[:, i], rate) for i, kind in enumerate(layout) if kind]
    return Windows(np.concatenate(found, 1).astype(np.float32), windows.times, windows.seconds)


@FEATURES.register(
    "peripheral",
    about="statistics of skin response, pulse, breath, temperature, EMG and EOG in windows",
    paper="Koelstra et al. 2012; Soleymani et al. 2012",
    reads="signals [C, samples]",
    gives="T, D",
    extra="eeg",
    version=1,
)
def extractor(layout: str = "deap", rate: float = 128.0, seconds: float = 10.0, step: float = 5.0) -> Extractor:
    """`peripheral` of a recording; what a window does not show is given its median over the recording's windows, and
    what none of them shows the value of `USUAL`.

    Args:
        layout: `deap` or `mahnob`: what the channels are.
        rate: samples/s of the recordings: 128 for DEAP, 256 for MAHNOB-HCI.
        seconds, step: of the windows.

    Raises:
        DataError: another layout, or when a recording is malformed.
        MissingExtra: when SciPy is not installed.
    """
    if layout not in LAYOUTS:
        raise DataError(f"layout {layout!r}; choose {' or '.join(LAYOUTS)}")
    kinds = [kind for kind in LAYOUTS[layout] if kind]
    resting = [value for kind in kinds for value in USUAL.get(kind, (0.0,) * len(NAMES[kind]))]

    def extract(item: Any) -> np.ndarray:
        values = peripheral(np.asarray(item), rate, LAYOUTS[layout], seconds, step).values
        for column, usual in zip(values.T, resting, strict=True):
            known = np.isfinite(column)
            column[~known] = np.median(column[known]) if known.any() else usual
        return values

    return extract
