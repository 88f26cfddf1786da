"""One vector for a whole sound: statistics of its cepstrum, its pitch, its loudness and its pace."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.features import FEATURES, Extractor
from mien.features.mfcc import mfcc
from mien.features.prosody import nuclei
from mien.features.voice import HOP, RATE, Contour, contour, levelled, waveform

COEFFICIENTS = 20
MANNER = (
    "pitch mean", "pitch deviation", "pitch low", "pitch high", "pitch slope", "pitch step",
    "level deviation", "level range", "level slope", "voicing mean", "voiced share", "syllables per second",
    "longest pause",
)  # fmt: skip
NAMES = (
    *(f"mfcc {k} {what}" for what in ("mean", "deviation") for k in range(COEFFICIENTS)),
    *(f"{order} difference of mfcc {k}" for order in ("first", "second") for k in range(COEFFICIENTS)),
    *MANNER,
)
"""What the numbers are, in order."""


@FEATURES.register(
    "voice-statistics",
    about="one vector a sound: statistics of cepstrum, pitch, loudness and pace",
    paper="after Eyben et al., IEEE TAC 2016",
    reads="audio",
    gives="D",
    extra="audio",
    version=1,
)
def voice_statistics() -> Extractor:
    """Statistics of a sound float32 [93]; `NAMES` says which.

    Of 20 cepstral coefficients their mean and deviation over the frames that are heard, and the deviations of their
    first and second differences; of pitch (semitones above 55 Hz) mean, deviation, 10th and 90th percentile, slope a
    second and mean step between frames; of the level (dB) deviation, range (10th to 90th percentile) and slope; mean
    voicing; share of voiced frames; syllables a second; longest pause in seconds. What cannot be known is 0.

    Paper: after the choice of Eyben et al., "The Geneva minimalistic acoustic parameter set (GeMAPS)", IEEE TAC 7(2),
        2016.
    Differs: the cepstrum in place of formants, jitter and shimmer; fewer statistics of each.

    Raises:
        MissingExtra: librosa is not installed.
        DataError: an item that is no sound.
    """
    cepstrum = mfcc(COEFFICIENTS)

    def extract(item: Any) -> np.ndarray:
        sound = waveform(item)
        if not len(sound):
            return np.zeros(0, np.float32)
        found = contour(levelled(sound))
        frames = cepstrum(sound)[: len(found.level)]
        heard = found.level[: len(frames)] > np.percentile(found.level, 95) - 40
        kept = frames[heard] if heard.any() else frames
        still, moving = kept[:, :COEFFICIENTS], kept[:, COEFFICIENTS:]
        return np.concatenate([still.mean(0), still.std(0), moving.std(0), manner(found)]).astype(np.float32)

    return extract


def manner(found: Contour) -> np.ndarray:
    """The last thirteen statistics, float64 [13]."""
    seconds = len(found.level) * HOP / RATE
    time_s = np.arange(len(found.level)) * HOP / RATE
    heard = found.level > np.percentile(found.level, 95) - 40
    pitch, level = found.pitch[found.voiced], found.level[heard]
    steps = np.abs(np.diff(found.pitch))
    steps = steps[np.isfinite(steps)]
    return np.array(
        [
            pitch.mean() if len(pitch) else 0,
            pitch.std() if len(pitch) else 0,
            *(np.percentile(pitch, (10, 90)) if len(pitch) else (0, 0)),
            slope(time_s[found.voiced], pitch),
            steps.mean() if len(steps) else 0,
            level.std() if len(level) else 0,
            np.subtract(*np.percentile(level, (90, 10))) if len(level) else 0,
            slope(time_s[heard], level),
            found.voicing[heard].mean() if len(level) else 0,
            found.voiced.mean(),
            len(nuclei(found)) / seconds,
            pause(found.voiced) * HOP / RATE,
        ],
        np.float64,
    )


def slope(time_s: np.ndarray, values: np.ndarray) -> float:
    """Slope of the straight line through values, a second; 0 for fewer than two.

    >>> round(slope(np.array([0.0, 1, 2]), np.array([1.0, 3, 5])), 6)
    2.0
    """
    if len(values) < 2:
        return 0.0
    apart = time_s - time_s.mean()
    return float(apart @ (values - values.mean()) / (apart @ apart))


def pause(voiced: np.ndarray) -> int:
    """Frames of the longest unvoiced stretch between two voiced ones.

    >>> pause(np.array([0, 0, 0, 1, 0, 0, 1, 0], bool))
    2
    """
    places = np.flatnonzero(voiced)
    return int(np.diff(places).max(initial=1)) - 1
