"""The synthetic faces: geometry against slow loops, paint, the fake model and, where it is, the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import data_folder
from mien.datasets.ict import FILES, FaceModel, fake
from mien.datasets.ict_paint import Painter, background, sample
from mien.datasets.ict_raster import rasterise
from mien.errors import DataError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    root = tmp_path_factory.mktemp("ict")
    fake(root)
    return FaceModel(root)


def flat(model: FaceModel) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(len(model.identity_delta)), np.zeros(len(model.expressions))


def slow_depth(xy: np.ndarray, z: np.ndarray, triangles: np.ndarray, size: int) -> np.ndarray:
    depth = np.full((size, size), np.inf)
    for triangle in triangles:
        matrix = np.vstack([xy[triangle].T, np.ones(3)])
        if abs(np.linalg.det(matrix)) < 1e-9:
            continue
        inverse = np.linalg.inv(matrix)
        for row in range(size):
            for column in range(size):
                weights = inverse @ (column + 0.5, row + 0.5, 1)
                if (weights >= -1e-12).all():
                    depth[row, column] = min(depth[row, column], weights @ z[triangle])
    return depth


def test_rasteriser_agrees_with_a_slow_loop() -> None:
    random = np.random.default_rng(0)
    xy, z = random.uniform(-3, 15, (12, 2)), random.uniform(1, 9, 12)
    triangles = random.integers(0, 12, (8, 3))
    index, _, weights, depth = rasterise(xy, z, triangles, 12)
    field = np.full(144, np.inf)
    field[index] = depth
    np.testing.assert_allclose(field.reshape(12, 12), slow_depth(xy, z, triangles, 12), atol=1e-9)
    np.testing.assert_allclose(weights.sum(1), 1)


def test_nothing_to_draw() -> None:
    assert all(len(part) == 0 for part in rasterise(np.zeros((3, 2)), np.ones(3), np.array([[0, 1, 2]]), 8))


def test_landmarks_lie_on_the_drawn_face(model: FaceModel) -> None:
    picture = model.render(*flat(model), (20.0, -10.0, 15.0), size=96)
    column, row = np.floor(picture.landmarks).astype(int).T
    assert picture.image.shape == (96, 96, 3)
    assert np.isfinite(picture.depth[row, column]).mean() > 0.9
    assert picture.image[~np.isfinite(picture.depth)].max() == 0


def test_pose_signs(model: FaceModel) -> None:
    straight = model.render(*flat(model)).landmarks
    rolled = model.render(*flat(model), (0.0, 0.0, 20.0)).landmarks
    eyes = rolled[45] - rolled[36]
    assert np.degrees(np.arctan2(eyes[1], eyes[0])) == pytest.approx(20, abs=3)
    middle = straight[27] - straight[[36, 45]].mean(0)
    turned = model.render(*flat(model), (30.0, 0.0, 0.0)).landmarks
    assert (turned[27] - turned[[36, 45]].mean(0))[0] > middle[0] + 1
    nodded = model.render(*flat(model), (0.0, 30.0, 0.0)).landmarks
    assert np.linalg.norm(nodded[27] - nodded[8]) != pytest.approx(np.linalg.norm(straight[27] - straight[8]), abs=1)


def test_expression_moves_the_jaw(model: FaceModel) -> None:
    who, calm = flat(model)
    open_ = calm.copy()
    open_[model.expressions.index("jawOpen")] = 1
    gap = model.shape(who, open_) - model.shape(who, calm)
    assert gap[:, 1].min() == pytest.approx(-1, abs=1e-3)
    assert np.abs(gap[model.neutral[:, 1] > -2]).max() < 1e-6


def test_light_side_is_brighter(model: FaceModel) -> None:
    image = model.render(*flat(model), light=(-1.0, 0.0, 0.5), size=64).image.astype(float).mean(2)
    assert image[:, 16:30].mean() > 1.2 * image[:, 34:48].mean()


def test_samples_are_deterministic_and_differ(model: FaceModel) -> None:
    painter = Painter(model)
    first, again, other = (sample(painter, np.random.default_rng(seed), 48) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)
    assert not np.array_equal(first.image, other.image)
    paint = painter.paint(np.random.default_rng(0))
    assert paint.shape == (len(model.neutral), 3)
    assert 0 <= paint.min() <= paint.max() <= 1
    assert background(np.random.default_rng(0), 32).shape == (32, 32, 3)


def test_missing_and_broken_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"facexmodel\.npz is missing; put"):
        FaceModel(tmp_path)
    fake(tmp_path)
    (tmp_path / FILES[2]).write_text("{}")
    with pytest.raises(DataError, match="does not hold"):
        FaceModel(tmp_path)
    (tmp_path / FILES[2]).write_text('{"idx_to_landmark_verts": [1, 2]}')
    with pytest.raises(DataError, match="do not fit"):
        FaceModel(tmp_path)


def test_the_real_model() -> None:
    model = FaceModel(data_folder("ict_facekit"))
    picture = sample(Painter(model), np.random.default_rng(3), 128)
    assert model.neutral.shape == (26719, 3)
    assert len(model.expressions) == 57
    column, row = np.clip(picture.landmarks, 0, 127).astype(int).T
    assert np.isfinite(picture.depth[row, column]).mean() > 0.8
    points = model.render(*flat(model), size=200).landmarks
    assert points[0, 0] < points[36, 0] < points[45, 0] < points[16, 0]
    assert points[19, 1] < points[37, 1] < points[30, 1] < points[57, 1] < points[8, 1]
