"""A running `mien serve` for tests."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("sqlalchemy")

from mien.server.store import CANCELLED, DONE, FAILED  # noqa: E402


class Server:
    """A running `mien serve`."""

    def __init__(self, jobs: Path, *options: str) -> None:
        self.jobs, self.log = jobs, jobs.with_suffix(".log")
        command = [sys.executable, "-m", "mien", "serve", "--port", "0", "--jobs", str(jobs), *options]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("mien serves on http://127.0.0.1:"), line + self.log.read_text()
        self.url = line.split()[-1]
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.http.close()
        self.process.send_signal(how)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def workers(self, kind: str) -> list[int]:
        """Process ids of workers."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        pids = [int(pid) for path in children for pid in path.read_text().split()]
        return [pid for pid in pids if f"mien.server.{kind}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def over(self, id: str, limit_s: float = 60) -> dict[str, Any]:
        """Wait for the end of a job."""
        return self.until(id, lambda job: job["state"] in (DONE, FAILED, CANCELLED), limit_s)

    def until(self, id: str, met: Callable[[dict[str, Any]], bool], limit_s: float = 60) -> dict[str, Any]:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            job: dict[str, Any] = self.http.get(f"/v1/jobs/{id}").json()
            if met(job):
                return job
            time.sleep(0.05)
        raise AssertionError(job)

    def metric(self, name: str) -> float:
        lines = self.http.get("/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)
