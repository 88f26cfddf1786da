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
        words = shlex.split(task.command)
        assert words[0] in ("mien", "for", "python") or (ROOT / words[0]).is_file(), task.command
        if words[:2] == ["mien", "train"]:
            assert words[2] in known, task.command
        if words[:3] == ["mien", "bench", "run"]:
            named = words[3 : next(i for i, w in enumerate(words) if w.startswith("--"))]
            assert set(named) <= known, task.command


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
