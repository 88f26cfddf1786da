"""The 68 landmarks: templates, crops, losses, a tiny run end to end, and the file that ships."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from conftest import media_folder
from mien.datasets.frll import LINES, PLACES, along, fake, frll, read_template, to_68
from mien.errors import DataError
from mien.faces.angles import MIRROR

WEIGHTS = Path(__file__).parent.parent / "src" / "mien" / "weights" / "landmarks68.onnx"


def test_frll_reads_its_fake(tmp_path: Path) -> None:
    fake(tmp_path, people=3)
    photos = frll(tmp_path)
    assert len(photos) == 6
    assert photos.expression == ("happy", "neutral") * 3
    assert len(set(photos.person)) == 3
    known = ~np.isnan(photos.points).any((1, 2))
    assert known.tolist() == [False, True] * 3
    assert photos.points[known].max() < 90


def test_every_point_has_one_source() -> None:
    used = [*PLACES, *(index for line in LINES for index in line[1])]
    assert len(used) == len(set(used))
    assert sorted({*used, 27, 28, 29, 30, 32, 34, 60, 64}) == list(range(68))
    template = np.random.default_rng(0).uniform(0, 1350, (189, 2))
    points = to_68(template)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(to_68(template * 0.5 + 3), points * 0.5 + 3, atol=1e-3)


def test_along_against_many_small_steps() -> None:
    line = np.random.default_rng(1).uniform(0, 9, (5, 2))
    dense = np.concatenate([a + np.linspace(0, 1, 20_001)[:, None] * (b - a) for a, b in pairwise(line)])
    walked = np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))
    slow = [dense[1:][np.searchsorted(walked, share * walked[-1])] for share in (0.1, 0.5, 0.83)]
    np.testing.assert_allclose(along(line, (0.1, 0.5, 0.83)), slow, atol=2e-3)


def test_frll_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="put the photographs"):
        frll(tmp_path)
    (tmp_path / "1_neutral.tem").write_text("two\n")
    with pytest.raises(DataError, match="is no template"):
        read_template(tmp_path / "1_neutral.tem")
    (tmp_path / "1_neutral.tem").write_text("1\n3 4\n")
    with pytest.raises(DataError, match=r"expected \[189, 2\]"):
        read_template(tmp_path / "1_neutral.tem")
    (tmp_path / "1_neutral.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="not a readable picture"):
        frll(tmp_path)


def test_the_real_photographs() -> None:
    root = media_folder() / "faces"
    points = read_template(min(root.glob("*.tem")))
    face = to_68(points)
    assert face[0, 0] < face[36, 0] < face[39, 0] < face[42, 0] < face[45, 0] < face[16, 0]
    assert face[19, 1] < face[37, 1] < face[41, 1] < face[30, 1] < face[51, 1] < face[57, 1] < face[8, 1]


def augmentation() -> ModuleType:
    pytest.importorskip("torch")
    return importlib.import_module("mien.train.landmarks_augment")


def test_flip_is_its_own_inverse_and_mirrors_a_symmetric_face() -> None:
    assert (MIRROR[MIRROR] == np.arange(68)).all()
    assert MIRROR[[36, 39, 48, 31, 17, 0, 60]].tolist() == [45, 42, 54, 35, 26, 16, 64]
    assert MIRROR[[8, 27, 30, 33, 51, 57, 62, 66]].tolist() == [8, 27, 30, 33, 51, 57, 62, 66]


def test_points_stay_on_their_pixels_when_cropped() -> None:
    augment = augmentation()
    rng = np.random.default_rng(0)
    picture = np.zeros((1, 160, 160), np.float32)
    picture[0, 90:96, 60:66] = 255
    point = np.full((1, 68, 2), (63.0, 93.0), np.float32)
    box = np.array([[30.0, 40.0, 120.0, 130.0]])
    for _ in range(20):
        matrix = augment.matrices(box, rng, augment.Jitter())
        crop = augment.cut_all(picture, matrix)[0, 0]
        rows, columns = np.mgrid[:64, :64] + 0.5
        seen = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum() / 64
        np.testing.assert_allclose(augment.to_crop(point, matrix)[0, 0], seen, atol=0.004)
    plain = augment.matrices(box)[0]
    side = augment.GEOMETRY.scale * 90
    np.testing.assert_allclose(plain @ (0.5, 0.5, 1), (75, 85 + augment.GEOMETRY.shift_y * side))


def test_training_batches_are_in_range() -> None:
    augment = augmentation()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (12, 80, 80), np.uint8)
    for count in (68, 5):
        points = rng.uniform(20, 60, (12, count, 2)).astype(np.float32)
        boxes = np.tile([20.0, 20.0, 60.0, 60.0], (12, 1))
        images, target = augment.training_batch(pixels, points, boxes, rng, augment.Jitter())
        assert images.shape == (12, 1, 64, 64)
        assert images.dtype == np.float32
        assert 0 <= images.min() <= images.max() <= 1
        assert target.shape == (12, count, 2)


def test_wing_is_continuous_and_matches_its_formula() -> None:
    torch = pytest.importorskip("torch")
    from mien.train.landmarks import wing

    x = torch.tensor([0.05, 0.0999999, 0.1000001, 0.3, -0.3])
    value = wing(x)
    assert float(value[0]) == pytest.approx(0.1 * np.log(1 + 0.05 / 0.02), rel=1e-5)
    assert float(value[1]) == pytest.approx(float(value[2]), abs=1e-5)
    assert float(value[3]) == pytest.approx(0.3 - 0.1 + 0.1 * np.log(6), rel=1e-5)
    assert value[3] == value[4]


def test_teachers_bias_is_found_and_removed() -> None:
    pytest.importorskip("torch")
    from mien.train.landmarks_data import biased, teacher_bias

    rng = np.random.default_rng(0)
    exact = rng.uniform(0, 50, (9, 5, 2))
    bias = rng.normal(0, 0.05, (5, 2))
    taught = exact + biased(exact, bias)
    np.testing.assert_allclose(teacher_bias(exact, taught), bias, atol=1e-6)


def test_network_shape_gradients_and_count() -> None:
    torch = pytest.importorskip("torch")
    from mien.models import MODELS

    network = MODELS.create("landmark-68")
    output = network(torch.rand(3, 1, 64, 64))
    assert output.logits.shape == (3, 136)
    assert output.aux["points"].shape == (3, 68, 2)
    output.logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == MODELS.facts("landmark-68")["parameters"] <= 350_000


def tiny(size: int, rows: int, points: int) -> object:
    from mien.train.landmarks_data import Marked

    rng = np.random.default_rng(rows)
    pixels = rng.integers(0, 255, (rows, size, size), np.uint8)
    place = rng.uniform(0.3 * size, 0.7 * size, (rows, points, 2)).astype(np.float32)
    box = np.tile(np.float32([0.2, 0.2, 0.8, 0.8]) * size, (rows, 1))
    return Marked(pixels, place, box, np.arange(rows) % 5 == 0)


def test_a_tiny_run_resumes_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    import onnxruntime

    from mien.spec import KEY, Spec
    from mien.train import landmarks

    data = landmarks.Sources(tiny(96, 10, 68), tiny(96, 10, 5), tiny(80, 10, 68), tiny(48, 10, 5))  # type: ignore[arg-type]
    monkeypatch.setattr(landmarks, "sources", lambda *_: data)
    monkeypatch.setattr(landmarks, "SHARES", (2, 2, 2, 2))
    nowhere = tmp_path / "nowhere"
    whole = landmarks.train(nowhere, nowhere, nowhere, nowhere, tmp_path / "a", epochs=2, steps=2)
    assert set(whole) >= {"nme_photos_median", "nme_renders_p95", "nme_fer5_failed"}
    again = landmarks.train(nowhere, nowhere, nowhere, nowhere, tmp_path / "a", epochs=2, steps=2)
    assert again == whole
    session = onnxruntime.InferenceSession(str(tmp_path / "a" / "landmarks68.onnx"))
    assert session.run(None, {"face": np.zeros((3, 1, 64, 64), np.float32)})[0].shape == (3, 68, 2)
    spec = Spec.from_json(session.get_modelmeta().custom_metadata_map[KEY])
    assert (spec.task, spec.size, spec.geometry.align) == ("landmarks", 64, "box")


def test_the_file_that_ships_marks_a_portrait(portrait: np.ndarray) -> None:
    import cv2
    import onnxruntime

    from mien.spec import KEY, Spec

    if not WEIGHTS.is_file():
        pytest.skip("landmarks68.onnx is not built")
    assert WEIGHTS.stat().st_size <= 700_000
    session = onnxruntime.InferenceSession(str(WEIGHTS), providers=["CPUExecutionProvider"])
    spec = Spec.from_json(session.get_modelmeta().custom_metadata_map[KEY])
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    x, y, width, height = 178, 63, 90, 113  # the astronaut's face, as a detector frames it
    side = spec.geometry.scale * max(width, height)
    left, top = x + width / 2 - side / 2, y + height / 2 + spec.geometry.shift_y * side - side / 2
    crop = cv2.resize(grey[int(top) : int(top + side), int(left) : int(left + side)], (64, 64), interpolation=3)
    face = np.repeat(crop[None, None].astype(np.float32) / 255, 3, 0)
    points = session.run(None, {"face": face})[0]
    np.testing.assert_allclose(points[0], points[2], atol=1e-5)
    found = points[0] * side + (int(left), int(top))
    eyes = found[36:42].mean(0), found[42:48].mean(0)
    assert np.linalg.norm(eyes[0] - (200, 102)) < 6
    assert np.linalg.norm(eyes[1] - (247, 103)) < 6
    assert found[8, 1] > found[57, 1] > found[33, 1] > eyes[0][1]
