"""Runs that are killed, or that the disk refuses: what is left is whole, and what goes on ends as if nothing had been.

The long campaign is scripts/campaign_kill.py; this is the short one.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mien import cli
from mien.analysis import Run
from mien.errors import InputError
from mien.pipeline import writers
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import Source
from mien.pipeline.writers import PROGRESS, RowWriter, whole_file, write_whole
from mien.types import FrameResult

ROOT = Path(__file__).parent.parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="kills by what /proc tells")
NAMES = ("source", "frame", "label")
ROW = {"source": "a", "frame": 1, "label": "fear"}


@pytest.fixture(scope="module")
def flow() -> Flow:
    return Flow(Options(threads=1))


@pytest.fixture(scope="module")
def campaign() -> ModuleType:
    spec = importlib.util.spec_from_file_location("campaign_kill", ROOT / "scripts" / "campaign_kill.py")
    if spec is None or spec.loader is None or not (ROOT / "scripts").is_dir():
        pytest.skip("no checkout")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# killed


@linux
def test_killed_at_changes_of_files(campaign: ModuleType, clip: Path, tmp_path: Path) -> None:
    """In a process of its own: killed just before its 3rd, 7th ... change of a file, each time gone on from there."""
    pytest.importorskip("pyarrow")
    program = f"""
import sys; sys.path.insert(0, {str(ROOT / "scripts")!r})
import campaign_kill as c
from pathlib import Path
import mien.analysis, mien.cli, pyarrow.parquet
root = Path({str(tmp_path)!r})
for form in ("jsonl", "parquet"):
    def arguments(out):
        return ["analyze", {str(clip)!r}, "--out", str(out), "--format", form, "--threads", "1", "--json"]
    good, bad = root / f"good-{{form}}", root / f"bad-{{form}}"
    _, _, changes = c.forked(arguments(good), good, log=root / "log")
    (root / f"good-{{form}}.jsonl").write_bytes((root / "good-jsonl" / "faces.jsonl").read_bytes())
    if form == "jsonl":
        continue
    killed = 0
    for change in [3, changes - 3, changes - 1, 0]:
        again = ["--resume"] if killed else []
        how, _, _ = c.forked([*arguments(bad), *again], bad, change=change, log=root / "log")
        killed += how == c.KILLED
        c.analysis_whole(bad, good)
    c.analysis_same(bad, good)
    print(killed, changes)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        killed, changes = map(int, line.split())
        assert killed >= 2
        assert changes > 8


def test_a_campaign_sees_a_fault(campaign: ModuleType, tmp_path: Path) -> None:
    """The checks of the campaign can fail."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
        (folder / "faces.csv").write_text("a,b\n1,2\n3,4\n")
        (folder / "events.csv").write_text("x\n")
    campaign.analysis_whole(bad, good)
    campaign.analysis_same(bad, good)
    for name, text in (("faces.csv", "a,b\n1,2\n3"), ("faces.csv", "a,b\n3,4\n"), ("events.csv", "x"), (PROGRESS, "{")):
        (bad / name).write_text(text)
        with pytest.raises(campaign.Fault):
            campaign.analysis_whole(bad, good)
        (bad / PROGRESS).unlink(missing_ok=True)
        shutil.copytree(good, bad, dirs_exist_ok=True)
    (bad / "faces.csv").write_text("a,b\n1,2\n")
    campaign.analysis_whole(bad, good)
    with pytest.raises(campaign.Fault):
        campaign.analysis_same(bad, good)


def test_the_table_never_ends_inside_a_row(tmp_path: Path) -> None:
    """What a kill would leave at any moment is what is on the disk, for nothing waits in a buffer."""
    writer = RowWriter(tmp_path, NAMES, "csv")
    for count in range(1, 400):
        writer.add([ROW])
        lines = (tmp_path / "faces.csv").read_text().splitlines(keepends=True)
        assert len(lines) == count + 1
        assert lines[-1] == "a,1,fear\n"
    writer.close()


def test_a_fresh_run_that_dies_at_once_is_not_taken_for_the_one_before(clip: Path, flow: Flow, tmp_path: Path) -> None:
    """The note of an earlier, longer run must not speak of the new run's rows."""
    Run(flow, tmp_path / "good").analyze([str(clip)])
    Run(flow, tmp_path / "out").analyze([str(clip)])

    def die(source: Source, result: FrameResult) -> None:
        raise SystemExit  # neither note nor summary is written: as after a kill

    run = Run(flow, tmp_path / "out", watch=die)
    run._note = run._finish = lambda: None  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        run.analyze([str(clip)])
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    run._writer.close()
    assert left == ["faces.csv"]  # no note, summary or events of other rows
    Run(flow, tmp_path / "out").analyze([str(clip)], resume=True)
    for name in ("faces.csv", "events.csv", "summary.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "good" / name).read_bytes()


def test_rows_that_were_lost_are_told(clip: Path, flow: Flow, tmp_path: Path) -> None:
    Run(flow, tmp_path).analyze([str(clip)])
    table = tmp_path / "faces.csv"
    table.write_bytes(table.read_bytes()[:-40])
    with pytest.raises(InputError, match="rows were lost since; start anew, without --resume"):
        Run(flow, tmp_path).analyze([str(clip)], resume=True)


def test_what_training_writes_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from mien.train.checkpoint import load_state, save_arrays, save_state
    from mien.train.oracle import keep_oracle, read_oracle

    save_state(tmp_path / "a.pt", {"x": torch.ones(3)})
    save_arrays(tmp_path / "a.npz", rows=np.arange(3))
    keep_oracle(tmp_path, 1, np.ones(2))

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "made")

    monkeypatch.setattr(os, "replace", refuse)
    for write in (
        lambda: save_state(tmp_path / "a.pt", {"x": torch.zeros(3)}),
        lambda: save_arrays(tmp_path / "a.npz", rows=np.zeros(3)),
        lambda: keep_oracle(tmp_path, 2, np.ones(2)),
    ):
        with pytest.raises(OSError, match="made"):
            write()
    assert torch.equal((load_state(tmp_path / "a.pt") or {})["x"], torch.ones(3))
    assert np.load(tmp_path / "a.npz")["rows"].tolist() == [0, 1, 2]
    assert list(read_oracle(tmp_path)) == ["1"]
    assert not list(tmp_path.glob("*.part"))


def test_a_result_line_that_was_broken_off(tmp_path: Path) -> None:
    from mien.bench.lines import add_line, read_lines
    from mien.errors import DataError

    path = tmp_path / "deep" / "results.jsonl"
    add_line(path, {"key": "a"})
    add_line(path, {"key": "b"})
    whole = path.read_text()
    path.write_text(whole + '{"key": "c", "fig')
    assert [line["key"] for line in read_lines(path)] == ["a", "b"]
    add_line(path, {"key": "c"})
    assert path.read_text() == whole + '{"key": "c"}\n'
    path.write_text(whole[:-1])  # whole, but for the end of the line
    add_line(path, {"key": "c"})
    assert [line["key"] for line in read_lines(path)] == ["a", "b", "c"]
    path.write_text('{"key": \n' + whole)
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_lines(path)


# refused by the disk


def limited(command: list[str], size: int) -> subprocess.CompletedProcess[str]:
    """Run mien where no file may grow beyond `size` bytes: what a full disk is to a process."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [sys.executable, "-m", "mien", *command]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=120)


@linux
def test_a_full_disk_is_a_sentence_and_loses_nothing(clip: Path, flow: Flow, tmp_path: Path) -> None:
    Run(flow, tmp_path / "good").analyze([str(clip)])
    good = (tmp_path / "good" / "faces.csv").read_bytes()
    command = ["analyze", str(clip), "--out", str(tmp_path / "out"), "--threads", "1", "--json"]
    done = limited(command, len(good) // 2)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "results cannot be written there (File too large)" in done.stderr
    left = (tmp_path / "out" / "faces.csv").read_bytes()
    assert good.startswith(left)
    assert left.endswith(b"\n")
    Run(flow, tmp_path / "out").analyze([str(clip)], resume=True)
    assert (tmp_path / "out" / "faces.csv").read_bytes() == good


@linux
def test_a_disk_that_fills_while_copies_are_drawn(clip: Path, tmp_path: Path) -> None:
    done = limited(["analyze", str(clip), "--out", str(tmp_path), "--overlay", "--threads", "1", "--json"], 9_000)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [said] = done.stderr.splitlines()
    assert "no annotated copy can be made" in said
    assert "File too large" in said
    assert sorted(path.name for path in tmp_path.iterdir() if path != clip) == [
        PROGRESS, "events.csv", "faces.csv", "summary.json",
    ]  # fmt: skip


def test_a_row_that_does_not_fit_leaves_the_rows_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RowWriter(tmp_path, NAMES, "csv")
    writer.add([ROW])
    plain = writer._file

    class Full:
        """Takes four bytes, and then no more."""

        taken = False

        def __getattr__(self, name: str) -> Any:
            return getattr(plain, name)

        def write(self, data: memoryview) -> int:
            if self.taken:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.taken = True
            return plain.write(data[:4])

    monkeypatch.setattr(writer, "_file", Full())
    with pytest.raises(OSError, match="No space left"):
        writer.add([ROW])
    assert (tmp_path / "faces.csv").read_text() == "source,frame,label\na,1,fear\n"
    plain.close()


def test_writing_whole_leaves_the_old_and_no_scrap(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def half() -> None:
        with whole_file(path) as part:
            part.write_text("ne")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the disk does not allow it"), (errno.EACCES, "does not allow")],
)
def test_what_the_disk_refuses_is_a_sentence(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(number, os.strerror(number), "/somewhere/file")

    monkeypatch.setattr(cli, "app", refuse)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    text = capsys.readouterr().err
    assert text.startswith("mien: /somewhere/file: ")
    assert said in text
    monkeypatch.setattr(cli, "app", lambda: (_ for _ in ()).throw(OSError(errno.EBADF, "a fault of ours")))
    with pytest.raises(OSError, match="a fault of ours"):
        cli.main()


# what changes while it runs


def test_a_file_that_vanishes_costs_itself_alone(
    clip: Path, portrait_file: Path, flow: Flow, tmp_path: Path, make_clip: Callable[..., Path], portrait: np.ndarray
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        shutil.copy(portrait_file, folder / name)

    def remove(source: Source, _: FrameResult) -> None:
        (folder / "b.jpg").unlink(missing_ok=True)

    run = Run(flow, tmp_path / "out", watch=remove)
    run.analyze([str(folder)])
    assert [Path(problem.source).name for problem in run.problems] == ["b.jpg"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [source["complete"] for source in summary["sources"]] == [True, False, True]
    assert len((tmp_path / "out" / "faces.csv").read_text().splitlines()) == 3


def test_a_clock_that_is_set_back_changes_nothing(
    clip: Path, flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day back at every look: rows, events, notes are as with a clock that runs."""
    import time

    Run(flow, tmp_path / "good").analyze([str(clip)])
    now = [2e9]

    def back() -> float:
        now[0] -= 86_400
        return now[0]

    monkeypatch.setattr(time, "time", back)
    run = Run(flow, tmp_path / "out", interval_s=0)
    run.analyze([str(clip)])
    for path in (tmp_path / "good").iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_notes_come_after_the_rows_they_speak_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are on the disk (fsync) before the note says so."""
    done: list[str] = []
    monkeypatch.setattr(writers.os, "fsync", lambda _: done.append("rows"))
    plain = os.replace
    monkeypatch.setattr(writers.os, "replace", lambda *names: (done.append(Path(names[1]).name), plain(*names)))
    writer = RowWriter(tmp_path, NAMES, "csv")
    writer.add([ROW])
    writer.flush()
    write_whole(tmp_path / PROGRESS, "{}")
    writer.close()
    assert done == ["rows", PROGRESS]


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_job_is_not_given_up_because_the_clock_was_set(
    jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that says nothing for a second, while the machine's clock goes eleven days back or forward."""
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("prometheus_client")
    import asyncio
    import time
    from types import SimpleNamespace

    from mien.server.runner import Runner

    lines: list[tuple[float, bytes]] = [(0.0, b'{"stage": "analysing"}\n'), (1.5, b""), (0.0, b"")]
    killed: list[bool] = []
    plain, begun = time.time, []

    class Out:
        async def readline(self) -> bytes:
            seconds, line = lines.pop(0)
            if seconds:
                begun.append(True)
            await asyncio.sleep(seconds)  # longer than the runner waits before it looks at the clock
            return line

    monkeypatch.setattr(time, "time", lambda: plain() + (jump if begun else 0))
    runner: Any = object.__new__(Runner)
    runner._settings, runner.folder, runner.progress = SimpleNamespace(timeout_s=30.0), tmp_path, {}
    process: Any = SimpleNamespace(stdout=Out(), kill=lambda: killed.append(True))
    job: Any = SimpleNamespace(id="x")
    last, hung = asyncio.run(runner._follow(job, process))
    assert not hung
    assert not killed
    assert last == {"stage": "analysing"}
