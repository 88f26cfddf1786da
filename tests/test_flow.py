"""Optical flow, strain, head motion, blocks, clips from flow and the apex, on pictures moved by known fields."""

from __future__ import annotations

import importlib
from typing import Any

import cv2
import numpy as np
import pytest

from mien.errors import InputError, MissingExtra
from mien.faces.flow import (
    binary_patterns,
    blocks,
    clip_of,
    flow_image,
    head_motion,
    intensity,
    optical_flow,
    smoothed,
    spot_apex,
    strain,
    warp,
)

S = 96
INSIDE = np.s_[12:-12, 12:-12]


def texture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A fixed picture without end, of waves 9 to 31 px long, 0 to 255."""
    random = np.random.default_rng(3)
    total = np.zeros_like(x)
    for _ in range(24):
        angle, length, phase = random.uniform(0, 2 * np.pi), random.uniform(9, 31), random.uniform(0, 2 * np.pi)
        total += np.cos(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / length + phase)
    return np.clip(127 + 22 * total, 0, 255)


def places(size: int = S) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:size, :size].astype(float)
    return x, y


def moved(matrix: np.ndarray, shift: tuple[float, float], size: int = S) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Onset, apex (uint8) and the field of p -> c + M (p - c) + shift, exactly."""
    x, y = places(size)
    centre = (size - 1) / 2
    p = np.stack([x - centre, y - centre], 2)
    back = (p - np.array(shift)) @ np.linalg.inv(matrix).T + centre
    onset, apex = texture(x, y), texture(back[..., 0], back[..., 1])
    field = p @ (matrix - np.eye(2)).T + np.array(shift)
    return onset.round().astype(np.uint8), apex.round().astype(np.uint8), field


STRETCH = np.array([[1.03, 0.01], [0.0, 0.98]])


@pytest.mark.parametrize("method", ["dis", "tvl1"])
@pytest.mark.parametrize(("matrix", "shift"), [(np.eye(2), (1.4, -0.7)), (STRETCH, (0.3, 0.2))])
def test_flow_of_a_known_field(method: str, matrix: np.ndarray, shift: tuple[float, float]) -> None:
    if method == "tvl1":
        pytest.importorskip("skimage")
    onset, apex, field = moved(matrix, shift)
    found = optical_flow(onset, apex, method)
    assert found.dtype == np.float32
    error = np.linalg.norm(found - field, axis=2)[INSIDE]
    assert error.mean() < 0.15
    assert np.percentile(error, 95) < 0.3
    assert np.linalg.norm(field, axis=2)[INSIDE].mean() > 0.6  # a field of zeros would not pass


def test_colour_is_read_as_grey() -> None:
    onset, apex, _ = moved(np.eye(2), (1.0, 0.0))
    colour = [np.repeat(image[:, :, None], 3, 2) for image in (onset, apex)]
    assert np.allclose(optical_flow(*colour), optical_flow(onset, apex), atol=0.05)


def test_strain_by_hand() -> None:
    x, y = places(20)
    assert strain(np.stack([np.full_like(x, 2.5), np.full_like(x, -1.0)], 2)).max() == 0
    a, b, c, d = 0.05, 0.02, -0.01, 0.03
    by_hand = np.sqrt(a**2 + d**2 + 2 * ((b + c) / 2) ** 2)
    assert strain(np.stack([a * x + b * y, c * x + d * y], 2)) == pytest.approx(by_hand, rel=1e-5)
    turn = np.stack([-0.04 * y, 0.04 * x], 2)
    assert strain(turn).max() < 1e-6
    bend = strain(np.stack([0.01 * x**2, 0 * y], 2))
    assert bend[:, 1:-1] == pytest.approx(0.02 * x[:, 1:-1], rel=1e-5)  # du/dx


def bump(size: int = S, height: float = 3.0) -> np.ndarray:
    """A local pull of the skin, at most `height` px, in a tenth of the picture."""
    x, y = places(size)
    pull = np.exp(-((x - 0.7 * size) ** 2 + (y - 0.7 * size) ** 2) / (2 * (0.08 * size) ** 2))
    return np.stack([np.zeros_like(x), -height * pull], 2)


def test_head_motion_is_taken_off_and_the_expression_stays() -> None:
    x, y = places()
    still = bump()
    shift = still + np.array([2.0, -1.5])
    assert np.abs(shift - head_motion(shift, "median") - still).max() < 0.01
    a, b = 0.02, 0.03
    middle = (S - 1) / 2
    head = np.stack([a * (x - middle) - b * (y - middle) + 1, b * (x - middle) + a * (y - middle) - 2], 2)
    assert np.abs(head_motion(head, "similarity") - head).max() < 1e-4
    both = still + head
    left = both - head_motion(both, "similarity")
    assert np.abs(left - still).max() < 0.1
    assert np.abs(both - head_motion(both, "median") - still).max() > 1  # a shift cannot describe a turn
    assert not head_motion(both, "none").any()


def test_flow_image_of_a_pull() -> None:
    onset = texture(*places()).round().astype(np.uint8)
    field = bump() + np.array([2.0, 0.0])
    x, y = places()
    # apex(q) = onset(p) with q = p + F(p), p by fixed point
    p = np.stack([x, y], 2)
    for _ in range(30):
        pull = np.exp(-((p - 0.7 * S) ** 2).sum(2) / (2 * (0.08 * S) ** 2))
        p = np.stack([x - 2.0, y + 3.0 * pull], 2)
    apex = texture(p[..., 0], p[..., 1]).round().astype(np.uint8)
    for motion in ("median", "similarity"):
        image = flow_image(onset, apex, 24, motion=motion)
        assert image.shape == (3, 24, 24)
        assert image.dtype == np.float32
        expected = bump().reshape(24, 4, 24, 4, 2).mean((1, 3)).transpose(2, 0, 1) * 1000 / S
        inside = np.s_[:, 3:-3, 3:-3]
        assert np.abs(image[:2] - expected)[inside].mean() < 1.5  # thousandths of the side; the pull's peak is 31
        assert np.abs(image[2] - 1000 * strain(field).reshape(24, 4, 24, 4).mean((1, 3)))[3:-3, 3:-3].mean() < 12
        assert image[2].max() > 100
    assert np.abs(flow_image(onset, onset, 24)).max() < 1e-3
    assert flow_image(onset, apex, 128).shape == (3, 128, 128)


def test_skin_moved_by_a_known_field_under_noise(portrait: np.ndarray) -> None:
    face, random = (
        cv2.resize(portrait[40:230, 130:320], (112, 112), interpolation=cv2.INTER_AREA),
        np.random.default_rng(0),
    )
    field = bump(112, 2.0)
    field += bump(112, 2.0)[:, ::-1]

    def noisy(image: np.ndarray) -> np.ndarray:
        return np.clip(image + random.normal(0, 2, image.shape), 0, 255).astype(np.uint8)

    one, two = noisy(face), noisy(warp(face, field))
    planes = flow_image(one, two, 112, motion="none")
    found = planes[:2].transpose(1, 2, 0) * 112 / 1000
    inside = np.s_[8:-8, 8:-8]
    error = np.linalg.norm(found - field, axis=2)[inside].mean()
    assert error < 0.6 * np.linalg.norm(field, axis=2)[inside].mean()
    known = strain(field)[inside]
    assert np.corrcoef(planes[2][inside].reshape(-1), known.reshape(-1))[0, 1] > 0.6
    rough = flow_image(one, two, 112, motion="none", smooth=0)[2][inside] / 1000
    assert np.abs(planes[2][inside] / 1000 - known).mean() < np.abs(rough - known).mean()


def test_blocks_go_row_by_row() -> None:
    image = np.arange(3 * 4 * 6).reshape(3, 4, 6)
    cut = blocks(image, 2)
    assert cut.shape == (6, 3, 2, 2)
    for k in range(6):
        row, column = divmod(k, 3)
        assert (cut[k] == image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]).all()
    with pytest.raises(InputError, match="do not fill"):
        blocks(image, 3)


def test_blocks_agree_with_those_of_the_network() -> None:
    torch = pytest.importorskip("torch")
    from mien.layers.block_attention import cut_blocks

    image = np.random.default_rng(0).random((3, 8, 8))
    assert (cut_blocks(torch.from_numpy(image)[None], 4)[0].numpy() == blocks(image, 4)).all()


def test_warping_a_picture_moves_it_by_the_field() -> None:
    onset, apex, _ = moved(np.eye(2), (1.4, -0.7))
    field = np.broadcast_to(np.array([1.4, -0.7]), (S, S, 2))
    assert np.abs(warp(onset, field).astype(int) - apex)[INSIDE].mean() < 1
    clip = clip_of(onset, field, 5)
    assert clip.shape == (5, S, S)
    assert (clip[0] == onset).all()
    assert np.abs(clip[-1].astype(int) - apex)[INSIDE].mean() < 1
    back = clip_of(apex, field, 5, backwards=True)
    assert (back[-1] == apex).all()
    assert np.abs(back[0].astype(int) - onset)[INSIDE].mean() < 1
    found = optical_flow(clip[0], clip[2])[INSIDE]
    assert found.mean((0, 1)) == pytest.approx([0.7, -0.35], abs=0.1)
    with pytest.raises(InputError, match="need 2"):
        clip_of(onset, field, 1)


def test_patterns_against_a_loop() -> None:
    grey = np.random.default_rng(1).integers(0, 6, (7, 8), dtype=np.uint8)
    codes = binary_patterns(grey)
    ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    for row, column in np.ndindex(*codes.shape):
        r, c = row + 1, column + 1
        assert codes[row, column] == sum(2**k * (grey[r + i, c + j] >= grey[r, c]) for k, (i, j) in enumerate(ring))


APEX = 11


def rise_and_fall(frames: int = 18) -> np.ndarray:
    """A clip whose pull is strongest at row `APEX`, with the head drifting and a little noise."""
    onset, random = texture(*places(64)), np.random.default_rng(5)
    course = [t / APEX if t <= APEX else max(0.0, 1 - (t - APEX) / 9) for t in range(frames)]
    clip = [warp(onset, bump(64) * share + np.array([0.05 * t, 0])) for t, share in enumerate(course)]
    return np.clip(np.stack(clip) + random.normal(0, 1, (frames, 64, 64)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("measure", ["flow", "lbp"])
def test_the_apex_is_found(measure: str) -> None:
    clip = rise_and_fall()
    curve = intensity(clip, measure)
    assert curve[0] == pytest.approx(0, abs=1e-6)
    assert (curve[1:] > 0).all()
    assert abs(spot_apex(clip, measure) - APEX) <= 1
    assert 0 <= spot_apex(clip[:3], measure) < 3


def test_lbp_distance_against_a_loop() -> None:
    clip = np.random.default_rng(2).integers(0, 255, (2, 14, 14), dtype=np.uint8)
    slow = 0.0
    codes = [binary_patterns(frame) for frame in clip]
    for row in (slice(0, 6), slice(6, 12)):
        for column in (slice(0, 6), slice(6, 12)):
            one, two = ([(code[row, column] == k).mean() for k in range(256)] for code in codes)
            slow += sum((a - b) ** 2 / (a + b) for a, b in zip(one, two, strict=True) if a + b) / 4
    assert intensity(clip, "lbp", grid=2)[1] == pytest.approx(slow)


def test_smoothing_against_a_loop() -> None:
    curve = np.random.default_rng(0).random(9)
    slow = [np.mean([curve[j] for j in range(9) if abs(i - j) <= 2]) for i in range(9)]
    assert smoothed(curve, 5) == pytest.approx(slow)
    assert smoothed(curve, 1) == pytest.approx(curve)


def test_bad_input_is_named() -> None:
    image = np.zeros((32, 32), np.uint8)
    for call, words in (
        (lambda: optical_flow(image, image, "farneback"), "farneback.*choose one of dis, tvl1"),
        (lambda: optical_flow(image, image[:20]), "must be of one size"),
        (lambda: optical_flow(image[:8], image[:8]), "needs 24 px"),
        (lambda: optical_flow(image.astype(float), image), "float64.*uint8"),
        (lambda: head_motion(np.zeros((4, 4, 2)), "affine"), "affine.*choose one of median"),
        (lambda: intensity(image[None], "hog"), "hog.*flow, lbp"),
        (lambda: intensity(image[None], onset=2), "onset at 2"),
        (lambda: intensity(image[None, :6, :6], "lbp"), "larger crops"),
        (lambda: spot_apex(image[None], width=4), "odd"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_tvl1_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("skimage"):
            raise ModuleNotFoundError("No module named 'skimage'", name="skimage")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    image = np.zeros((32, 32), np.uint8)
    with pytest.raises(MissingExtra, match="skimage"):
        optical_flow(image, image, "tvl1")
