"""The made scenes in which people cross, leave and come back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import media_folder, write_clip
from mien.bench.tracks import cut_clips, cut_portraits, measure, portraits_of, returns
from mien.errors import DataError
from mien.pipeline.flow import Flow, Options


@pytest.fixture(scope="module")
def flow() -> Flow:
    return Flow(Options(threads=1, detector="blazeface"))


@pytest.fixture
def folder(tmp_path: Path, portrait: np.ndarray) -> Path:
    """The astronaut, and the same in other colours."""
    face = np.ascontiguousarray(portrait[0:240, 100:340, ::-1])
    cv2.imwrite(str(tmp_path / "1_neutral.jpg"), face)
    cv2.imwrite(str(tmp_path / "2_neutral.jpg"), np.roll(face, 1, 2))
    return tmp_path


def test_people_who_leave_and_come_back(flow: Flow, folder: Path) -> None:
    for seed in (0, 1):
        assert returns(folder, flow, 1.0, same=True, seed=seed) is True
        assert returns(folder, flow, 8.0, same=True, seed=seed) is False
        assert returns(folder, flow, 1.0, same=False, seed=seed) is True  # the same face in other colours


def test_cuts_between_real_people(flow: Flow) -> None:
    portraits = media_folder() / "faces"
    assert [returns(portraits, flow, 1.0, same=same, seed=3) for same in (True, False)] == [True, False]
    for backdrops in (False, True):
        found = cut_portraits(portraits, flow, 2, backdrops=backdrops)
        assert (found.clips, found.merged, found.back, found.tracks) == (2, 0, 2, 4)


def test_clips_of_the_same_face_are_one_track(flow: Flow, folder: Path, tmp_path: Path) -> None:
    face = cv2.resize(cv2.imread(str(folder / "1_neutral.jpg")), (320, 320))
    for name in ("a_1", "a_2", "b_1", "b_2"):
        whose = face if name[0] == "a" else face[:, ::-1]
        write_clip(tmp_path / f"{name}.mp4", [np.roll(whose, t % 3, 1)[:, :, ::-1] for t in range(30)])
    found = cut_clips(tmp_path, flow, 2)
    assert (found.clips, found.merged, found.back, found.tracks) == (2, 2, 2, 2)  # a mirrored face is the same face


def test_crossings_and_switches_are_counted(flow: Flow, folder: Path) -> None:
    found = measure(folder, flow, people=2, length=150, seed=1)
    assert found.frames == 150
    assert found.crossings >= 1
    assert 100 < found.seen <= 300
    assert (found.switches, found.tracks) == (0, 2)


def test_a_folder_without_enough_portraits_is_named(flow: Flow, folder: Path) -> None:
    with pytest.raises(DataError, match=r"holds 2 portraits named \*_neutral.jpg; 3 are needed"):
        portraits_of(folder, 3, 0)
    with pytest.raises(DataError):
        measure(folder, flow, people=3)
