"""How something is said: pitch, voicing and loudness over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.features import FEATURES, Extractor
from mien.features.voice import Contour, contour, levelled, waveform

NAMES = ("pitch", "voiced", "voicing", "level", "rise")
"""What the columns are."""
SMOOTH = 5
DIP_DB = 2.0
"""A syllable's loudness rises by this much out of the dip before it."""


@FEATURES.register(
    "prosody",
    about="pitch, voicing and loudness, every 10 ms",
    paper="de Cheveigne, Kawahara, JASA 2002",
    reads="audio",
    gives="T, D",
    extra="audio",
    version=1,
)
def prosody(level: bool = True) -> Extractor:
    """Pitch, voicing and loudness float32 [T, 5], frame t centred on t x 10 ms.

    The columns: pitch in octaves above 55 Hz (0 where nothing is voiced), whether it is voiced (0 or 1), how periodic
    it is (-1 to 1), the level in tens of decibels of full scale, and how fast that rises, tens of decibels in 100 ms.

    Args:
        level: bring every sound to one loudness before.

    Raises:
        MissingExtra: librosa is not installed.
        DataError: an item that is no sound.
    """

    def extract(item: Any) -> np.ndarray:
        sound = waveform(item)
        if not len(sound):
            return np.zeros((0, len(NAMES)), np.float32)
        found = contour(levelled(sound) if level else sound)
        pitch = np.where(found.voiced, found.pitch, 0) / 12
        loud = smoothed(found.level) / 10
        rise = np.gradient(loud) * 10 if len(loud) > 1 else np.zeros_like(loud)
        return np.stack([pitch, found.voiced, found.voicing, loud, rise], 1).astype(np.float32)

    return extract


def smoothed(values: np.ndarray, frames: int = SMOOTH) -> np.ndarray:
    """Moving mean over so many frames; the ends repeat.

    >>> smoothed(np.array([0.0, 0, 3, 0, 0]), 3).tolist()
    [0.0, 1.0, 1.0, 1.0, 0.0]
    """
    half = frames // 2
    return np.convolve(np.pad(values, half, mode="edge"), np.ones(frames) / frames, mode="valid")


def nuclei(found: Contour) -> np.ndarray:
    """Frames in which a syllable is loudest, int64: voiced peaks of the level, each out of a dip of 2 dB or more.

    Paper: de Jong, Wempe, "Praat script to detect syllable nuclei and measure speech rate automatically", Behavior
        Research Methods 2009.
    Differs: no threshold on the level but that frames are voiced.
    """
    loud = smoothed(found.level)
    peaks: list[int] = []
    dip, best = (loud[0], 0) if len(loud) else (0.0, 0)
    rising = False
    for frame, value in enumerate(loud):
        if rising and value > loud[best]:
            best = frame
        elif rising and value <= loud[best] - DIP_DB:
            if found.voiced[best]:
                peaks.append(best)
            rising, dip = False, value
        elif not rising and value < dip:
            dip = value
        elif not rising and value >= dip + DIP_DB:
            rising, best = True, frame
    if rising and found.voiced[best]:
        peaks.append(best)
    return np.array(peaks, np.int64)
