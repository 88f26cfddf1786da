"""Start-up: what it costs before anything is analysed, beside a bare Python, in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.errors import MienError


@dataclass(frozen=True)
class Start:
    """One command: medians of processor seconds (its own and its children's) and of seconds by the clock."""

    name: str
    cpu_s: float
    seconds: float


def commands(picture: Path, out: Path) -> dict[str, list[str]]:
    """What is timed, the bare one first."""
    mien = [sys.executable, "-m", "mien"]
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import mien": [sys.executable, "-c", "import mien"],
        "mien --help": [*mien, "--help"],
        "mien analyze (first picture)": [*mien, "analyze", str(picture), "-o", str(out), "--json"],
    }


def measure(picture: Path, rounds: int = 5) -> list[Start]:
    """All commands in turn, round after round, after one that warms up.

    Raises:
        MienError: a command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked = commands(picture, Path(folder) / "out")
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
        for number in range(rounds + 1):
            for name, command in asked.items():
                spent = _once(command)
                if number:
                    times[name].append(spent)
    return [
        Start(name, statistics.median(cpu for cpu, _ in spent), statistics.median(s for _, s in spent))
        for name, spent in times.items()
    ]


def _once(command: Sequence[str]) -> tuple[float, float]:
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds, after = time.perf_counter() - begin, os.times()
    if done.returncode:
        raise MienError((done.stderr.strip().splitlines() or ["a command failed"])[-1].removeprefix("mien: "))
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent, seconds
