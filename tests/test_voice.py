"""Features of sound against formulas and made sounds of known content."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("librosa")

from conftest import data_folder
from mien.datasets import DATASETS
from mien.errors import DataError, MissingExtra
from mien.features import FEATURES
from mien.features.prosody import nuclei
from mien.features.voice import FFT, HOP, RATE, WINDOW, contour, levelled, levels, times
from mien.features.voice_statistics import NAMES

SOUND = ["log-mel", "mfcc", "prosody", "voice-statistics"]


def tone(hertz: float, seconds: float = 1.0, size: float = 0.3) -> np.ndarray:
    """A tone with harmonics, as a voice has."""
    t = np.arange(round(seconds * RATE)) / RATE
    waves = [np.sin(2 * np.pi * k * hertz * t) / k for k in range(1, 6)]
    return (size * np.sum(waves, 0) / 2).astype(np.float32)


def noise(seconds: float = 1.0, size: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, size, round(seconds * RATE)).astype(np.float32)


def slow_log_mel(sound: np.ndarray, frame: int, bands: int, low: float, high: float) -> np.ndarray:
    """One frame by its definition: a discrete Fourier transform, triangles on Slaney's mel scale, a logarithm."""
    middle = frame * HOP
    room = np.pad(sound.astype(np.float64), FFT)[middle + FFT - WINDOW // 2 : middle + FFT + WINDOW // 2]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    k, n = np.arange(FFT // 2 + 1)[:, None], np.arange(WINDOW)
    power = np.abs((room * hann * np.exp(-2j * np.pi * k * n / FFT)).sum(1)) ** 2

    def mel(hertz: float) -> float:
        return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)

    def hertz(m: float) -> float:
        return m * 200 / 3 if m < 15 else 1000 * np.exp((m - 15) * np.log(6.4) / 27)

    edges = [hertz(m) for m in np.linspace(mel(low), mel(high), bands + 2)]
    found = []
    for left, top, right in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for line in range(FFT // 2 + 1):
            at = line * RATE / FFT
            height = min((at - left) / (top - left), (right - at) / (right - top))
            total += max(0.0, height) * 2 / (right - left) * power[line]
        found.append(np.log(total + 1e-7))
    return np.array(found)


def test_log_mel_is_its_definition() -> None:
    sound = noise(0.4) + tone(440, 0.4)
    found = FEATURES.create("log-mel", bands=24, level=False)(sound)
    assert found.shape == (1 + len(sound) // HOP, 24)
    for frame in (0, 13, 39):
        assert np.allclose(found[frame], slow_log_mel(sound, frame, 24, 60, 7600), atol=2e-3)


def test_a_slower_pace_is_the_mean_energy() -> None:
    sound = noise(0.3)
    fine, slow = (FEATURES.create("log-mel", bands=16, pace=pace)(sound) for pace in (1, 2))
    assert len(fine) == 31
    assert slow.shape == (16, 16)
    energy = np.exp(fine.astype(np.float64))
    assert np.allclose(np.exp(slow[:15]), (energy[0:30:2] + energy[1:30:2]) / 2, rtol=1e-3)
    assert np.allclose(slow[15], fine[30], atol=1e-5)


def test_mfcc_is_a_cosine_transform_and_slopes() -> None:
    sound = noise(0.5)
    bands = FEATURES.create("log-mel", bands=40)(sound).astype(np.float64)
    found = FEATURES.create("mfcc", coefficients=6)(sound)
    assert found.shape == (len(bands), 18)
    k, n = np.arange(6)[:, None], np.arange(40)
    basis = np.cos(np.pi * k * (n + 0.5) / 40) * np.where(k == 0, np.sqrt(1 / 40), np.sqrt(2 / 40))
    assert np.allclose(found[:, :6], bands @ basis.T, atol=1e-3)
    reach = np.arange(-4, 5)
    for frame in (4, 20, 40):
        slopes = reach @ found[frame - 4 : frame + 5, :6] / (reach**2).sum()
        assert np.allclose(found[frame, 6:12], slopes, atol=1e-3)


def test_loudness_of_the_recording_is_left_out() -> None:
    sound = np.concatenate([noise(0.5), np.zeros(RATE // 2, np.float32)])
    for name in SOUND:
        read = FEATURES.create(name)
        assert np.allclose(read(sound), read(sound / 50), atol=2e-2), name
    assert np.percentile(levels(levelled(sound / 50)), 95) == pytest.approx(-20, abs=0.1)
    assert not levelled(np.zeros(1000, np.float32)).any()
    loud, soft = (FEATURES.create("log-mel", level=False)(s)[20] for s in (noise(size=0.1), noise(size=0.01)))
    assert np.allclose(loud - soft, np.log(100), atol=0.05)


@pytest.mark.parametrize("hertz", [90, 220, 400])
def test_pitch_of_a_tone_begins_when_it_begins(hertz: float) -> None:
    sound = np.concatenate([np.zeros(RATE // 2, np.float32), tone(hertz)])
    found = contour(sound)
    begin = times(len(found.level))[np.flatnonzero(found.voiced)[0]]
    assert begin == pytest.approx(0.5, abs=0.035)
    assert np.nanmedian(found.pitch) == pytest.approx(12 * np.log2(hertz / 55), abs=0.2)
    assert found.voiced[60:140].all()
    assert not contour(noise()).voiced.any()
    columns = FEATURES.create("prosody")(sound)
    assert (columns[:40, :2] == 0).all()
    assert columns[100, 0] == pytest.approx(np.log2(hertz / 55), abs=0.02)


def test_levels_are_decibels_of_full_scale() -> None:
    sound = tone(200)
    middle = sound[8000 - WINDOW // 2 : 8000 + WINDOW // 2].astype(np.float64)
    assert levels(sound)[50] == pytest.approx(10 * np.log10((middle**2).mean()), abs=1e-6)


def test_pace_and_slope_of_made_speech() -> None:
    t = np.arange(2 * RATE) / RATE
    syllables = (0.55 - 0.45 * np.cos(2 * np.pi * 4 * t)) * tone(150, 2)
    assert len(nuclei(contour(syllables.astype(np.float32)))) == 8
    glide = np.sin(2 * np.pi * np.cumsum(110 * 2 ** (t / 2)) / RATE)  # an octave in two seconds
    read = dict(zip(NAMES, FEATURES.create("voice-statistics")(0.2 * glide.astype(np.float32)), strict=True))
    assert read["pitch slope"] == pytest.approx(6, abs=0.3)
    assert read["pitch mean"] == pytest.approx(18, abs=0.3)
    assert read["voiced share"] > 0.95
    pause = np.concatenate([tone(150, 0.5), np.zeros(RATE // 4, np.float32), tone(150, 0.5)])
    assert FEATURES.create("voice-statistics")(pause)[NAMES.index("longest pause")] == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("name", SOUND)
def test_strange_sounds_give_finite_numbers_or_a_sentence(name: str) -> None:
    read, facts = FEATURES.create(name), FEATURES.facts(name)
    assert facts["extra"] == "audio"
    assert facts["gives"] == ("D" if name == "voice-statistics" else "T, D")
    for length in (1, 50, FFT, 3000):
        for sound in (np.zeros(length, np.float32), noise(1)[:length], np.ones(length, np.float32)):
            found = read(sound)
            assert found.size
            assert np.isfinite(found).all()
    assert read(np.zeros(0, np.float32)).shape[0] == 0
    for wrong in (np.zeros((2, 100), np.float32), np.zeros(100, np.int16), np.array([0.1, np.nan] * 400)):
        with pytest.raises(DataError):
            read(wrong)


def test_bad_options_are_refused() -> None:
    with pytest.raises(DataError, match="8 to 128"):
        FEATURES.create("log-mel", bands=4)
    with pytest.raises(DataError, match="1 to 10 frames"):
        FEATURES.create("log-mel", pace=0)
    with pytest.raises(DataError, match="2 to 40"):
        FEATURES.create("mfcc", coefficients=60)


def test_without_librosa_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mien\[audio\]'"):
        FEATURES.create("log-mel")


def test_real_women_speak_higher_than_men() -> None:
    index = DATASETS.create("ravdess-speech", root=data_folder("ravdess"))
    place, read = NAMES.index("pitch low"), FEATURES.create("voice-statistics")
    low = {
        gender: [
            read(index.media["audio"][row])[place] for row in np.flatnonzero(index.extra["gender"] == gender)[::120]
        ]
        for gender in "MF"
    }
    assert len(low["M"]) == 6
    assert np.median(low["F"]) > np.median(low["M"]) + 5
