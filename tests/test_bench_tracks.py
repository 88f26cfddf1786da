"""The made scenes in which people cross, leave and come back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.bench.tracks import measure, portraits_of, returns
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
        assert returns(folder, flow, 1.0, same=False, seed=seed) is False


def test_crossings_and_switches_are_counted(flow: Flow, folder: Path) -> None:
    found = measure(folder, flow, people=2, frames=150, seed=1)
    assert found.frames == 150
    assert found.crossings >= 1
    assert 100 < found.seen <= 300
    assert (found.switches, found.tracks) == (0, 2)


def test_a_folder_without_enough_portraits_is_named(flow: Flow, folder: Path) -> None:
    with pytest.raises(DataError, match=r"holds 2 portraits named \*_neutral.jpg; 3 are needed"):
        portraits_of(folder, 3, 0)
    with pytest.raises(DataError):
        measure(folder, flow, people=3)
