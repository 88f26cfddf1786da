"""Speed: growth, peers, the floor, the profile and start-up; figures against sums by hand, programs that fail."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mien.bench import floor, peers, profile
from mien.bench.clip_child import peak_mb
from mien.bench.growth import CELL, SIDE, crowd, crowd_clip, line, portraits
from mien.bench.peers import PEERS, Peer, Standing, cut_clip, drive, install, rows
from mien.bench.speed import clip_speed, loop_clip
from mien.bench.start import commands
from mien.errors import InputError, MienError
from mien.faces.detectors import blazeface
from mien.pipeline.session import open_session
from mien.pipeline.store import find_file


def test_a_line_is_found_and_its_worst_point_told() -> None:
    found = line([1, 4, 16, 64], [2 + 3 * n for n in (1, 4, 16, 64)])
    assert (found.fixed, found.slope, found.worst) == (2, 3, 0)
    bent = line([1, 2, 3], [1, 2, 6])
    share = [abs((bent.fixed + bent.slope * x) / y - 1) for x, y in ((1, 1), (2, 2), (3, 6))]
    assert bent.worst == pytest.approx(max(share), abs=1e-6)
    assert bent.worst > 0.05


def test_a_crowd_holds_each_portrait_once_and_has_room_for_64(tmp_path: Path, portrait: np.ndarray) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((40, 60, 3), 60 * number + 20, np.uint8))
    faces = portraits(tmp_path, 5)
    assert [int(face[0, 0, 0]) for face in faces] == [20, 80, 140, 20, 80]
    frame = crowd(faces)
    assert frame.shape == (SIDE, SIDE, 3)
    for value, times in ((20, 2), (80, 2), (140, 1)):
        assert int((frame == value).all(2).sum()) == times * CELL**2
    assert (crowd(faces, 8)[:, 8:] == frame[:, :-8]).all()
    assert (crowd((faces * 13)[:64])[:CELL, :CELL] == 20).all()
    with pytest.raises(InputError, match="65 faces: a frame has room for 64"):
        crowd([faces[0]] * 65)
    with pytest.raises(InputError, match="holds no picture"):
        portraits(tmp_path / "nothing", 1)
    clip = crowd_clip(faces[:1], tmp_path / "crowd.mp4", 5)
    with av.open(str(clip)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


def test_a_clip_is_measured_in_a_process_of_its_own(clip: Path, tmp_path: Path) -> None:
    run = clip_speed(clip, tmp_path / "out", 1, detector="none")
    assert (run.frames, run.faces, run.threads) == (12, 12, 1)
    assert 0 < run.cpu_s < 60
    assert 40 < run.peak_mb < 2000
    assert peak_mb() > 20
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(MienError, match=r"broken\.mp4: the analysis failed: .*not a video"):
        clip_speed(broken, tmp_path / "other", 1, detector="none")


def test_the_beginning_of_a_clip(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", [np.full((64, 64, 3), 8 * i, np.uint8) for i in range(25)])
    part = cut_clip(whole, tmp_path / "part.mp4", 0.4)
    with av.open(str(part)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10


def test_a_file_that_is_no_video_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    for path in (broken, tmp_path / "nothing.mp4"):
        for call in (cut_clip, loop_clip):
            with pytest.raises(InputError, match="not a video that can be read"):
                call(path, tmp_path / "out.mp4", 1.0)
        with pytest.raises(InputError, match="not a video that can be read"):
            peers.compare(path, tmp_path, say=lambda said: None)


def test_rows_are_medians_and_ratios_to_the_first() -> None:
    first = Standing("a", ms=[3.0, 1.0, 2.0], rates=[10.0, 30.0, 20.0], faces=4, frames=5)
    other = Standing("b", ms=[0.5, 0.5], rates=[5.0], faces=1, frames=5)
    table = rows([first, other, Standing("c", reason="was not there")])
    assert table[0] == ["a", "2.000", "1.00", "4 in 5", "20.0", "10.0-30.0", "1.000"]
    assert table[1] == ["b", "0.500", "4.00", "1 in 5", "5.0", "5.0-5.0", "0.250"]
    assert len(table) == 2
    assert rows([Standing("c", reason="was not there")]) == []


def test_a_driver_measures_and_one_that_fails_is_told(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("common.py", "run_mien.py"):
        (tmp_path / name).write_text((peers.DRIVERS / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "run_bad.py").write_text("raise SystemExit('no weights here')", encoding="utf-8")
    (tmp_path / "run_silent.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(peers, "DRIVERS", tmp_path)
    python = Path(sys.executable)
    network = drive(python, "run_mien.py", "net")["ms"]
    assert len(network) == 200
    assert 0.01 < statistics.median(network) < 100
    with pytest.raises(MienError, match=r"^no weights here$"):
        drive(python, "run_bad.py", "net")
    with pytest.raises(MienError, match=r"run_silent\.py printed no figures"):
        drive(python, "run_silent.py", "net")
    (tmp_path / "run_slow.py").write_text("import time; time.sleep(9)", encoding="utf-8")
    with pytest.raises(MienError, match="not done after"):
        drive(python, "run_slow.py", "net", seconds=0.3)


def test_an_environment_is_made_once_and_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def create(place: Path, **_: object) -> None:
        made.append(place)
        (place / "bin").mkdir(parents=True, exist_ok=True)

    asked: list[list[str]] = []
    monkeypatch.setattr(peers.venv, "create", create)
    monkeypatch.setattr(peers, "_call", lambda command, seconds: asked.append(command) or "")
    peer = Peer("some", (("--no-deps", "some==1"), ("needed",)))
    for _ in range(2):
        install(peer, tmp_path, 1, lambda said: None)
    assert made == [tmp_path / "some"]
    assert [command[-2:] for command in asked] == [["--no-deps", "some==1"], ["--quiet", "needed"]]
    install(Peer("some", (("some==2",),)), tmp_path, 1, lambda said: None)
    assert len(made) == 2, "another version is another environment"

    def refuse(command: list[str], seconds: float) -> str:
        raise MienError("No matching distribution found for some")

    monkeypatch.setattr(peers, "_call", refuse)
    monkeypatch.setattr(peers, "PEERS", (Peer("absent", (("absent",),)),))
    monkeypatch.setattr(peers, "_measure", lambda *given, **named: None)
    monkeypatch.setattr(peers, "check_clip", lambda clip: None)
    found = peers.compare(Path("clip.mp4"), tmp_path, rounds=1, say=lambda said: None)
    assert found[1].reason == "No matching distribution found for some"
    assert not (tmp_path / "absent").exists()
    with pytest.raises(InputError, match="no peer is called 'nobody'; there are: absent"):
        peers.compare(Path("clip.mp4"), tmp_path, peers=["nobody"])


def test_every_peer_has_a_driver_or_a_question() -> None:
    for peer in PEERS:
        assert peer.driver or peer.ask
        assert not peer.driver or (peers.DRIVERS / peer.driver).is_file()
    for path in peers.DRIVERS.glob("run_*.py"):
        text = path.read_text(encoding="utf-8")
        assert path.name == "run_mien.py" or "import mien" not in text
        assert path.name == "run_mien.py" or "from mien" not in text


def test_work_is_counted_and_the_floor_is_the_longer_of_both() -> None:
    weights = find_file("mien-s").read_bytes()
    known = json.loads((Path(__file__).parent.parent / "docs/measured/costs.json").read_text(encoding="utf-8"))
    one, many = floor.work(weights), floor.work(weights, 3)
    assert one.macs == known["mini-s-fine"]["macs"], "counted by torch's hooks"
    assert many.macs == 3 * one.macs
    assert one.bytes < many.bytes < 3 * one.bytes, "weights are read once"
    assert floor.floor_ms(floor.Work(1_000, 30_000_000), floor.Machine(100, 10)) == pytest.approx(3)
    kinds = {kind: number for kind, _, number in floor.nodes(weights, 1, 3)}
    assert kinds["Conv"] == 24


def test_the_hand_written_file_multiplies() -> None:
    random = np.random.default_rng(0)
    a, b = random.random((7, 7), np.float32), random.random((7, 7), np.float32)
    found = open_session(floor.matrix_product(7), 1).run(None, {"a": a, "b": b})[0]
    assert np.allclose(found, a @ b, atol=1e-5)
    has = floor.machine(1, (64,), rounds=2)
    assert has.gflops > 0.1
    assert has.gigabytes > 0.1


def test_a_clock_charges_the_innermost_stage() -> None:
    clock = profile.Clock()

    def busy(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    inner = clock.around(profile.TRACK, lambda: busy(0.02))

    def outer() -> None:
        busy(0.03)
        inner()

    clock.around(profile.DETECT, outer)()
    steps = clock.over(profile.DECODE, lambda: (busy(0.01) or i for i in range(2)))  # type: ignore[func-returns-value]
    for _ in steps():
        busy(0.01)
    spent = clock.stop()
    assert spent[profile.DETECT] == pytest.approx(0.03, abs=0.01)
    assert spent[profile.TRACK] == pytest.approx(0.02, abs=0.01)
    assert spent[profile.DECODE] == pytest.approx(0.02, abs=0.01)
    assert spent[profile.REST] == pytest.approx(0.02, abs=0.01)


def test_a_profile_names_every_stage(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile.os, "sched_setaffinity", lambda *given: None, raising=False)
    frames, stages = profile.profile(clip, detector="blazeface", rounds=1)
    assert frames == 12
    assert list(stages) == list(profile.STAGES)
    assert all(seconds > 0 for seconds in stages.values())
    with pytest.raises(InputError, match=r"nothing\.mp4"):
        profile.profile(clip.parent / "nothing.mp4", detector="none", rounds=1)


def test_start_up_is_timed_beside_bare_python(tmp_path: Path) -> None:
    asked = commands(tmp_path / "p.jpg", tmp_path / "out")
    assert next(iter(asked)) == "python -c pass"
    assert all(command[0] == sys.executable for command in asked.values())


def test_the_command_line_and_the_library_start_without_numpy() -> None:
    code = (
        "import sys, mien.cli; print([m for m in ('numpy', 'cv2', 'onnxruntime', 'rich.markdown') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_detectors_input_is_what_its_paper_says() -> None:
    values = np.arange(256, dtype=np.uint8)
    assert np.array_equal(blazeface.SCALED, values.astype(np.float32) / 127.5 - 1)
    assert (blazeface.SCALED[0], blazeface.SCALED[255]) == (-1, 1)
