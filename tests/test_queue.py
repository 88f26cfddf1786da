"""The queue's commands can be read and run, and a finished one is not run again."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def queue() -> ModuleType:
    spec = importlib.util.spec_from_file_location("work_queue", ROOT / "scripts" / "work_queue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["work_queue"] = module
    spec.loader.exec_module(module)
    return module


def test_every_recipe_in_the_queue_exists(queue: ModuleType) -> None:
    pytest.importorskip("torch")
    from mien.train.recipe import recipes

    tasks = queue.read_queue((ROOT / "training" / "QUEUE.md").read_text())
    assert len(tasks) >= 5
    assert [t.number for t in tasks] == sorted({t.number for t in tasks})
    known = set(recipes())
    for task in tasks:
        lexer = shlex.shlex(task.command, posix=True, punctuation_chars=";")
        lexer.whitespace_split = True
        words = list(lexer)
        assert words[0] in ("mien", "for", "if", "python") or (ROOT / words[0]).is_file(), task.command
        for i, word in enumerate(words):
            if word == "mien" and words[i + 1] == "train":
                assert words[i + 2] in known, task.command
            if word == "mien" and words[i + 1 : i + 3] == ["bench", "run"]:
                named = words[i + 3 : next(j for j in range(i, len(words)) if words[j].startswith("--"))]
                assert named
                assert set(named) <= known, task.command


def test_rows_make_what_their_trainings_need(queue: ModuleType, tmp_path: Path) -> None:
    tasks = {t.number: t.command for t in queue.read_queue((ROOT / "training" / "QUEUE.md").read_text())}
    seeds = queue.Task(1, tasks[1].replace("mien train", "echo train"))
    assert queue.run(seeds, tmp_path / "data", tmp_path, 20) == 0
    started = (tmp_path / "queue-1.log").read_text().splitlines()
    assert len(started) == 16
    for seed in (2, 3):
        assert (tmp_path / f"faceres-seed{seed}").readlink() == Path("faceres")
        assert sum(line.endswith(f"--runs {tmp_path} --seed {seed}") for line in started) == 8
    # PEDFE has clips without a face, for which `mien data apex` ends with 1
    for outcome in ("true", "false"):
        frames = queue.Task(8, tasks[8].replace("mien data", outcome).replace("mien bench", "echo bench"))
        assert queue.run(frames, tmp_path / "data", tmp_path, 20) == 0
    said = (tmp_path / "queue-8.log").read_text().splitlines()
    assert [line.split()[0] for line in said] == ["bench", "clips", "bench"]
    assert "mien data apex pedfe FOLDER/pedfe --out FOLDER/pedfe-apex" in tasks[8]


def test_the_queue_runs_keeps_and_cuts_off(
    queue: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "training").mkdir()
    listing = tmp_path / "training" / "QUEUE.md"
    listing.write_text(
        "| # | command |\n| --- | --- |\n| 0 | `echo one FOLDER >> runs/said` |\n| 1 | `false` |\n| 2 | `sleep 60` |\n"
    )
    monkeypatch.setattr(queue, "QUEUE", listing)
    monkeypatch.setattr(queue, "GRACE", 1.0)
    runs = tmp_path / "runs"
    command = ["q", "--data", str(tmp_path / "data"), "--runs", str(runs)]
    monkeypatch.setattr(sys, "argv", [*command, "--only", "0", "--only", "1"])
    queue.main()
    queue.main()
    assert (runs / "said").read_text() == f"one {tmp_path / 'data'}\n"
    rows = [json.loads(line) for line in (runs / "queue.jsonl").read_text().splitlines()]
    assert [(r["number"], r["code"]) for r in rows] == [(0, 0), (1, 1), (1, 1)]
    assert queue.run(queue.Task(2, "sleep 60"), tmp_path, runs, 0.5) is None
    monkeypatch.setattr(sys, "argv", ["q", "--runs", str(runs), "--list"])
    capsys.readouterr()
    queue.main()
    assert capsys.readouterr().out.splitlines()[0].startswith("done ")
