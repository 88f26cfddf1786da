"""Pictures and clips made for the tests, and the folders of real data where there are some."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest


def data_folder(name: str) -> Path:
    """A real data set under MIEN_DATA, or skip."""
    root = os.environ.get("MIEN_DATA")
    if not root or not (Path(root) / name).exists():
        pytest.skip(f"MIEN_DATA holds no {name}")
    return Path(root) / name


def media_folder() -> Path:
    """The folder of real photos and clips that MIEN_MEDIA names, or skip."""
    root = os.environ.get("MIEN_MEDIA")
    if not root or not Path(root).is_dir():
        pytest.skip("MIEN_MEDIA names no folder")
    return Path(root)


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """scikit-image's astronaut, uint8 RGB [512, 512, 3]: a smiling face at about (220, 110), public domain (NASA)."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def portrait_file(portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portrait") / "astronaut.jpg"
    cv2.imwrite(str(path), portrait[:, :, ::-1])
    return path


def write_clip(path: Path, frames: list[np.ndarray], times_ms: list[int] | None = None, *, rotation: int = 0) -> Path:
    """Write frames uint8 RGB as H.264, at 25 frames/s or at the given times."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18", "preset": "ultrafast", "g": "10"}
        stream.codec_context.time_base = __import__("fractions").Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = times_ms[index] if times_ms else index * 40
            frame.time_base = stream.codec_context.time_base
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def clip(tmp_path: Path, portrait: np.ndarray) -> Path:
    """Twelve frames of the portrait moving slowly to the right; no face in frames 5 and 6."""
    frames = []
    for index in range(12):
        image = np.roll(portrait[:400], 2 * index, axis=1)[:, :480]
        frames.append(np.full_like(image, 90) if index in (5, 6) else image)
    return write_clip(tmp_path / "clip.mp4", frames)


@pytest.fixture
def make_clip() -> Callable[..., Path]:
    return write_clip
