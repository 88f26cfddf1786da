"""Work through training/QUEUE.md unattended, most valuable first, within a time limit, keeping what is done.

    python scripts/work_queue.py --data FOLDER --runs RUNS [--minutes 60] [--only 2 --only 5] [--list]

A command that ends well is noted in RUNS/queue.jsonl and not started again; one that the limit cuts off goes on where
it was the next time, since every training resumes from its last whole epoch. Its output goes to RUNS/queue-NUMBER.log.
FOLDER holds the data sets, each in a folder of its own or all in one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

QUEUE = Path(__file__).parent.parent / "training" / "QUEUE.md"
ROW = re.compile(r"^\|\s*(\d+)\s*\|\s*`([^`]+)`\s*\|")
GRACE = 20.0


@dataclass(frozen=True)
class Task:
    number: int
    command: str


def read_queue(text: str) -> list[Task]:
    """The rows `| number | `command` | ...` of the queue's table, in order."""
    found = (ROW.match(line) for line in text.splitlines())
    return [Task(int(m[1]), m[2]) for m in found if m]


def finished(log: Path) -> set[str]:
    """Commands that ended well before."""
    if not log.is_file():
        return set()
    rows = (json.loads(line) for line in log.read_text().splitlines() if line.strip())
    return {row["command"] for row in rows if row["code"] == 0}


def run(task: Task, data: Path, runs: Path, seconds: float) -> int | None:
    """Run one command; its exit code, or None if the limit cut it off."""
    command = task.command.replace("FOLDER", str(data)).replace(" runs", f" {runs}")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with open(runs / f"queue-{task.number}.log", "a") as log:
        child = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=QUEUE.parent.parent,
            env=environment,
            start_new_session=True,
        )
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for runs (default: runs)")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this time (default: 60)")
    parser.add_argument("--only", type=int, action="append", help="this row only; repeat for several")
    parser.add_argument("--list", action="store_true", help="show what waits and stop")
    given = parser.parse_args()
    tasks = [t for t in read_queue(QUEUE.read_text()) if not given.only or t.number in given.only]
    runs = given.runs.resolve()
    done = finished(runs / "queue.jsonl")
    if given.list:
        for task in tasks:
            print(f"{'done ' if task.command in done else 'waits'}  {task.number}  {task.command}")
        return
    if given.data is None:
        parser.error("--data is missing: the folder of the data sets")
    runs.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + given.minutes * 60
    for task in tasks:
        left = end - time.monotonic()
        if task.command in done or left < 30:
            continue
        print(f"{task.number}: {task.command}", flush=True)
        start = time.monotonic()
        code = run(task, given.data.resolve(), runs, left)
        took = round(time.monotonic() - start)
        said = "cut off by the limit" if code is None else "done" if code == 0 else f"failed with exit code {code}"
        print(f"   {said} after {took} s; see {runs}/queue-{task.number}.log", flush=True)
        with open(runs / "queue.jsonl", "a") as log:
            log.write(
                json.dumps({"number": task.number, "command": task.command, "code": code, "seconds": took}) + "\n"
            )


if __name__ == "__main__":
    main()
