"""Engines of many processes: units, parts, retries, stretches, and a local Ray with a worker that is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.analysis import Run
from mien.cli import app
from mien.engines import on_ray
from mien.engines.chunks import chunk_frames, cut, join, seam
from mien.engines.cluster import Cluster
from mien.engines.ledger import Ledger, Note
from mien.engines.units import Chunk, Unit, unit_of, units_of
from mien.engines.worker import TRIES, Job, Result, Worker, carry_here
from mien.errors import InputError
from mien.events.second_pass import Timing
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import Source, frames
from mien.table import Row, read_rows

pytest.importorskip("pyarrow", reason="pip install 'mien[cluster]'")
pandas = pytest.importorskip("pandas", reason="pip install 'mien[cluster]'")
OPTIONS = Options(detector="blazeface", threads=1)
MakeClip = Callable[..., Path]


@pytest.fixture(scope="module")
def flow() -> Flow:
    return Flow(OPTIONS)


@pytest.fixture
def clips(tmp_path: Path, portrait: np.ndarray, make_clip: MakeClip) -> Path:
    """Three clips of one person who moves, of 10 to 14 frames, and one that is no video."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(3):
        pictures = [np.roll(portrait[:400], (2 + number) * i, axis=1)[:, :480] for i in range(10 + 2 * number)]
        make_clip(folder / f"{number}.mp4", pictures)
    (folder / "bad.mp4").write_bytes(b"no video" * 100)
    return folder


def rows_of(folder: Path) -> list[Row]:
    """All rows of a run, by source, frame and face, as the local engine writes them."""
    found = [row for part in sorted((folder / "faces").glob("*")) for row in read_rows(part)]
    return sorted(found, key=lambda row: (row["source"], row["frame"], row["face"]))


def local(flow: Flow, clips: Path, folder: Path, **more: Any) -> Run:
    run = Run(flow, folder, **more)
    run.analyze([str(clips)])
    return run


def here(flow: Flow, clips: Path, folder: Path, *, resume: bool = False, **more: Any) -> Cluster:
    cluster = Cluster(flow, folder, **more)
    cluster.analyze([str(clips)], carry_here, resume=resume)
    return cluster


def job_of(folder: Path, **more: Any) -> Job:
    Ledger(folder).begin("token", {}, resume=False)
    return Job(str(folder), str(folder), "token", OPTIONS, **more)


# --- units ---


def test_units(tmp_path: Path) -> None:
    videos = [Source(str(tmp_path / name), "video") for name in ("small.mp4", "large.mp4", "gone.mp4")]
    Path(videos[0].name).write_bytes(b"1")
    Path(videos[1].name).write_bytes(b"123")
    pictures = [Source(f"{i}.jpg", "picture") for i in range(65)]
    units = units_of([*pictures, *videos])
    assert [unit.sources[0].name for unit in units[:3]] == [videos[1].name, videos[0].name, videos[2].name]
    assert [len(unit.sources) for unit in units] == [1, 1, 1, 64, 1]
    assert len({unit.id for unit in units}) == 5
    assert [s for unit in units[3:] for s in unit.sources] == pictures
    assert units_of(reversed([*pictures, *videos]))[0] == units[0]
    chunk = unit_of(videos[:1], "chunk", Chunk(1, 2, 10, 20, 30, 4000))
    for unit in (*units, chunk):
        assert Unit.from_json(unit.to_json()) == unit
    assert chunk.id == units[1].id
    assert chunk.name != units[1].name
    result = Result(1, 2, (Chunk(0, 2, 0, 0, 20, 0),))
    assert Result.from_json(result.to_json()) == result


# --- the driver with one worker here, against the local engine ---


def test_rows_events_and_summary_are_those_of_the_local_engine(flow: Flow, clips: Path, tmp_path: Path) -> None:
    timing = Timing(smooth=0.2, baseline=True)
    run = local(flow, clips, tmp_path / "local", timing=timing)
    seen: list[tuple[int, int, int]] = []
    cluster = here(flow, clips, tmp_path / "many", timing=timing, watch=lambda *news: seen.append(news))
    wanted = sorted(read_rows(run.rows_path), key=lambda row: (row["source"], row["frame"], row["face"]))
    assert rows_of(tmp_path / "many") == wanted
    assert len(wanted) == 36
    assert seen[-1] == (4, 4, 36)
    one, many = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("local", "many"))
    assert many.pop("engine") == {}
    assert many == one
    assert cluster.problems == run.problems
    assert "not a video" in cluster.problems[0].reason
    whole = pandas.read_parquet(tmp_path / "many" / "faces")
    assert list(whole.columns) == list(wanted[0])
    found = pandas.read_parquet(tmp_path / "many" / "events").sort_values("source").reset_index(drop=True)
    expected = pandas.read_csv(tmp_path / "local" / "events.csv")
    assert len(expected) >= 1
    pandas.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_pictures_go_in_groups(flow: Flow, tmp_path: Path, portrait_file: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.jpg").write_bytes(portrait_file.read_bytes())
    (folder / "3.jpg").write_bytes(b"\xff\xd8 cut")
    cluster = here(flow, folder, tmp_path / "out")
    assert len(list((tmp_path / "out" / "faces").iterdir())) == 1
    assert not (tmp_path / "out" / "events").exists()
    assert [Path(row["source"]).name for row in rows_of(tmp_path / "out")] == ["0.jpg", "1.jpg", "2.jpg", "4.jpg"]
    assert [Path(problem.source).name for problem in cluster.problems] == ["3.jpg"]


def test_resume_does_only_what_is_not_whole(flow: Flow, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        Cluster(flow, out).analyze([str(clips)], _stops_after(2))
    stopped = json.loads((out / "summary.json").read_text())
    assert len(stopped["sources"]) == 2
    assert here(flow, clips, out, resume=True).frames + sum(s["frames"] for s in stopped["sources"]) == 36
    rows = rows_of(out)
    part = sorted((out / "faces").iterdir(), key=lambda path: path.stat().st_size)[-1]
    times = {path: path.stat().st_mtime_ns for path in (out / "faces").iterdir()}
    part.unlink()
    again = here(flow, clips, out, resume=True)
    assert again.frames in (10, 12, 14)
    assert [path for path, was in times.items() if path.stat().st_mtime_ns != was] == [part]
    assert rows_of(out) == rows
    with pytest.raises(InputError, match="other options"):
        here(Flow(replace(OPTIONS, every=2)), clips, out, resume=True)
    with pytest.raises(InputError, match="other options"):
        here(flow, clips, out, resume=True, timing=Timing(smooth=0.2))
    assert here(flow, clips, out).frames == 36
    assert rows_of(out) == rows


def _stops_after(units: int) -> Any:
    def carry(wanted: Any, job: Job) -> Any:
        yield from carry_here(wanted[:units], job)
        raise KeyboardInterrupt

    return carry


def test_what_cannot_be_done_is_a_sentence(flow: Flow, clips: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        here(flow, clips, file / "out")
    with pytest.raises(InputError, match="more than zero"):
        Cluster(flow, tmp_path, timeout_s=0)
    with pytest.raises(InputError, match="10 s or more"):
        Cluster(flow, tmp_path, chunk_s=3)
    cluster = Cluster(flow, tmp_path / "out")
    cluster.analyze(["camera", "nowhere.mp4"], carry_here)
    assert ["one machine" in p.reason or "no such file" in p.reason for p in cluster.problems] == [True, True]


# --- workers ---


def test_a_worker_elsewhere_says_what_it_lacks(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    unit = unit_of([Source("a.mp4", "video")])
    assert "all machines share" in Worker(replace(job, token="another")).do(unit).fatal
    assert "has mien" in Worker(replace(job, version="0.0.1")).do(unit).fatal
    assert "where the names" in Worker(replace(job, base=str(tmp_path / "gone"))).do(unit).fatal


def test_a_file_that_workers_die_of_is_given_up_and_tried_again_on_resume(
    flow: Flow, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    poison = str(clips / "1.mp4")

    def carry(units: Any, job: Job) -> Any:
        tries = Ledger(out).home / "tries"
        for unit in units:
            if unit.sources[0].name == poison:
                facts = {"at": poison, "pid": 1, "deaths": {poison: TRIES - 1}, "hung": []}
                (tries / f"{unit.name}.json").write_text(json.dumps(facts))
        yield from carry_here(units, job)

    cluster = Cluster(flow, out)
    cluster.analyze([str(clips)], carry)
    given_up = [problem for problem in cluster.problems if problem.source == poison]
    assert "3 workers died of it" in given_up[0].reason
    assert {row["source"] for row in rows_of(out)} == {str(clips / "0.mp4"), str(clips / "2.mp4")}
    again = here(flow, clips, out, resume=True)
    assert again.frames == 12
    assert [Path(problem.source).name for problem in again.problems] == ["bad.mp4"]
    assert len(rows_of(out)) == 36


def test_a_file_that_hangs_ends_the_worker_and_is_given_up(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = job_of(out, timeout_s=0.5)
    unit = unit_of([Source(str(clips / "0.mp4"), "video")])
    code = f"""
import sys, time, mien.analysis
from mien.engines.worker import Job, Worker
from mien.engines.units import Unit
from mien.pipeline.flow import Options
mien.analysis.frames = lambda *args, **more: time.sleep(60)
job = Job({job.out!r}, {job.base!r}, "token", Options(detector="blazeface", threads=1), timeout_s=0.5)
Worker(job).do(Unit.from_json(sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", code, unit.to_json()], timeout=60, check=False)
    assert done.returncode == 1
    assert Ledger(out).note(unit.id) is None
    Worker(job).do(unit)
    note = Ledger(out).note(unit.id)
    assert note is not None
    assert "the decoder hangs" in note.problems[0].reason
    assert note.given_up == [unit.sources[0].name]


def test_a_unit_that_comes_twice_is_done_once(clips: Path, tmp_path: Path) -> None:
    worker = Worker(job_of(tmp_path / "out"))
    unit = unit_of([Source(str(clips / "0.mp4"), "video")])
    assert (worker.do(unit).frames, worker.do(unit).frames) == (10, 0)
    assert len(rows_of(tmp_path / "out")) == 10


# --- stretches ---


@pytest.fixture
def long(tmp_path: Path, portrait: np.ndarray, make_clip: MakeClip) -> Path:
    """Five seconds at 5 frames/s: two people side by side, the right one from frame 8 on."""
    face = portrait[20:260, 120:340]
    wide = np.full((240, 640, 3), 90, np.uint8)
    pictures = []
    for index in range(25):
        picture = wide.copy()
        picture[:, 20 + 2 * index : 240 + 2 * index] = face
        if index >= 8:
            picture[:, 400:620] = face[:, ::-1]
        pictures.append(picture)
    return make_clip(tmp_path / "long.mp4", pictures, [200 * i for i in range(25)])


@pytest.mark.parametrize("every", [1, 3])
def test_stretches_hold_the_frames_of_the_whole(long: Path, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.engines.chunks.WARM_S", 2.0)
    whole = {frame.index: frame for frame in frames(Source(str(long), "video"), every=every)}
    chunks = cut(str(long), 1.6)
    assert [(c.warm, c.begin, c.end) for c in chunks] == [(0, 0, 8), (0, 8, 16), (6, 16, 25)]
    for chunk in chunks:
        found = list(chunk_frames(Source(str(long), "video"), chunk, every=every))
        assert [frame.index for frame in found] == [i for i in range(chunk.warm, chunk.end) if i % every == 0]
        for frame in found:
            assert np.array_equal(frame.image, whole[frame.index].image)
            assert frame.time_s == whole[frame.index].time_s


def test_files_out_of_order_are_not_cut(long: Path, tmp_path: Path) -> None:
    short = tmp_path / "cut.mp4"
    short.write_bytes(long.read_bytes()[:-2000])
    (tmp_path / "bad.mp4").write_bytes(b"nothing" * 99)
    assert cut(str(short), 1.6) == cut(str(tmp_path / "bad.mp4"), 1.6) == cut(str(long), 10) == []


def test_a_video_in_stretches_gives_the_rows_of_the_whole(
    flow: Flow, long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.engines.cluster.SHORTEST_CHUNK_S", 1)
    here(flow, long, tmp_path / "whole")
    cluster = here(flow, long, tmp_path / "cut", chunk_s=1.6)
    rows = rows_of(tmp_path / "whole")
    assert {row["track"] for row in rows} == {0, 1}
    assert rows_of(tmp_path / "cut") == rows
    one, many = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "cut"))
    assert many == one
    assert cluster.frames == 25
    assert not (tmp_path / "cut" / ".cluster" / "chunks").exists()


def row(frame: int, track: int, x: float) -> Row:
    return {"frame": frame, "track": track, "x1": x, "y1": 0.0, "x2": x + 10, "y2": 10.0}


def test_tracks_are_joined_by_the_boxes_that_both_sides_saw() -> None:
    before = [row(8, 4, 0), row(8, 7, 50), row(9, 4, 2), row(9, 7, 40)]
    after = [row(8, 0, 50.5), row(9, 0, 40.5), row(9, 1, 2), row(9, 2, 90)]
    assert seam(before, after) == {0: 7, 1: 4}  # and track 2 is somebody new
    assert seam(before, [row(7, 0, 0), row(10, 0, 0)]) == {}
    # two that stood on one person: the one that shared more frames is that person
    assert seam(before, [row(8, 5, 1), row(9, 6, 2), row(9, 5, 1)]) == {5: 4}
    chunks = [Chunk(0, 2, 0, 0, 10, 0), Chunk(1, 2, 8, 10, 12, 8)]
    parts = {0: [row(0, 1, 80), *before], 1: [*after, row(10, 2, 90), row(10, 0, 30), row(11, 3, 0), row(11, 1, 4)]}
    found = [(r["frame"], r["track"]) for r in join(chunks, lambda chunk: iter(parts[chunk.number]))]
    # the first stretch counts anew from 0; track 0 of the second is its 7, here 2
    assert found == [(0, 0), (8, 1), (8, 2), (9, 1), (9, 2), (10, 3), (10, 2), (11, 4), (11, 1)]


def test_a_stretch_that_is_given_up_is_named(flow: Flow, long: Path, tmp_path: Path) -> None:
    job = job_of(tmp_path / "out")
    source = Source(str(long), "video")
    units = [unit_of([source], "chunk", chunk) for chunk in cut(str(long), 1.6)]
    facts = {"at": source.name, "pid": 1, "deaths": {source.name: TRIES - 1}, "hung": []}
    (tmp_path / "out" / ".cluster" / "tries" / f"{units[1].name}.json").write_text(json.dumps(facts))
    results = [result for _, result in carry_here(units, job)]
    assert [result.files for result in results] == [0, 0, 1]
    note = Ledger(tmp_path / "out").note(units[0].id)
    assert isinstance(note, Note)
    assert "workers died" in note.problems[0].reason
    assert {row["frame"] for row in rows_of(tmp_path / "out")} == {*range(8), *range(16, 25)}


# --- the command ---


def refused(*words: str) -> str:
    done = CliRunner().invoke(app, ["analyze", "a.mp4", "--out", "out", *words])
    assert done.exit_code == 2
    return " ".join(done.output.replace("│", " ").split())


def test_options_that_do_not_go_together() -> None:
    assert "needs --engine ray" in refused("--cpus", "2")
    assert "local, ray" in refused("--engine", "spark")
    assert "is not made by --engine ray" in refused("--engine", "ray", "--plot")
    assert "writes parquet" in refused("--engine", "ray", "--format", "csv")
    assert "not for a GPU" in refused("--engine", "ray", "--device", "cuda")


def test_without_ray_the_answer_is_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = CliRunner().invoke(app, ["analyze", "a.mp4", "-o", str(tmp_path), "--engine", "ray"])
    assert done.exit_code == 1
    assert "pip install 'mien[cluster]'" in str(done.exception)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere:port"])
def test_an_address_where_nobody_answers(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = SimpleNamespace(is_initialized=lambda: False, __version__="2")
    monkeypatch.setattr(on_ray, "import_ray", lambda *, local: ray)
    unit = unit_of([Source("a.mp4", "video")])
    with pytest.raises(InputError, match=f"no Ray answers at {address}"):
        next(on_ray.RayEngine(address).carry([unit], job_of(tmp_path)))


def test_more_threads_than_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = SimpleNamespace(is_initialized=lambda: True, cluster_resources=lambda: {"CPU": 8.0}, __version__="2")
    monkeypatch.setattr(on_ray, "import_ray", lambda *, local: ray)
    engine = on_ray.RayEngine(cpus=2, threads=3)
    with pytest.raises(InputError, match="3 threads a worker, but Ray gives 2 cores"):
        next(engine.carry([unit_of([Source("a.mp4", "video")])], job_of(tmp_path)))


# --- Ray ---


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="pip install 'mien[cluster]'")
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_local_ray_with_a_worker_killed_gives_every_row_once(flow: Flow, clips: Path, tmp_path: Path) -> None:
    out, words = tmp_path / "out", ["--engine", "ray", "--cpus", "2", "--detector", "blazeface"]
    command = [sys.executable, "-m", "mien", "analyze", str(clips), "-o", str(out), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        killed = _kill_one(out / ".cluster" / "tries", process)
        listening = _listening(process.pid)
        said, complained = process.communicate(timeout=240)
    assert killed, complained
    assert process.returncode == 1, complained
    assert "bad.mp4: not a video" in complained
    assert "Traceback" not in complained
    assert "4 of 4 files, 36 frames" in said
    run = local(flow, clips, tmp_path / "local")
    wanted = sorted(read_rows(run.rows_path), key=lambda row: (row["source"], row["frame"], row["face"]))
    assert rows_of(out) == wanted
    assert len(listening) >= 3
    assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert json.loads((out / "summary.json").read_text())["engine"]["workers"] == 2
    begin = time.monotonic()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120, check=False)
    assert "this time 0 frames" in done.stdout
    assert time.monotonic() - begin < 60
    assert rows_of(out) == wanted


def _kill_one(tries: Path, process: subprocess.Popen[str]) -> int:
    """Kill a worker that is at a clip; returns its process id, or 0 if none was met."""
    while process.poll() is None:
        for path in tries.glob("*.json"):
            try:
                facts = json.loads(path.read_text())
            except (OSError, ValueError):
                continue  # it is just being replaced
            if facts["at"] is not None and "bad" not in facts["at"]:
                os.kill(facts["pid"], signal.SIGKILL)
                return int(facts["pid"])
        time.sleep(0.01)
    return 0


def _listening(root: int) -> list[str]:
    """Addresses that a process and those that it has started listen at, TCP and UDP."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    sockets = set()
    for pid in family:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(handle))
            except OSError:
                continue
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            words = line.split()
            if f"socket:[{words[9]}]" in sockets and (words[3] == "0A" or kind.startswith("udp")):
                found.append(_address(words[1].partition(":")[0]))
    return found


def _address(digits: str) -> str:
    """As the kernel writes it, words in the byte order of the machine."""
    import ipaddress

    raw = bytes.fromhex(digits)
    raw = b"".join(raw[i : i + 4][:: -1 if sys.byteorder == "little" else 1] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return f"::ffff:{mapped}" if mapped else str(address)
