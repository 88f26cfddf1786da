"""Pictures and videos that are not what they say, and decoders that die over them."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mien.pipeline.decoding as decoding
from mien.analysis import Run
from mien.errors import InputError, MienError
from mien.faces.detectors.blazeface import tiles
from mien.faces.track import Tracker
from mien.media import MOST_PIXELS, picture_size
from mien.pipeline.decoding import Decoder, DecoderDied
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import Source, find_sources, frames, length, read_picture
from mien.report.chart import ticks
from mien.report.copies import draw_copies, stems_of
from mien.types import Frame

# ------------------------------------------------------------------------------------------------ sizes by the header


def encoded(kind: str, image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(f".{kind}", image)[1].tobytes())


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "bmp", "tiff", "gif", "ppm", "pgm"])
def test_the_size_is_read_from_the_header(kind: str) -> None:
    image = np.zeros((31, 17, 3) if kind != "pgm" else (31, 17), np.uint8)
    assert picture_size(encoded(kind, image)) == (17, 31)


def test_the_size_of_other_webps_and_old_bmps() -> None:
    image_module = pytest.importorskip("PIL.Image")
    picture = image_module.fromarray(np.zeros((31, 17, 3), np.uint8))
    for options in ({"lossless": True}, {"lossless": False}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0"}):
        file = io.BytesIO()
        picture.save(file, "webp", **options)
        assert picture_size(file.getvalue()) == (17, 31), options
    assert picture_size(b"BM" + bytes(12) + struct.pack("<IHH", 12, 17, 31)) == (17, 31)
    assert picture_size(b"no picture") is None
    assert picture_size(b"\x89PNG") == (0, 0)


def png(width: int, height: int, data: bytes, chunk: int | None = None) -> bytes:
    """A grey PNG with any size in its header and any data in it; `chunk` is the length that the data chunk states."""

    def part(kind: bytes, body: bytes, size: int | None = None) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body) if size is None else size) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", data, chunk) + part(b"IEND", b"")


# times are of the processor, for the machine may be busy
HUGE = {
    "png": png(100_000, 100_000, zlib.compress(bytes(1000))),
    "gif": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(40),
    "bmp": b"BM" + bytes(12) + struct.pack("<Iii", 40, 60_000, -60_000) + bytes(60),
    "pgm": b"P5\n# a comment\n60000 60000\n255\n" + bytes(100),
    "jpg": b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 65_500, 65_500, 3) + bytes(9) + b"\xff\xda\0\0\xff\xd9",
    "tiff": b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + struct.pack("<HHII", 256, 4, 1, 70_000)
    + struct.pack("<HHII", 257, 4, 1, 70_000) + bytes(4),
    "webp": b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + b"\xff\xff\0\xff\xff\0",
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGE)
def test_gigapixel_headers_are_refused_before_anything_is_decoded(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(HUGE[kind])
    begin = time.process_time()
    with pytest.raises(InputError, match="pixels by its header, more than 250 million; make it smaller"):
        read_picture(tmp_path / "a.jpg")
    assert time.process_time() - begin < 3


def test_a_bomb_within_the_limit_costs_its_pixels_and_no_more(tmp_path: Path) -> None:
    """4 million pixels from 4 kB: read as they are."""
    bomb = png(2000, 2000, zlib.compress(bytes(2001 * 2000), 9))
    assert len(bomb) < 5000
    (tmp_path / "a.png").write_bytes(bomb)
    assert read_picture(tmp_path / "a.png").shape == (2000, 2000, 3)


def test_a_chunk_that_reaches_beyond_the_file_is_no_reason_to_take_memory(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(20, 20, zlib.compress(bytes(420)), chunk=2_000_000_000))
    begin = time.process_time()
    with pytest.raises(InputError, match="cut short"):
        read_picture(tmp_path / "a.png")
    assert time.process_time() - begin < 3


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["jpg", "png", "webp", "bmp", "tiff", "gif", "ppm"]), data=st.data())
def test_broken_pictures_are_read_or_refused(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray(encoded(kind, np.arange(24 * 20 * 3, dtype=np.uint8).reshape(24, 20, 3)))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)):
        whole[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        image = read_picture(path)
    except InputError:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert image.shape[0] * image.shape[1] <= MOST_PIXELS


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"P5")
@example(b"II*\0\xff\xff\xff\xff")
def test_any_bytes_have_a_size_or_none(data: bytes) -> None:
    size = picture_size(data)
    assert size is None or min(size) >= 0


# --------------------------------------------------------------------------------------------------------- containers


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nclip.mp4\n#EXT-X-ENDLIST\n"),
        ("concat.mp4", "ffconcat version 1.0\nfile clip.mp4\n"),
        ("sdp.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"),
    ],
)
def test_a_file_that_only_names_others_is_not_followed(name: str, text: str, clip: Path) -> None:
    (clip.parent / name).write_text(text)
    with pytest.raises(InputError, match=name):
        list(frames(Source(str(clip.parent / name), "video")))
    assert length(Source(str(clip.parent / name), "video")) == (0, 0.0)


def test_a_name_is_a_files_name_and_no_address(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.parent)
    clip.rename("concat:a|b.mp4")
    [source], problems = find_sources(["concat:a|b.mp4"])
    assert not problems
    assert len(list(frames(source))) == 12


def test_a_duration_that_lies_is_told_and_costs_nothing(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    path = make_clip(tmp_path / "a.mkv", [np.zeros((32, 32, 3), np.uint8)] * 5)
    head, duration, rest = path.read_bytes().partition(b"\x44\x89\x88")
    path.write_bytes(head + duration + struct.pack(">d", 1e12) + rest[8:])  # milliseconds: 30 years
    assert length(Source(str(path), "video"))[1] > 1_000_000
    given_frames = []
    with pytest.raises(InputError, match=r"ends after 0\.2 s of"):
        given_frames.extend(frames(Source(str(path), "video")))
    flow = Flow(Options(threads=1))
    run = Run(flow, tmp_path / "out")
    begin = time.process_time()
    run.analyze([str(path)])
    assert time.process_time() - begin < 10
    assert run.state[str(path)].frames == 5


def test_times_that_jump_cost_the_annotated_copy_and_no_more(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    times = [0, 40, 80, 2_000_000_000, 2_000_000_040]
    images = [np.zeros((32, 32, 3), np.uint8)] * 5
    path = make_clip(tmp_path / "a.mkv", images, times)
    other = make_clip(tmp_path / "b.mp4", images)
    run = Run(Flow(Options(threads=1, detector="none")), tmp_path / "out")
    run.analyze([str(path), str(other)])
    assert not run.problems
    draw_copies(run, overlay=True, anonymous=False, plot=True)
    assert [problem.source for problem in run.problems] == [str(path)]
    assert "no annotated copy can be made" in run.problems[0].reason
    made = sorted(file.name for file in (tmp_path / "out").glob("?.*"))
    assert made == ["a.timeline.png", "b.overlay.mp4", "b.timeline.png"]


@pytest.mark.parametrize("shape", [(1, 12_336), (12_336, 3), (24, 60_000), (2, 2), (1, 1)])
def test_slivers_are_looked_at_quickly(shape: tuple[int, int]) -> None:
    """A JPEG of 700 bytes and 12,336 x 3 pixels took half a minute: a thousand squares of one pixel."""
    flow = Flow(Options(threads=1, detector="blazeface", min_face=1))
    begin = time.process_time()
    list(flow.run([Frame(np.zeros((*shape, 3), np.uint8), 0, 0.0)], Tracker()))
    assert time.process_time() - begin < 5
    assert len(tiles(960, 1)) == 1 + 20  # 960 is the most that a flow hands to it


@pytest.mark.parametrize("last_s", [0.1, 10.0, 5000.0, 1e6, 1e9, 1e15])
def test_an_axis_has_few_ticks_however_long_a_video_claims_to_be(last_s: float) -> None:
    at = ticks(0.0, last_s)
    assert 2 <= len(at) <= 13
    assert at[-1] <= last_s * 1.001


def test_metadata_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w", options={"metadata": ""}) as target:
        target.metadata["title"] = "QQQQQQQQ"
        stream = target.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        target.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        target.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"QQQQQQQQ", b"\xff\xfe\xe9QQQQQ"))
    assert len(list(frames(Source(str(path), "video")))) == 1


# ---------------------------------------------------------------------------------------------- links, pipes and names


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_devices_and_links_to_nowhere_are_problems(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "gone.mp4").symlink_to("nothing")
    (tmp_path / "self").symlink_to(".", target_is_directory=True)  # a folder in itself
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    found, problems = find_sources([str(tmp_path)])
    assert not found
    reasons = {Path(problem.source).name: problem.reason for problem in problems}
    assert reasons == {
        "gone.mp4": "is a link that leads to no file", "loop.jpg": "is a link that leads to no file",
        "pipe.jpg": "is neither a file nor a folder", "zero.jpg": "is neither a file nor a folder",
    }  # fmt: skip
    for kind, name in (("picture", "pipe.jpg"), ("video", "zero.jpg")):
        with pytest.raises(InputError, match="is not a file"):
            next(frames(Source(str(tmp_path / name), kind)))


def test_links_to_files_are_followed_and_links_to_folders_are_not(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.png").write_bytes(png(8, 8, zlib.compress(bytes(72))))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").symlink_to("../other/b.png")
    (tmp_path / "mine" / "more").symlink_to("../other", target_is_directory=True)
    found, problems = find_sources([str(tmp_path / "mine")])
    assert [Path(source.name).name for source in found] == ["a.png"]
    assert not problems
    assert read_picture(found[0].name).shape == (8, 8, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere take text only")
def test_names_that_are_no_text_are_problems_of_their_own(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(name, "wb") as file:
        file.write(png(8, 8, zlib.compress(bytes(72))))
    (tmp_path / "b.png").write_bytes(png(8, 8, zlib.compress(bytes(72))))
    found, problems = find_sources([str(tmp_path)])
    assert [Path(source.name).name for source in found] == ["b.png"]
    assert problems[0].reason == "its name is no UTF-8; rename it"
    run = Run(Flow(Options(threads=1, detector="none")), tmp_path / "out")
    run.analyze([str(tmp_path)])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert os.fsencode(summary["problems"][0]["source"]) == name
    assert len(summary["sources"]) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=300))
@example(name="\0")
@example(name="*\0")
@example(name="camera:99999999999999999999")
@example(name="x" * 300)
def test_any_name_is_a_source_or_a_problem(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if name.startswith(("/", "~")) or ".." in name or os.sep in name:
        return
    sources, problems = find_sources([name])
    assert sources or problems


def test_very_long_names_leave_room_for_what_follows(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    names = [f"{'v' * 240}{k}.mp4" for k in range(2)] + ["ä" * 120 + ".mp4"]
    for name in names:
        small(tmp_path / name, make_clip, 2)
    sources, _ = find_sources([str(tmp_path)])
    stems = stems_of(sources)
    assert len(set(stems.values())) == 3
    assert all(len(f"{stem}.overlay.mp4.part".encode()) <= 255 for stem in stems.values())
    run = Run(Flow(Options(threads=1, detector="none")), tmp_path / "out")
    run.analyze([str(tmp_path)])
    draw_copies(run, overlay=True, anonymous=False, plot=True)
    assert len(list((tmp_path / "out").glob("*.overlay.mp4"))) == 3


# ----------------------------------------------------------------------------------------------- decoders that die

STUB = """
import json, os, signal, sys, time
sys.path[:] = json.loads(sys.argv[1])
import mien.pipeline.decode_worker as worker
import mien.pipeline.sources as sources
whole = sources.frames
def frames(source, **options):
    for frame in whole(source, **options):
        yield frame
        if "crash" in os.path.basename(source.name) and (frame.index == 2 or source.kind == "picture"):
            os.kill(os.getpid(), signal.{signal})
        if "hang" in os.path.basename(source.name) and frame.index == 2:
            time.sleep(1000)
sources.frames = frames
worker.main()
"""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders that kill themselves over files called crash, and never come back from files called hang."""
    monkeypatch.setattr(decoding, "COMMAND", (sys.executable, "-c", STUB.replace("{signal}", "SIGSEGV")))


def small(path: Path, make: Callable[..., Path], count: int = 8) -> Path:
    return make(path, [np.full((32, 48, 3), 20 * i, np.uint8) for i in range(count)])


def test_frames_are_the_same_in_a_process_of_their_own(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    video = Source(str(small(tmp_path / "a.mp4", make_clip)), "video")
    (tmp_path / "b.png").write_bytes(png(8, 8, zlib.compress(bytes(72))))
    picture = Source(str(tmp_path / "b.png"), "picture")
    decoder = Decoder()
    try:
        for source, options in ((video, {}), (picture, {}), (video, {"every": 3}), (video, {"start": 5})):
            here, there = list(frames(source, **options)), list(decoder.frames(source, **options))
            assert [(f.index, f.time_s, f.source) for f in here] == [(f.index, f.time_s, f.source) for f in there]
            assert all((a.image == b.image).all() for a, b in zip(here, there, strict=True))
        assert decoder.length(picture) == (0, 0.0)
        next(iter(decoder.frames(video)))
        assert decoder.length(video) == length(video)
        with pytest.raises(InputError, match=r"nothing\.mp4: .*No such file"):
            list(decoder.frames(Source(str(tmp_path / "nothing.mp4"), "video")))
        assert len(list(decoder.frames(video))) == 8
    finally:
        decoder.close()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_a_crash_and_a_hang_cost_one_file_each(dying: None, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    for name in ("a.mp4", "crash.mp4", "hang.mp4", "z.mp4"):
        small(tmp_path / name, make_clip)
    decoder = Decoder(patience_s=0.7)
    run = Run(Flow(Options(threads=1, detector="none", batch=2)), tmp_path / "out", decoder=decoder)
    run.analyze([str(tmp_path)])
    problems = {Path(problem.source).name: problem.reason for problem in run.problems}
    assert set(problems) == {"crash.mp4", "hang.mp4"}, problems
    assert "the decoder broke down (SIGSEGV) after frame 2; save the file anew" in problems["crash.mp4"]
    assert "no sign of life for 0.7 s and was ended after frame 2" in problems["hang.mp4"]
    counts = {Path(name).name: done.frames for name, done in run.state.items()}
    assert counts["a.mp4"] == counts["z.mp4"] == 8
    assert counts["crash.mp4"] == counts["hang.mp4"] == 3  # all that came before
    rows = (tmp_path / "out" / "faces.csv").read_text().splitlines()[1:]
    assert len(rows) == 22
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [entry.get("broken", False) for entry in summary["sources"]] == [False, True, True, False]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_the_command_line_goes_on_and_exits_with_1(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    for name in ("a.mp4", "crash.mp4", "z.mp4"):
        small(tmp_path / name, make_clip)
    code = f"""
import sys
import mien.pipeline.decoding as decoding
decoding.COMMAND = (sys.executable, "-c", {STUB.replace("{signal}", "SIGKILL")!r})
from mien.cli import main
main()
"""
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, "analyze", str(tmp_path), "-o", str(out), "--detector", "none", "--overlay"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "crash.mp4: the decoder broke down (SIGKILL) after frame 2" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in out.glob("*.overlay.mp4")) == ["a.overlay.mp4", "z.overlay.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_a_decoder_that_was_left_in_the_middle_starts_anew(dying: None, tmp_path: Path, make_clip: object) -> None:
    decoder = Decoder(patience_s=5)
    source = Source(str(small(tmp_path / "a.mp4", make_clip)), "video")  # type: ignore[arg-type]
    some = decoder.frames(source)
    next(some)
    some.close()
    assert len(list(decoder.frames(source))) == 8
    with pytest.raises(DecoderDied):
        list(decoder.frames(Source(str(small(tmp_path / "crash.mp4", make_clip)), "video")))  # type: ignore[arg-type]
    assert len(list(decoder.frames(source))) == 8
    decoder.close()
    decoder.close()


def test_frames_that_are_passed_over_are_signs_of_life(
    tmp_path: Path, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = STUB.replace("{signal}", "SIGKILL").replace(
        "sources.frames = frames", "worker.ALIVE_S = 0\nupright = sources._Decoder.frames\n"
        "def late(self):\n    for frame in upright(self):\n        time.sleep(0.15)\n        yield frame\n"
        "sources._Decoder.frames = late",
    )  # fmt: skip
    monkeypatch.setattr(decoding, "COMMAND", (sys.executable, "-c", slow))
    monkeypatch.setattr(decoding, "START_S", 30.0)
    source = Source(str(small(tmp_path / "a.mp4", make_clip)), "video")
    decoder = Decoder(patience_s=0.9)
    assert [frame.index for frame in decoder.frames(source, start=7)] == [7]  # 1.2 s of frames that nobody wants
    decoder.close()


def test_modules_of_the_folder_where_it_is_started_are_not_loaded(tmp_path: Path, portrait_file: Path) -> None:
    (tmp_path / "av.py").write_text("open('trapped', 'w').close()\nraise SystemExit('trapped')\n")
    code = "from mien.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, "analyze", str(portrait_file), "-o", "out", "--json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "trapped").exists()


def test_an_unknown_error_of_the_decoder_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = STUB.replace("{signal}", "SIGKILL").replace(
        "for frame in whole(source, **options):", "for frame in [1/0]:"
    )
    monkeypatch.setattr(decoding, "COMMAND", (sys.executable, "-c", faulty))
    decoder = Decoder()
    with pytest.raises(MienError, match=r"a\.jpg: cannot be decoded \(ZeroDivisionError: .*report this"):
        list(decoder.frames(Source("a.jpg", "picture")))
    decoder.close()
