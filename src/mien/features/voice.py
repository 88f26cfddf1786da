"""What the extractors of sound share: a checked waveform, frames and their times, pitch, voicing and level.

Sound is mono at 16 kHz (`mien.datasets.media.Sounds`). Frames of 25 ms follow each other every 10 ms; frame t is
centred on t x 10 ms, the ends padded with silence. Needs the extra `audio`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from mien.errors import DataError, require

RATE = 16000
WINDOW, HOP, FFT = 400, 160, 512
"""Samples of a frame, between two frames, and of its Fourier transform."""
QUIET_DB = -100.0
LOUD = 0.1
"""Root mean square that the louder frames are brought to."""
LOWEST_HZ, HIGHEST_HZ = 65.0, 500.0
"""Range in which the pitch of voices is looked for."""
VOICED, HEARD_DB = 0.5, 35.0
"""A frame is voiced from this periodicity on, if it is no more than so many decibels below the loud ones."""
PITCH_WINDOW = 1024
SEMITONE_ZERO_HZ = 55.0


def librosa() -> ModuleType:
    """librosa.

    Raises:
        MissingExtra: it is not installed.
    """
    require("librosa", "audio")
    import librosa as package
    import librosa.effects
    import librosa.feature

    return package


def waveform(item: Any) -> np.ndarray:
    """Sound as float32 [samples], at least as long as one Fourier transform where there is any.

    Raises:
        DataError: it is no one-dimensional array of finite numbers.
    """
    sound = np.asarray(item)
    if sound.ndim != 1 or sound.dtype.kind != "f":
        raise DataError(f"expected sound as float [samples] at {RATE} Hz, got {sound.dtype} {list(sound.shape)}")
    if not np.isfinite(sound).all():
        raise DataError(f"{int((~np.isfinite(sound)).sum())} samples of the sound are not finite; decode it again")
    if 0 < len(sound) < FFT:
        sound = np.pad(sound, (0, FFT - len(sound)))
    return sound.astype(np.float32)


def times(frames: int) -> np.ndarray:
    """Centre of each frame, seconds from the first sample, float64 [T]."""
    return np.arange(frames) * HOP / RATE


def spectrogram(sound: np.ndarray) -> np.ndarray:
    """Power |STFT|^2 float32 [257, T] by a Hann window."""
    found = librosa().stft(sound, n_fft=FFT, hop_length=HOP, win_length=WINDOW, pad_mode="constant")
    return np.asarray(np.abs(found) ** 2)


def levels(sound: np.ndarray) -> np.ndarray:
    """Level of each frame in decibels of full scale, float64 [T]; digital silence is -100.

    >>> levels(np.full(1600, 0.1, np.float32))[5].round(1)
    np.float64(-20.0)
    """
    power = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    centres = np.arange(1 + len(sound) // HOP) * HOP
    first, last = (np.clip(centres + half, 0, len(sound)) for half in (-WINDOW // 2, WINDOW // 2))
    mean = (power[last] - power[first]) / WINDOW
    return np.asarray(10 * np.log10(np.maximum(mean, 10 ** (QUIET_DB / 10))))


def levelled(sound: np.ndarray) -> np.ndarray:
    """The sound scaled so that its louder frames (95th percentile) have a root mean square of 0.1.

    How far a microphone stood away says nothing of the voice. Silence stays silence.
    """
    loud_db = float(np.percentile(levels(sound), 95)) if len(sound) else QUIET_DB
    return sound if loud_db <= QUIET_DB + 1 else np.asarray(sound * np.float32(LOUD / 10 ** (loud_db / 20)))


@dataclass(frozen=True)
class Contour:
    """Pitch and level of a voice, frame by frame.

    Attributes:
        pitch: semitones above 55 Hz, float64 [T]; NaN where nothing is voiced.
        voicing: correlation with the sound one period later, in [-1, 1], float64 [T].
        level: decibels of full scale, float64 [T].
        voiced: bool [T].
    """

    pitch: np.ndarray
    voicing: np.ndarray
    level: np.ndarray
    voiced: np.ndarray


def contour(sound: np.ndarray) -> Contour:
    """Pitch by YIN, voicing by the normalised correlation at its period.

    Paper: de Cheveigne, Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 2002.
    """
    level = levels(sound)
    room = np.pad(sound, (PITCH_WINDOW // 2, PITCH_WINDOW // 2 + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(room, PITCH_WINDOW)[::HOP][: len(level)]
    frames = frames.astype(np.float64)
    hertz = librosa().yin(
        room[: (len(level) - 1) * HOP + PITCH_WINDOW].astype(np.float64),
        fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=RATE, frame_length=PITCH_WINDOW, hop_length=HOP, center=False,
    )  # fmt: skip
    voicing = periodicity(frames, np.round(RATE / hertz).astype(np.int64))
    loud_db = float(np.percentile(level, 95)) if len(level) else QUIET_DB
    heard = level > max(loud_db - HEARD_DB, QUIET_DB + 1)
    voiced = heard & (voicing > VOICED)
    pitch = np.where(voiced, 12 * np.log2(hertz / SEMITONE_ZERO_HZ), np.nan)
    return Contour(pitch, voicing, level, voiced)


def periodicity(frames: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Normalised correlation of the first half of each frame [T, W] with what comes `period` [T] samples later.

    >>> wave = np.sin(2 * np.pi * np.arange(1024) / 100)[None]
    >>> periodicity(wave, np.array([100])).round(3).tolist(), periodicity(wave, np.array([50])).round(3).tolist()
    ([1.0], [-1.0])
    """
    half = frames.shape[1] // 2
    later = np.take_along_axis(frames, np.arange(half)[None] + np.minimum(period, half)[:, None], 1)
    one, other = (part - part.mean(1, keepdims=True) for part in (frames[:, :half], later))
    size = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    return np.asarray((one * other).sum(1) / np.maximum(size, 1e-9))
