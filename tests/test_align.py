"""Cutting faces: the square, the way back, no aliasing."""

from __future__ import annotations

import numpy as np
import pytest

from mien.faces.align import Square, box_square, cut, matrix, squares, to_frame
from mien.faces.quality import angles, quality
from mien.spec import Geometry
from mien.types import Faces


def gradient() -> np.ndarray:
    y, x = np.mgrid[0:200, 0:200]
    return np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)


@pytest.mark.parametrize("side", [24.0, 48.0, 130.0])
@pytest.mark.parametrize("roll", [0.0, 30.0])
def test_cut_shows_the_right_place(side: float, roll: float) -> None:
    square = Square(100, 90, side, roll)
    crop = cut(gradient(), square, 48).astype(float)
    m = matrix(square, 48)
    for u, v in ((10, 10), (40, 12), (24, 24), (5, 44)):
        x, y = m @ (u, v, 1)
        assert crop[v, u, 0] == pytest.approx(x, abs=1.5)
        assert crop[v, u, 1] == pytest.approx(y, abs=1.5)


def test_cut_beyond_the_edge_repeats_the_border() -> None:
    image = np.full((50, 50, 3), 77, np.uint8)
    for square in (Square(0, 0, 60), Square(49, 49, 300), Square(-200, 10, 40), Square(25, 25, 1)):
        assert (cut(image, square, 48) == 77).all()


def test_shrinking_averages_instead_of_picking() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, ::2] = 255  # stripes of one pixel must become grey
    crop = cut(image, Square(200, 200, 384), 48)
    assert abs(int(crop.min()) - 127) < 20
    assert abs(int(crop.max()) - 127) < 20


def test_box_square_scales_and_shifts() -> None:
    square = box_square(np.array([10, 20, 30, 60]), 1.5, 0.1)
    assert (square.x, square.side) == (20, 60)
    assert square.y == pytest.approx(40 + 6)


def upright_points() -> np.ndarray:
    return np.array([[[40, 50], [80, 50], [60, 70], [45, 90], [75, 90]]], np.float32)


def test_square_by_landmarks_turns_with_the_head() -> None:
    points = upright_points()
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = ((points - 60) @ turn.T + 60).astype(np.float32)
    geometry = Geometry("landmarks", 2.0, 0.1)
    box = np.array([[30, 30, 90, 110]])
    flat = squares(Faces(box, np.ones(1), points), geometry, "x")[0]
    tilted = squares(Faces(box, np.ones(1), turned), geometry, "x")[0]
    assert flat.roll == pytest.approx(0, abs=1e-4)
    assert tilted.roll == pytest.approx(20, abs=1e-3)
    assert tilted.side == pytest.approx(flat.side, rel=1e-4)
    centre = np.array([flat.x, flat.y]) - 60
    assert np.array([tilted.x, tilted.y]) - 60 == pytest.approx(turn @ centre, abs=1e-3)


def test_points_return_to_the_frame() -> None:
    square = Square(100, 50, 40, 30)
    back = to_frame(np.array([[0.5, 0.5], [1.0, 0.5]]), square)
    assert back[0] == pytest.approx([100, 50])
    assert back[1] == pytest.approx([100 + 20 * np.cos(np.pi / 6), 50 + 20 * np.sin(np.pi / 6)])


def test_yaw_of_a_turned_model_head() -> None:
    # eyes on a plane, nose 0.6 eye distances in front, seen from afar
    head = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.5, 0.6], [-0.4, 1, 0], [0.4, 1, 0]])
    for degrees in (-40, -15, 0, 25):
        a = np.radians(degrees)
        x = head[:, 0] * np.cos(a) + head[:, 2] * np.sin(a)
        points = np.stack([x, head[:, 1]], 1)[None]
        assert angles(points)[1][0] == pytest.approx(degrees, abs=0.5)


def test_quality_tells_sharp_from_blurred_and_light_from_dark() -> None:
    random = np.random.default_rng(0)
    sharp = random.integers(0, 255, (48, 48, 3), dtype=np.uint8)
    soft = np.full((48, 48, 3), 30, np.uint8) + np.arange(48, dtype=np.uint8)[None, :, None]
    faces = Faces(np.array([[0, 0, 50, 60], [0, 0, 20, 25]]), np.ones(2))
    values = quality(faces, np.stack([sharp, soft]))
    assert values["face_px"].tolist() == [50, 20]
    assert values["blur"][0] > 10 * values["blur"][1]
    assert values["brightness"][0] > values["brightness"][1]
    assert np.isnan(values["roll"]).all()
