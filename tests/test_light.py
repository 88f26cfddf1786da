"""Light and pose of face crops normalised, each against a slow loop, another library or a case made by hand."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from conftest import data_folder
from mien.errors import UnknownName
from mien.faces.frontal import POSES, camera, find_points, frontal, pose, roll_of, symmetric, upright, yaw_of
from mien.faces.head import MEAN
from mien.faces.landmarks import Landmarks
from mien.faces.light import (
    LIGHTS,
    clahe,
    cosines,
    dct,
    denoise,
    dog,
    equalise,
    expose,
    gamma,
    gamma_auto,
    light,
    noise,
    zigzag,
)
from mien.faces.solid import MIDDLE, UNIT, relief

SIDE = 48


def scene(seed: int = 0, colour: bool = False) -> np.ndarray:
    """Smooth made-up pictures, uint8 [3, 48, 48] or [3, 48, 48, 3]."""
    random = np.random.default_rng(seed)
    shape = (3, 8, 8, 3) if colour else (3, 8, 8)
    return np.stack([cv2.resize(p, (SIDE, SIDE)) for p in random.integers(20, 236, shape).astype(np.uint8)])


def turned(yaw: float, roll: float = 0.0, side: int = SIDE) -> np.ndarray:
    """The mean head's 68 points [68, 2] as a camera sees them, in pixels of a crop."""
    a, b = math.radians(yaw), math.radians(roll)
    solid = MEAN @ np.array([[math.cos(a), 0, -math.sin(a)], [0, 1, 0], [math.sin(a), 0, math.cos(a)]])
    flat = solid[:, :2] @ np.array([[math.cos(b), math.sin(b)], [-math.sin(b), math.cos(b)]])
    return np.asarray((flat * UNIT + MIDDLE) * side)


@pytest.mark.parametrize("name", LIGHTS)
@pytest.mark.parametrize("colour", [False, True])
def test_every_light_gives_crops_like_those_it_takes(name: str, colour: bool) -> None:
    faces = scene(colour=colour)
    kept = faces.copy()
    out = light(name)(faces)
    assert out.shape == faces.shape
    assert out.dtype == np.uint8
    assert np.array_equal(faces, kept)
    assert np.array_equal(light(name)(faces[1:2])[0], out[1])
    flat = np.full((1, SIDE, SIDE), 77, np.uint8)
    assert light(name)(flat).std() == 0
    assert light(name)(faces[:0]).shape == faces[:0].shape


def test_unknown_names_are_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="clahe"):
        light("candle")
    with pytest.raises(UnknownName, match="upright"):
        pose("upside-down")


def test_equalise_against_a_loop() -> None:
    face = scene()[0]
    counts = [0] * 256
    for value in face.ravel().tolist():
        counts[value] += 1
    first = next(c for c in counts if c)
    table, total = {}, 0
    for value, count in enumerate(counts):
        total += count
        if count:
            table[value] = 255 * (total - first) / (face.size - first)
    expected = np.array([[table[v] for v in row] for row in face.tolist()])
    assert np.abs(equalise(face[None])[0] - expected).max() <= 0.51


def test_clahe_is_opencvs_and_lifts_local_contrast() -> None:
    face = (scene()[0] // 8 + 100).astype(np.uint8)
    assert clahe(face[None], 4.0)[0].std() > 1.2 * face.std()
    assert np.array_equal(clahe(face[None], 4.0, 2)[0], cv2.createCLAHE(4.0, (2, 2)).apply(face))


def test_gamma_against_its_formula() -> None:
    face = scene()[:1]
    expected = [[round(255 * (v / 255) ** 0.5) for v in row] for row in face[0].tolist()]
    assert np.abs(gamma(face, 0.5)[0].astype(int) - expected).max() <= 1
    flat = np.full((1, 8, 8), 30, np.uint8)
    assert abs(int(gamma_auto(flat)[0, 0, 0]) - 128) <= 1  # the power brings the mean to the middle
    dark = (scene() // 6).astype(np.uint8)
    assert abs(gamma_auto(dark).mean() - 127.5) < 20 < 127.5 - dark.mean()


def test_exposure_leaves_usual_faces_alone_and_brings_dark_ones_to_the_range() -> None:
    usual = scene()
    assert np.array_equal(expose(usual), usual)
    dark = (usual // 8).astype(np.uint8)
    lifted = expose(dark, low=0.1)
    light_of = [((face / 255) ** 2.2).mean() for face in lifted]
    assert np.allclose(light_of, 0.1, atol=0.01)
    white = np.full((1, 8, 8), 240, np.uint8)
    assert ((expose(white, high=0.5) / 255) ** 2.2).mean() == pytest.approx(0.5, abs=0.01)


def test_dct_against_a_loop_and_opencv() -> None:
    values = np.random.default_rng(0).normal(size=(6, 6))
    slow = np.zeros((6, 6))
    for k in range(6):
        for m in range(6):
            scale = (1 / 6 if k == 0 else 2 / 6) ** 0.5 * (1 / 6 if m == 0 else 2 / 6) ** 0.5
            for i in range(6):
                for j in range(6):
                    turn = math.cos(math.pi * (i + 0.5) * k / 6) * math.cos(math.pi * (j + 0.5) * m / 6)
                    slow[k, m] += scale * values[i, j] * turn
    fast = cosines(6) @ values @ cosines(6).T
    assert np.allclose(fast, slow)
    assert np.allclose(fast, cv2.dct(values))
    # JPEG's order: right, down-left, down, up-right, up-right ...
    order = list(zip(*(a.tolist() for a in zigzag(8, 9)), strict=True))
    assert order == [(0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0)]


def test_dct_takes_off_light_that_falls_from_a_side() -> None:
    face = np.clip(scene(1)[0].astype(float), 60, 200)
    # a fall-off that is a low cosine in the log is taken off but for rounding
    shade = np.exp(-0.5 * np.cos(np.pi * (np.arange(SIDE) + 0.5) / SIDE) - 0.6)
    plain, shaded = (face + 0.5).astype(np.uint8), (face * shade + 0.5).astype(np.uint8)
    before = np.abs(plain.astype(float) - shaded).mean()
    after = np.abs(dct(plain[None]).astype(float) - dct(shaded[None])).mean()
    assert after < before / 10


def test_dog_against_its_steps() -> None:
    face = scene(2)[0]
    x = (face / 255.0) ** 0.2
    parts = []
    for sigma in (1.0, 2.0):
        reach = round(sigma * 4)
        taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma * sigma))
        taps /= taps.sum()
        wide = np.pad(x, reach, mode="reflect")
        wide = np.stack([np.convolve(row, taps, "valid") for row in wide])
        parts.append(np.stack([np.convolve(column, taps, "valid") for column in wide.T]).T)
    y = parts[0] - parts[1]
    y = y / np.mean(np.abs(y) ** 0.1) ** 10
    y = y / np.mean(np.minimum(np.abs(y), 10) ** 0.1) ** 10
    expected = np.clip(127.5 + 127.5 / 4 * 10 * np.tanh(y / 10), 0, 255)
    assert np.abs(dog(face[None])[0] - expected).mean() < 1.5


def test_noise_is_measured_and_taken_off_only_where_there_is_some() -> None:
    random, clean = np.random.default_rng(0), scene(5)
    for deviation in (6, 12, 20):
        noisy = np.full((96, 96), 128.0) + random.normal(0, deviation, (96, 96))
        assert noise(noisy.astype(np.uint8)) == pytest.approx(deviation, rel=0.06)
    assert np.array_equal(denoise(clean), clean)
    spoilt = np.clip(clean + random.normal(0, 15, clean.shape), 0, 255).astype(np.uint8)
    out = denoise(spoilt).astype(float)

    def away(a: np.ndarray, b: np.ndarray) -> float:
        """One minus the correlation, which does not mind that the grey values have been stretched."""
        return 1 - float(np.corrcoef(a.ravel(), b.ravel())[0, 1])

    for i in range(3):
        assert away(out[i], clean[i]) < 0.5 * away(spoilt[i], clean[i])


def test_relief_runs_through_the_mean_heads_points_and_falls_back_behind() -> None:
    assert np.abs(relief(MEAN[:, 0], MEAN[:, 1]) - MEAN[:, 2]).max() < 0.03
    assert relief(np.array([1.4]), np.array([0.0]))[0] < -1
    x = np.linspace(0, 1, 9)
    assert np.allclose(relief(x, np.full(9, 0.4)), relief(-x, np.full(9, 0.4)), atol=0.03)


@pytest.mark.parametrize("yaw", [-50, -20, 0, 35])
def test_yaw_and_roll_of_the_mean_head_are_exact(yaw: float) -> None:
    points = turned(yaw, roll=12)
    assert yaw_of(turned(yaw)) == pytest.approx(yaw, abs=0.01)
    # the line between the eyes is level on the head, so turning the head does not slant it much
    assert roll_of(points) == pytest.approx(12, abs=0.01)
    solid = np.column_stack([MEAN, np.ones(68)])
    assert np.allclose(solid @ camera(points).T, points)


def test_yaw_of_rendered_faces() -> None:
    """True landmarks of synthetic renders of the neutral ICT face, turned by a known angle."""
    from mien.datasets.ict import FaceModel

    model = FaceModel(data_folder("ict_facekit"))
    still = np.zeros(len(model.expressions))
    for yaw in (-40.0, -15.0, 0.0, 25.0):
        render = model.render(np.zeros(32), still, (yaw, 0.0, 0.0), size=96)
        assert yaw_of(render.landmarks) == pytest.approx(yaw, abs=3)


def test_yaw_by_the_networks_points_of_rendered_faces() -> None:
    """Made-up people (SYNTHETIC), at 48 pixels."""
    from mien.datasets.ict import FaceModel
    from mien.datasets.ict_paint import Painter
    from mien.datasets.synthetic_scene import draw_person

    painter, finder = Painter(FaceModel(data_folder("ict_facekit"))), Landmarks(1)
    people = [draw_person(painter, 1, number, 192) for number in range(5)]
    still = np.zeros(len(painter.model.expressions))
    for yaw in (-45.0, 0.0, 30.0):
        found = []
        for person in people:
            render = painter.model.render(person.identity, still, (yaw, 0, 0), albedo=person.albedo, size=192)
            points = render.landmarks
            side = float(np.linalg.norm(points[27] - points[8])) / 1.69 / UNIT
            x, y = (points.min(0)[0] + points.max(0)[0]) / 2 - side / 2, points[36:48].mean(0)[1] - MIDDLE[1] * side
            matrix = np.array([[48 / side, 0, -x * 48 / side], [0, 48 / side, -y * 48 / side]])
            crop = cv2.warpAffine(cv2.GaussianBlur(render.image, (0, 0), side / 96), matrix, (48, 48))
            found.append(yaw_of(find_points(np.asarray(crop)[None], finder)[0]))
        assert np.mean(found) == pytest.approx(yaw, abs=3.5)
        assert np.std(found) < 3.5


def test_upright_undoes_a_roll() -> None:
    face = cv2.GaussianBlur(scene(3)[0], (0, 0), 2)
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), -25, 1)  # OpenCV counts against the clock
    tilted = cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    points = turned(0)
    moved = (points - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5
    assert roll_of(moved) == pytest.approx(25, abs=0.1)
    back = upright(tilted, moved)
    inner = slice(14, 34)
    assert np.abs(back[inner, inner].astype(float) - face[inner, inner]).mean() < 3
    assert np.abs(tilted[inner, inner].astype(float) - face[inner, inner]).mean() > 9


def test_frontal_undoes_the_projection_of_the_mean_head() -> None:
    """A picture painted on the mean head is drawn turned by 30 degrees; from the front it is that picture again."""
    line = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid((line - MIDDLE[0]) / UNIT, (line - MIDDLE[1]) / UNIT)
    points, angle = turned(30), math.radians(30)

    def paint(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(128 + 60 * np.sin(6 * u) * np.cos(2 * v + 1))

    u, v = np.meshgrid(np.linspace(-1.3, 1.3, 220), np.linspace(-1.1, 1.7, 120))
    z = relief(u, v)
    column = np.floor(((math.cos(angle) * u + math.sin(angle) * z) * UNIT + MIDDLE[0]) * SIDE).astype(int)
    row = np.floor((v * UNIT + MIDDLE[1]) * SIDE).astype(int)
    order = np.argsort((math.cos(angle) * z - math.sin(angle) * u), axis=None)  # the nearest is painted last
    order = order[((column >= 0) & (column < SIDE) & (row >= 0) & (row < SIDE)).ravel()[order]]
    drawn = np.full((SIDE, SIDE), 128.0)
    drawn[row.ravel()[order], column.ravel()[order]] = paint(u, v).ravel()[order]
    back = frontal((drawn + 0.5).astype(np.uint8), points).astype(float)
    # the near side of the face, which the camera saw well
    seen = (x > -0.55) & (x < 0.0) & (y > -0.3) & (y < 1.2)
    assert np.abs(back - paint(x, y))[seen].mean() < 6
    assert np.abs(drawn - paint(x, y))[seen].mean() > 16


@pytest.mark.parametrize("yaw", [30, -30])
def test_symmetric_is_its_own_mirror_image_and_made_of_the_nearer_half(yaw: float) -> None:
    face = np.zeros((SIDE, SIDE), np.uint8)
    points = turned(yaw)
    middle = points[27, 0]
    left = np.arange(SIDE) + 0.5 < middle
    face[:, left], face[:, ~left] = 50, 200
    out = symmetric(face, points)
    centre = MIDDLE[0] * SIDE
    assert np.abs(out[:, int(centre) - 12].astype(int) - out[:, int(centre) + 11]).max() <= 3
    # a nose that points to the picture's right leaves the half on its left nearer, and the other way round
    assert abs(np.median(out[8:40]) - (50 if yaw > 0 else 200)) < 5


def test_faces_that_look_ahead_are_only_made_upright() -> None:
    face, points = scene(4, colour=True)[0], turned(5, roll=20)
    assert np.array_equal(frontal(face, points), upright(face, points))
    assert np.array_equal(symmetric(face, points), upright(face, points))
    assert np.array_equal(upright(face, turned(0, roll=14)), face)
    assert not np.array_equal(upright(face, turned(0, roll=14), least=10), face)


def test_poses_find_the_points_themselves(portrait: np.ndarray) -> None:
    crop = cv2.resize(portrait[40:200, 145:305], (96, 96), interpolation=cv2.INTER_AREA)
    matrix = cv2.getRotationMatrix2D((47.5, 47.5), -20, 1)
    tilted = np.asarray(cv2.warpAffine(crop, matrix, (96, 96), borderMode=cv2.BORDER_REPLICATE))
    finder = Landmarks(1)
    before = roll_of(find_points(tilted[None], finder)[0])
    straight = pose("upright", finder)(tilted[None])
    after = roll_of(find_points(straight, finder)[0])
    assert abs(before) > 12 > 6 > abs(after)
    for name in POSES:
        assert pose(name, finder)(tilted[None]).shape == (1, 96, 96, 3)
        assert pose(name, finder)(tilted[None, ..., 0]).shape == (1, 96, 96)


def test_analyze_reads_through_the_light_that_was_asked_for(portrait_file: Path, tmp_path: Path) -> None:
    # a small face: in a large one, cutting it out averages the noise away
    image = cv2.resize(cv2.imread(str(portrait_file)), (256, 256), interpolation=cv2.INTER_AREA).astype(float)
    random = np.random.default_rng(0)
    noisy = tmp_path / "noisy.png"
    cv2.imwrite(str(noisy), np.clip(image / 6 + random.normal(0, 8, image.shape), 0, 255).astype(np.uint8))
    plain, smoothed = (mien.analyze(noisy, light=name).rows for name in ("", "denoise"))
    assert len(plain) == len(smoothed) == 1
    assert abs(plain[0]["score"] - smoothed[0]["score"]) > 1e-4
    clean = [mien.analyze(portrait_file, light=name).rows for name in ("", "denoise")]
    assert clean[0] == clean[1], "faces with no more noise than usual are left alone"
    with pytest.raises(UnknownName, match="denoise"):
        mien.analyze(noisy, light="nonsense")
