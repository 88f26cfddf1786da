"""EEG and body signals: features against signals of known content, layers against slow loops, networks, recipes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from conftest import data_folder
from mien.datasets import DATASETS, FAKES
from mien.errors import DataError, MissingExtra

pytest.importorskip("scipy")
pytest.importorskip("mne")

from mien.datasets import mahnob
from mien.features import FEATURES
from mien.features.band_images import BIOSEMI32, CAPS, SEED62, band_images, drawing, flat_places
from mien.features.band_powers import BANDS, band_pass, band_powers, cut
from mien.features.differential_entropy import differential_entropy, entropy_of
from mien.features.motion import motion
from mien.features.peripheral import (
    DEAP,
    KINDS,
    LAYOUTS,
    MAHNOB,
    NAMES,
    breath,
    column_names,
    eyes,
    muscle,
    peripheral,
    pulse,
    skin,
    temperature,
)

RATE = 128.0
TIME = np.arange(int(40 * RATE)) / RATE
FEATURES_OF = ("band-images", "band-powers", "differential-entropy", "motion", "peripheral")


def sine(frequency: float, amplitude: float = 1.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * TIME + 0.3)


def noise(seed: int = 0, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, len(TIME)))


# --- windows, bands, entropy ---


@pytest.mark.parametrize(("frequency", "band"), [(2.5, 0), (6.0, 1), (10.0, 2), (20.0, 3), (40.0, 4)])
def test_a_sine_has_its_power_in_its_own_band(frequency: float, band: int) -> None:
    signal = np.stack([sine(frequency, 3.0), np.zeros(len(TIME))])
    powers = band_powers(signal, RATE)
    assert powers.values.shape == (10, 2, 5)
    assert_allclose(powers.values[:, 0, band], 4.5, rtol=0.02)  # a^2 / 2
    assert powers.values[:, 0].sum(1).max() < 4.6
    assert powers.values[:, 1].max() == 0
    entropy = differential_entropy(signal, RATE).values
    assert entropy.shape == powers.values.shape
    assert_allclose(entropy[1:-1, 0, band], 0.5 * math.log(2 * math.pi * math.e * 4.5), atol=0.05)
    assert (entropy[1:-1, 0, band] > np.delete(entropy[1:-1, 0], band, 1).max(1) + 1).all()


def test_powers_against_a_slow_transform() -> None:
    signal = noise(1)[:, :256]
    taper = np.array([0.5 - 0.5 * math.cos(2 * math.pi * i / 256) for i in range(256)])
    x = (signal[0] - signal[0].mean()) * taper
    for place, (low, high) in enumerate(BANDS.values()):
        total = 0.0
        for k in range(129):
            if low <= k * RATE / 256 < high:
                wave = sum(
                    x[i] * complex(math.cos(k * i * math.tau / 256), math.sin(k * i * math.tau / 256))
                    for i in range(256)
                )
                total += 2 * abs(wave) ** 2 / (RATE * float((taper**2).sum())) * RATE / 256
        found = band_powers(signal, RATE, seconds=2, step=2).values
        assert found.shape == (1, 1, 5)
        assert_allclose(found[0, 0, place], total, rtol=1e-5)


def test_a_partition_adds_up_to_the_variance() -> None:
    everything = {"low": (0.25, 16.0), "middle": (16.0, 40.0), "high": (40.0, 63.9)}
    powers = band_powers(noise(2), RATE, 40, 40, everything).values
    assert_allclose(powers.sum(), noise(2).var(), rtol=0.05)


def test_entropy_is_that_of_a_gaussian() -> None:
    from scipy.stats import norm

    for deviation in (0.1, 1.0, 7.0):
        assert_allclose(entropy_of(np.array(deviation**2)), norm(scale=deviation).entropy(), rtol=1e-12)
    assert np.isfinite(entropy_of(np.zeros(3))).all()
    entropy = differential_entropy(2 * noise(3), RATE, 20, 20).values[0, 0]
    for place, (low, high) in list(enumerate(BANDS.values()))[2:]:
        # white noise has its variance spread evenly up to half the rate; the filter's slopes let a little more pass
        share = 4 * (high - low) / (RATE / 2)
        assert 0.85 * share < math.exp(2 * entropy[place]) / (2 * math.pi * math.e) < 1.5 * share


def test_band_pass_keeps_what_it_should() -> None:
    mixed = (sine(3) + sine(10) + sine(40))[None]
    inner = slice(512, -512)
    assert_allclose(band_pass(mixed, RATE, 8, 14)[0, inner], sine(10)[inner], atol=0.02)
    assert_allclose(band_pass(mixed, RATE, None, 14)[0, inner], (sine(3) + sine(10))[inner], atol=0.02)
    assert_allclose(band_pass(mixed, RATE, 30, None)[0, inner], sine(40)[inner], atol=0.02)
    for low, high in ((14, 8), (0, 8), (8, 64), (None, None)):
        with pytest.raises(DataError, match="pass band"):
            band_pass(mixed, RATE, low, high)


def test_windows_say_when() -> None:
    windows = cut(np.arange(20.0).reshape(2, 10), 2.0, 2.0, 1.5)
    assert windows.times.tolist() == [1.0, 2.5, 4.0]
    assert windows.values[:, 1].tolist() == [[10, 11, 12, 13], [13, 14, 15, 16], [16, 17, 18, 19]]
    short = cut(np.ones((1, 3)), 2.0, 4.0, 4.0)
    assert (short.values.shape, short.seconds, short.times.tolist()) == ((1, 1, 3), 1.5, [0.75])


def test_signals_that_are_none_are_refused() -> None:
    wrong = np.zeros((2, 9))
    wrong[1, 4] = np.nan
    for signal, rate, match in (
        (wrong, RATE, "channel 1, sample 4 is nan"),
        (np.zeros(9), RATE, r"\(9,\), expected \[channels"),
        (np.zeros((0, 9)), RATE, "expected"),
        (np.zeros((1, 9)), 0, "rate of 0"),
    ):
        with pytest.raises(DataError, match=match):
            cut(signal, rate, 1, 1)
    with pytest.raises(DataError, match="less than a sample"):
        cut(np.zeros((1, 9)), 1, 0.1, 1)
    with pytest.raises(DataError, match="gamma: at 64"):
        band_powers(np.zeros((1, 99)), 64)
    with pytest.raises(DataError, match="none given"):
        differential_entropy(np.zeros((1, 99)), 128, bands={})


# --- pictures ---


def test_electrodes_lie_where_they_should() -> None:
    assert (len(set(SEED62)), len(set(BIOSEMI32))) == (62, 32)
    assert " ".join(BIOSEMI32) == mahnob.ELECTRODES
    at = dict(zip(SEED62, flat_places(SEED62), strict=True))
    assert np.abs(at["Cz"]).max() < 0.25
    assert at["Fz"][1] > 0.4
    assert at["Oz"][1] < -1.2
    for left, right in (("C3", "C4"), ("F7", "F8"), ("PO7", "PO8"), ("CB1", "CB2")):
        assert at[left][0] < 0 < at[right][0]
        assert_allclose(at[left], at[right] * [-1, 1], atol=0.12)
    assert at["T7"][0] == pytest.approx(-1.6, abs=0.15)
    with pytest.raises(DataError, match="electrode Q9"):
        flat_places(("Cz", "Q9"))


def test_pictures_are_clough_and_tochers_of_the_values() -> None:
    from scipy.interpolate import CloughTocher2DInterpolator

    values = np.random.default_rng(0).normal(size=(2, 32, 3)).astype(np.float32)
    pictures = band_images(values, BIOSEMI32, 20)
    assert pictures.shape == (2, 3, 20, 20)
    places = flat_places(BIOSEMI32)
    reach = np.abs(places).max()
    cubic = CloughTocher2DInterpolator(places, values[1, :, 2], fill_value=0, tol=1e-8)
    for row in range(0, 20, 3):
        for column in range(20):
            x, y = (-reach + 2 * reach * place / 19 for place in (column, 19 - row))
            assert pictures[1, 2, row, column] == pytest.approx(float(cubic(x, y)), abs=1e-3)
    assert_allclose(drawing(SEED62, 16).sum(1), (drawing(SEED62, 16) != 0).any(1), atol=1e-4)  # a constant stays one


def test_the_front_is_up_and_the_left_is_left() -> None:
    values = np.zeros((1, 62, 1), np.float32)
    values[0, SEED62.index("Fp1")] = 1
    picture = band_images(values, SEED62, 32)[0, 0]
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert row < 8
    assert column < 16
    with pytest.raises(DataError, match="expected \\[windows, 62 electrodes"):
        band_images(values[:, :9], SEED62)
    with pytest.raises(DataError, match="at least 3"):
        drawing(("Cz", "Fz"), 8)


# --- the body ---


def windows_of(signal: np.ndarray, seconds: float = 20) -> np.ndarray:
    return cut(signal[None], RATE, seconds, seconds).values[:, 0]


def beats(gaps: list[float], width: float = 0.08) -> np.ndarray:
    times = 0.5 + np.cumsum([0.0, *gaps])
    return np.asarray(sum(np.exp(-(((TIME - t) / width) ** 2)) for t in times))


def test_a_pulse_of_72_is_72() -> None:
    wave = 40 * beats([60 / 72] * 60) + sine(0.25, 8) + 0.05 * noise(4)[0]
    rate, sdnn, rmssd, _ = pulse(windows_of(wave), RATE).T
    assert_allclose(rate, 72, atol=0.2)
    assert max(sdnn.max(), rmssd.max()) < 15
    ecg = beats([60 / 95] * 70, width=0.012)
    assert_allclose(pulse(windows_of(ecg), RATE)[:, 0], 95, atol=0.3)


def test_variability_is_that_of_the_gaps() -> None:
    found = pulse(windows_of(beats([0.75, 0.9] * 30), 40), RATE)[0]
    assert_allclose(found[:3], [60 / 0.825, 75, 150], rtol=0.02)
    slow = [0.8 + 0.05 * math.sin(i / 5) for i in range(48)]
    found = pulse(windows_of(beats(slow), 39), RATE)[0]
    assert_allclose(found[0], 60 / np.mean(slow[:47]), rtol=0.01)
    assert found[1] > 3 * found[2]  # slow waves: neighbours hardly differ


def test_breath_and_its_depth() -> None:
    rate, depth, spread = breath(windows_of(5 + sine(0.25, 4) + 0.1 * sine(1.2)), RATE).T
    assert_allclose(rate, 15, atol=0.3)
    assert_allclose(depth, 8, rtol=0.1)
    assert spread.max() < 0.2


def test_skin_has_a_level_a_slope_and_responses() -> None:
    level = 5 + 0.01 * TIME
    rises = sum(0.4 * np.where(t < TIME, np.exp(-(TIME - t) / 4) - np.exp(-(TIME - t) / 0.7), 0) for t in (8, 19, 30))
    tonic, climb, restless, responses, rise = skin(windows_of(level + rises, 40), RATE)[0]
    assert 5.1 < tonic < 5.6
    assert 0.005 < climb < 0.02
    assert responses == pytest.approx(3 / 40 * 60)
    assert rise > 0.05
    calm = skin(windows_of(level, 40), RATE)[0]
    assert calm[2] < 0.2 * restless


def test_temperature_muscles_and_eyes() -> None:
    assert_allclose(temperature(windows_of(33 + 0.02 * TIME), RATE)[0], [33.2, 0.02, 0], atol=0.002)
    quiet, loud = (muscle(windows_of(size * noise(5)[0]), RATE) for size in (1, 4))
    assert_allclose((loud - quiet)[:, :2], math.log(4), atol=1e-6)
    assert_allclose(loud[:, 2], quiet[:, 2])
    far, near, tremor = (eyes(windows_of(x), RATE)[0] for x in (sine(0.5, 6), sine(0.5, 3), sine(20)))
    assert_allclose((far - near)[:2], math.log(2), atol=1e-4)
    assert far[2] > 0.9 > 0.1 > tremor[2]


def test_a_layout_of_all_channels() -> None:
    signals = np.stack(
        [sine(0.5), sine(0.7), *noise(6, 2), 5 + 0.01 * TIME, sine(0.25), beats([0.8] * 48), 33 + 0 * TIME]
    )
    found = peripheral(signals, RATE, DEAP)
    assert found.values.shape == (7, 27)
    assert found.times.tolist() == [5, 10, 15, 20, 25, 30, 35]
    names = column_names(DEAP)
    assert len(names) == 27
    assert_allclose(found.values[:, names.index("6 pulse: rate/min")], 75, atol=0.5)
    assert_allclose(found.values[:, names.index("5 breath: rate/min")], 15, atol=1)
    assert all(KINDS[kind](windows_of(noise()[0]), RATE).shape == (2, len(NAMES[kind])) for kind in KINDS)
    assert (len(DEAP), len(MAHNOB), set(LAYOUTS)) == (8, 7, {"deap", "mahnob"})
    flat = peripheral(0 * signals, RATE, DEAP).values
    assert np.isnan(flat[:, [names.index("6 pulse: rate/min"), names.index("5 breath: rate/min")]]).all()
    for layout in (DEAP[:3], ("",) * 8, ("skin",) * 7 + ("heart",)):
        with pytest.raises(DataError, match="for 8 channels"):
            peripheral(signals, RATE, layout)


def test_motion_of_markers() -> None:
    points = np.zeros((240, 3, 3))
    points[:, 0, 0] = 2 * np.arange(240)  # 2 mm a frame
    points[:, 1] = [5, 6, 7]
    points[120:, 1, 2] += 3
    points[:, 2] = np.nan
    points[50:70, 0] = np.nan
    found = motion(points, 120, 1, 1)
    place, spread, speed = found.values.reshape(2, 3, 3).swapaxes(0, 1)
    assert found.times.tolist() == [0.5, 1.5]
    assert_allclose(speed[:, 0], 240, rtol=1e-6)
    frames = 2 * np.r_[np.arange(50), np.arange(70, 120)]
    assert_allclose(spread[0, 0], frames.std(), rtol=1e-6)
    assert_allclose(place[:, 1], 1.5, atol=1e-6)
    assert_allclose(speed[:, 1:], 0)
    assert_allclose(found.values.reshape(2, 3, 3)[:, :, 2], 0)
    with pytest.raises(DataError, match="expected \\[frames"):
        motion(points[0], 120)
    with pytest.raises(DataError, match="above 0"):
        motion(points, 120, step=0)


# --- as extractors ---


def test_extractors_are_registered_and_read_items() -> None:
    assert set(FEATURES_OF) <= set(FEATURES.names())
    signals = noise(7, 32)[:, :1024]
    entropy = differential_entropy(signals, RATE).values
    assert_allclose(FEATURES.create("differential-entropy")(signals), entropy.reshape(2, 160))
    powers = band_powers(signals, RATE, 2, 1).values
    assert_allclose(
        FEATURES.create("band-powers", seconds=2, step=1)(signals), np.log(powers).reshape(7, 160), rtol=1e-5
    )
    drawn = FEATURES.create("band-images", cap="biosemi32", side=8, rate=128)(signals)
    assert_allclose(drawn, band_images(entropy[:, :, 1:4], BIOSEMI32, 8).reshape(2, -1), atol=1e-5)
    by_band = entropy.swapaxes(1, 2).reshape(2, 160)
    again = FEATURES.create("band-images", cap="biosemi32", order="band", side=8)(by_band)
    assert_allclose(again, drawn, atol=1e-5)
    body = np.concatenate([noise(8, 7), beats([0.8] * 48)[None]])
    assert FEATURES.create("peripheral", layout="deap")(body).shape == (7, 27)
    assert FEATURES.create("motion")(np.zeros((9, 2, 3))).shape == (1, 6)


def test_extractors_refuse() -> None:
    for options, match in (({"cap": "x"}, "cap 'x'"), ({"order": "x"}, "order 'x'")):
        with pytest.raises(DataError, match=match):
            FEATURES.create("band-images", **options)
    with pytest.raises(DataError, match="62 electrodes of seed62"):
        FEATURES.create("band-images")(np.zeros((3, 160), np.float32))
    with pytest.raises(DataError, match="choose from 0 to 4"):
        FEATURES.create("band-images", bands=[5])(np.zeros((3, 310), np.float32))
    with pytest.raises(DataError, match="layout 'x'"):
        FEATURES.create("peripheral", layout="x")
    assert set(CAPS) == {"seed62", "biosemi32"}


def test_a_pulse_that_is_lost_for_a_while_is_filled() -> None:
    wave = beats([0.8] * 48)
    wave[: int(11 * RATE)] = 0
    signals = np.concatenate([noise(9, 6), wave[None], 33 + 0 * TIME[None]])
    place = column_names(DEAP).index("6 pulse: rate/min")
    assert np.isnan(peripheral(signals, RATE, DEAP).values[0, place])
    found = FEATURES.create("peripheral")(signals)
    assert np.isfinite(found).all()
    assert found[0, place] == pytest.approx(75, abs=1)
    signals[6] = 0
    assert (FEATURES.create("peripheral")(signals)[:, place] == 70).all()


@pytest.mark.parametrize(("missing", "name"), [("scipy", "band-powers"), ("mne", "differential-entropy")])
def test_without_the_extra(missing: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for module in [m for m in sys.modules if m.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"mien\[eeg\]"):
        FEATURES.create(name)(noise())


# --- data sets on each person's own scale ---


def test_own_scale_of_each_session(tmp_path: Path) -> None:
    DATASETS.facts("seed-iv")  # fills FAKES
    FAKES["seed-iv"](tmp_path)
    raw, own = DATASETS.create("seed-iv", root=tmp_path), DATASETS.create("seed-iv-standardised", root=tmp_path)
    mine = (raw.subject == "s12") & (raw.extra["session"] == 2)
    rows = np.flatnonzero(mine)
    every = np.concatenate([raw.media["eeg"][int(row)] for row in rows]).astype(np.float64)
    expected = (raw.media["eeg"][int(rows[1])] - every.mean(0)) / every.std(0)
    assert_allclose(own.media["eeg"][int(rows[1])], expected, atol=1e-4)
    assert_allclose(own[rows].media["eeg"][1], expected, atol=1e-4)  # of a part, by the whole session's scale
    assert own.media["eeg"].files(0) == raw.media["eeg"].files(0)
    assert (own.split == np.where(raw.extra["session"] < 3, 0, 2)).all()


def test_own_scale_asks_no_label(tmp_path: Path) -> None:
    DATASETS.facts("mahnob-features")
    FAKES["mahnob-features"](tmp_path)
    own = DATASETS.create("mahnob-features-standardised", root=tmp_path)
    person = np.flatnonzero(own.subject == "p02")
    features = np.concatenate([own.media["eeg"][int(row)] for row in person])
    assert_allclose(features.mean(0), 0, atol=1e-5)
    assert_allclose(features.std(0), 1, atol=1e-4)
    path = tmp_path / "MAHNOB-HCI" / "EEG_emotion_category.txt"
    path.write_text("\n".join(["0"] * len(own)))
    again = DATASETS.create("mahnob-features-standardised", root=tmp_path)
    assert_allclose(again.media["eeg"][3], own.media["eeg"][3])
    assert own.extra["pleasant"].dtype == bool
    assert (own.extra["pleasant"] == (own.extra["valence"] > 0)).all()
    assert (own.extra["aroused"] == (own.extra["arousal"] > 0)).all()


def test_real_pairs_part_the_people() -> None:
    root = data_folder("seed4").parent
    data_folder("rafdb")
    pairs = DATASETS.create("pairs-seed-iv-standardised-rafdb", root=root)
    facts = DATASETS.facts("pairs-seed-iv-standardised-rafdb")
    assert (len(pairs), len(set(pairs.subject))) == (facts["samples"], facts["subjects"])
    assert set(pairs.media) == {"eeg", "face"}
    assert (pairs.subject == pairs.extra["first_person"]).all()
    by_face = {}
    for bundle, face in zip(pairs.subject, pairs.extra["second_person"], strict=True):
        assert by_face.setdefault(face, bundle) == bundle  # no face stands beside two people
