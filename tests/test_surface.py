"""Surfaces of known shape, and depth maps as features."""

from __future__ import annotations

import numpy as np
import pytest

from mien.datasets.ict import rotation
from mien.errors import DataError
from mien.faces.surface import curvatures, fit_patches, mean_shape, normals, rigid
from mien.features.depth_maps import CHANNELS, depth_maps, maps_of

SIZE, SPACING = 41, 2.0


def grid() -> tuple[np.ndarray, np.ndarray]:
    """x right and y up of each pixel, mm, 0 in the middle."""
    axis = (np.arange(SIZE) - SIZE // 2) * SPACING
    x, y = np.meshgrid(axis, -axis)
    return x, y


def ball(radius: float = 90.0) -> np.ndarray:
    x, y = grid()
    return np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))


def test_a_ball_seen_from_outside() -> None:
    x, y = grid()
    patch = fit_patches(ball(), SPACING)
    mean, gauss, shape = curvatures(patch)
    expected = np.stack([x, y, ball()]) / 90
    inner = (slice(3, -3),) * 2
    assert np.abs(normals(patch) - expected)[(slice(None), *inner)].max() < 2e-3
    assert np.abs(mean[inner] * 90 - 1).max() < 0.02
    assert np.abs(gauss[inner] * 90**2 - 1).max() < 0.04
    assert shape[inner].min() > 0.9


@pytest.mark.parametrize(
    ("z", "mean", "gauss", "shape"),
    [
        (lambda x, y: np.sqrt(80.0**2 - x**2) + 0 * y, 1 / 160, 0, 0.5),  # a pipe
        (lambda x, y: -np.sqrt(80.0**2 - x**2) + 0 * y, -1 / 160, 0, -0.5),  # a gutter
        (lambda x, y: -np.sqrt(80.0**2 - x**2 - y**2), -1 / 80, 1 / 80**2, -1),  # a cup
        (lambda x, y: x * y / 50, 0, -1 / 50**2, 0),  # a saddle
        (lambda x, y: 0.5 * x - 0.25 * y, 0, 0, None),  # a slope
    ],
)
def test_other_surfaces_in_the_middle(z, mean, gauss, shape) -> None:
    found = [image[SIZE // 2, SIZE // 2] for image in curvatures(fit_patches(z(*grid()), SPACING))]
    assert found[0] == pytest.approx(mean, abs=1e-4)
    assert found[1] == pytest.approx(gauss, abs=1e-6)
    if shape is not None:
        assert found[2] == pytest.approx(shape, abs=0.02)


def test_normals_of_a_slope_point_up_it() -> None:
    x, y = grid()
    normal = normals(fit_patches(0.5 * x - 0.25 * y + 7, SPACING))[:, 4, 9]
    assert normal == pytest.approx(np.array([-0.5, 0.25, 1]) / np.sqrt(1.3125))


def test_fit_against_a_loop_with_holes() -> None:
    random = np.random.default_rng(0)
    depth = random.normal(0, 3, (12, 12))
    depth[random.random((12, 12)) < 0.3] = np.nan
    patch = fit_patches(depth, 0.5, 5)
    solved = 0
    for row in range(12):
        for column in range(12):
            rows, weight, total = [], [], 0.0
            for i in range(-2, 3):
                for j in range(-2, 3):
                    w = np.exp(-(i * i + j * j) / (2 * 1.25**2))
                    total += w
                    r, c = row + i, column + j
                    if 0 <= r < 12 and 0 <= c < 12 and np.isfinite(depth[r, c]):
                        x, y = 0.5 * j, -0.5 * i
                        rows.append((1, x, y, x * x / 2, x * y, y * y / 2, depth[r, c]))
                        weight.append(np.sqrt(w))
            if sum(w * w for w in weight) < total / 2:
                assert np.isnan(patch.z[row, column])
                continue
            table = np.array(rows) * np.array(weight)[:, None]
            best = np.linalg.lstsq(table[:, :6], table[:, 6], rcond=None)[0]
            found = [getattr(patch, name)[row, column] for name in ("z", "x", "y", "xx", "xy", "yy")]
            assert found == pytest.approx(best, rel=1e-4, abs=1e-4)
            solved += 1
    assert 40 < solved < 144


def test_fit_is_refused_in_words() -> None:
    for depth, spacing, window, words in (
        (np.zeros((3, 4, 4)), 1.0, 5, r"expected \[H, W\]"),
        (np.zeros((4, 4)), 0.0, 5, "a spacing above 0"),
        (np.zeros((4, 4)), 1.0, 4, "window 4"),
    ):
        with pytest.raises(DataError, match=words):
            fit_patches(depth, spacing, window)


def test_rigid_finds_the_turn_and_never_mirrors() -> None:
    random = np.random.default_rng(1)
    points = random.normal(0, 40, (83, 3))
    turn, shift = rotation(33, -12, 8), np.array([5.0, -3, 60])
    found, moved = rigid(points, points @ turn.T + shift)
    assert found == pytest.approx(turn)
    assert moved == pytest.approx(shift)
    mirrored, _ = rigid(points, points * (-1, 1, 1))
    assert np.linalg.det(mirrored) == pytest.approx(1)
    with pytest.raises(DataError, match="expected the same"):
        rigid(points, points[:9])
    with pytest.raises(DataError, match="no numbers"):
        rigid(points, points * np.nan)


def test_the_mean_shape_is_upright_where_heads_turn_both_ways() -> None:
    random = np.random.default_rng(2)
    base = random.normal(0, 40, (83, 3))
    base -= base.mean(0)
    turned = [base @ rotation(yaw, 0, 0).T + random.normal(0, 99, 3) for yaw in (-30, -10, 10, 30)]
    assert mean_shape(np.stack(turned)) == pytest.approx(base, abs=1e-6)


# --- depth maps as features


def test_channels_of_a_ball() -> None:
    depth = ball(90) - 40
    depth[:5] = np.nan
    maps = maps_of(depth, SPACING * SIZE)
    assert maps.shape == (7, SIZE, SIZE)
    assert maps.dtype == np.float32
    found = dict(zip(CHANNELS, maps, strict=True))
    middle = SIZE // 2
    assert found["depth"][middle, middle] == pytest.approx(50 / 60, abs=1e-3)
    assert found["z"][middle, middle] == pytest.approx(1, abs=1e-4)
    assert found["mean"][middle, middle] == pytest.approx(15 / 90, rel=0.02)
    assert found["gauss"][middle, middle] == pytest.approx((15 / 90) ** 2, rel=0.04)
    assert (maps[:, :4] == 0).all()
    assert np.abs(maps).max() <= 1


def test_extractor_takes_stills_and_sequences() -> None:
    read = depth_maps(channels=["depth", "shape"], window=SPACING * SIZE)
    two = np.stack([ball(90), ball(60)]).astype(np.float32)
    maps = read(two)
    assert maps.shape == (4, SIZE, SIZE)
    assert (maps[2:] == read(two[1])).all()
    assert len(read(np.full((SIZE, SIZE), np.nan))) == 0
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros(4, np.float32), np.zeros((4, 5), np.float32)):
        with pytest.raises(DataError, match="depth-maps reads"):
            read(wrong)
    with pytest.raises(DataError, match=r"\['colour'\]"):
        depth_maps(channels=["colour"])(two)
