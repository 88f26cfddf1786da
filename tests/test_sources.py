"""Readers of pictures and videos, and what they say of bad ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.errors import InputError
from mien.pipeline.sources import Source, find_sources, frames, length, read_picture, upright

RED_LEFT = np.zeros((20, 40, 3), np.uint8)
RED_LEFT[:, :20, 0] = 250


def save(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def test_reads_common_kinds_of_picture_as_rgb(tmp_path: Path) -> None:
    bgr = RED_LEFT[:, :, ::-1]
    for suffix in ("jpg", "png", "webp", "bmp", "tiff", "gif"):
        image = read_picture(save(tmp_path / f"a.{suffix}", bgr))
        assert image.shape == (20, 40, 3), suffix
        assert image.dtype == np.uint8
        assert image[10, 5, 0] > 200, suffix
        assert image[10, 5, 2] < 60, suffix
        assert image[10, 35].max() < 60, suffix


def test_reads_grey_alpha_and_16_bit(tmp_path: Path) -> None:
    grey = np.full((10, 10), 128, np.uint8)
    assert read_picture(save(tmp_path / "grey.png", grey))[5, 5].tolist() == [128, 128, 128]
    alpha = np.dstack([np.full((10, 10, 3), 77, np.uint8), np.full((10, 10), 255, np.uint8)])
    assert read_picture(save(tmp_path / "alpha.png", alpha))[5, 5].tolist() == [77, 77, 77]
    deep = np.full((10, 10, 3), 128 * 257, np.uint16)
    assert read_picture(save(tmp_path / "deep.png", deep))[5, 5].tolist() == [128, 128, 128]


def test_reads_cmyk_and_turns_by_exif(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    picture = image_module.fromarray(RED_LEFT)
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert read_picture(tmp_path / "cmyk.jpg")[10, 5, 0] > 180
    exif = picture.getexif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_picture(tmp_path / "turned.jpg")
    assert image.shape == (40, 20, 3)
    assert image[5, 10, 0] > 200
    assert image[35, 10, 0] < 60


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    first, second = (image_module.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (200, 10))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert read_picture(tmp_path / "a.gif")[4, 4, 0] > 190


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"this is no picture at all", "not a picture"),
        ("half.jpg", None, "cut short"),
    ],
)
def test_bad_pictures_say_so(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is None:
        whole = save(tmp_path / "whole.jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
        content = whole.read_bytes()[:-300]
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)


def test_missing_picture_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.jpg"):
        read_picture("nowhere.jpg")


def test_finds_files_in_folders_and_globs(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.jpg", "a.PNG", "deep/c.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    found, problems = find_sources([str(tmp_path)])
    assert [(Path(s.name).name, s.kind) for s in found] == [
        ("a.PNG", "picture"),
        ("b.jpg", "picture"),
        ("c.mp4", "video"),
    ]
    assert not problems
    found, _ = find_sources([str(tmp_path / "*.jpg"), str(tmp_path / "b.jpg")])
    assert len(found) == 1


def test_camera_and_missing_names() -> None:
    found, problems = find_sources(["camera:1", "no/such/file.jpg", "none*.png"])
    assert found == [Source("camera:1", "camera")]
    assert [p.source for p in problems] == ["no/such/file.jpg", "none*.png"]


def test_empty_folder_is_a_problem(tmp_path: Path) -> None:
    _, problems = find_sources([str(tmp_path)])
    assert "no picture or video" in problems[0].reason


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read everything")
def test_unreadable_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    _, problems = find_sources([str(tmp_path)])
    assert "cannot be read" in problems[0].reason


def test_video_times_and_every(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    images = [np.full((32, 48, 3), 20 * i, np.uint8) for i in range(8)]
    times = [0, 40, 80, 200, 240, 500, 900, 940]
    path = make_clip(tmp_path / "v.mp4", images, times)
    got = list(frames(Source(str(path), "video")))
    assert [f.index for f in got] == list(range(8))
    assert np.allclose([f.time_s for f in got], np.array(times) / 1000, atol=0.002)
    assert [f.index for f in frames(Source(str(path), "video"), every=3)] == [0, 3, 6]
    assert [f.index for f in frames(Source(str(path), "video"), start=5)] == [5, 6, 7]
    assert length(Source(str(path), "video"))[0] == 8


def test_video_rotation_is_applied(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :48] = (250, 0, 0)
    plain = next(frames(Source(str(make_clip(tmp_path / "p.mp4", [image] * 3)), "video"))).image
    turned = next(frames(Source(str(make_clip(tmp_path / "t.mp4", [image] * 3, rotation=90)), "video"))).image
    assert plain.shape[:2] == (64, 96)
    assert turned.shape[:2] == (96, 64)
    # a display rotation of 90 degrees counter-clockwise moves the left side down
    assert turned[80, 32, 0] > 180
    assert turned[16, 32, 0] < 60


def test_upright_is_counter_clockwise() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 2] = 255
    assert upright(image, 90)[0, 0, 0] == 255
    assert upright(image, -90)[2, 1, 0] == 255
    assert upright(image, 180)[1, 0, 0] == 255


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"no video" * 99, "not a video")])
def test_bad_videos_say_so(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        list(frames(Source(str(path), "video")))


def test_truncated_video_gives_what_it_has(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (96, 96, 3), dtype=np.uint8) for _ in range(60)]
    whole = make_clip(tmp_path / "whole.mkv", images).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    got = []
    with pytest.raises(InputError, match="damaged") as caught:
        got.extend(frames(Source(str(path), "video")))
    assert "cut.mkv" in str(caught.value)
    assert 5 < len(got) < 60


def test_a_damaged_middle_costs_only_its_frames(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 255, (96, 96, 3), dtype=np.uint8) for _ in range(40)]
    data = bytearray(make_clip(tmp_path / "whole.ts", images).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path = tmp_path / "hole.ts"
    path.write_bytes(data)
    got = []
    try:
        got.extend(frames(Source(str(path), "video")))
    except InputError as error:
        assert "hole.ts: damaged" in str(error)  # noqa: PT017 - FFmpeg may also conceal the hole
    assert len(got) > 20
    assert max(f.time_s or 0 for f in got) > 1.4
