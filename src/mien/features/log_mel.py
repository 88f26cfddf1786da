"""The sound's energy in bands of the mel scale: what networks over speech read most."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.features import FEATURES, Extractor
from mien.features.voice import FFT, RATE, levelled, librosa, spectrogram, waveform

FLOOR = 1e-7


@FEATURES.register(
    "log-mel",
    about="log energy in bands of the mel scale, every 10 ms",
    paper="Davis, Mermelstein, IEEE Trans. ASSP 1980",
    reads="audio",
    gives="T, D",
    extra="audio",
    version=1,
)
def log_mel(bands: int = 64, low: float = 60.0, high: float = 7600.0, level: bool = True, pace: int = 1) -> Extractor:
    """ln(energy + 1e-7) of each band, float32 [T, bands]; step t is centred on (t pace + (pace - 1) / 2) x 10 ms.

    Paper: Davis, Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in
        continuously spoken sentences", IEEE Trans. ASSP 28(4), 1980; bands of the mel scale by Slaney (1998).

    Args:
        bands: D, 8 to 128.
        low, high: of the lowest and the highest band, Hz, up to 8000.
        level: bring every sound to one loudness before.
        pace: frames of 10 ms whose mean energy is one step, 1 to 10.

    Raises:
        MissingExtra: librosa is not installed.
        DataError: bands that cannot be, or an item that is no sound.
    """
    if not 1 <= pace <= 10:
        raise DataError(f"log-mel: pace = {pace}; a step is 1 to 10 frames of 10 ms")
    if not 8 <= bands <= 128 or not 0 <= low < high <= RATE / 2:
        raise DataError(f"log-mel: {bands} bands of {low:g} to {high:g} Hz; give 8 to 128 within 0 to {RATE // 2} Hz")
    filters = librosa().filters.mel(sr=RATE, n_fft=FFT, n_mels=bands, fmin=low, fmax=high)

    def extract(item: Any) -> np.ndarray:
        sound = waveform(item)
        if not len(sound):
            return np.zeros((0, bands), np.float32)
        power = spectrogram(levelled(sound) if level else sound)
        energy = filters @ power
        if pace > 1:
            steps = -(-energy.shape[1] // pace)
            room = np.pad(energy, ((0, 0), (0, steps * pace - energy.shape[1])), mode="edge")
            energy = room.reshape(bands, steps, pace).mean(2)
        return np.asarray(np.log(energy + FLOOR).T, np.float32)

    return extract
