"""How much `mien serve` bears: the server on one core, the load on another, more and more senders until 429 comes.

    python scripts/measure_server.py PICTURE --out docs/measured/server.md

Each sender sends the picture, waits for the answer and sends it again; one that is answered 429 waits as long as the
answer's Retry-After says. A warm-up comes first. Times are those of answers 200, seen by the sender.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import httpx
import numpy as np


@dataclass
class Round:
    """What the senders of one round saw."""

    senders: int
    seconds: float = 0.0
    times_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def row(self) -> str:
        p50, p95, p99 = (f"{q * 1e3:.0f}" for q in np.percentile(self.times_s, (50, 95, 99)))
        rate, refused = self.statuses[200] / self.seconds, self.statuses[429]
        others = sum(self.statuses.values()) - self.statuses[200] - refused + sum(self.faults.values())
        return f"| {self.senders} | {self.statuses[200]} | {rate:.1f} | {p50} | {p95} | {p99} | {refused} | {others} |"


def play(url: str, picture: bytes, senders: int, seconds: float) -> Round:
    """One round."""
    found, lock, end = Round(senders), threading.Lock(), time.monotonic() + seconds

    def send() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while time.monotonic() < end:
                begin = time.perf_counter()
                try:
                    answer = client.post("/v1/analyze", content=picture)
                except httpx.HTTPError as error:
                    with lock:
                        found.faults[type(error).__name__] += 1
                    continue
                with lock:
                    found.statuses[answer.status_code] += 1
                    if answer.status_code == 200:
                        found.times_s.append(time.perf_counter() - begin)
                if answer.status_code == 429:
                    time.sleep(min(float(answer.headers["retry-after"]), max(0.0, end - time.monotonic())))

    threads = [threading.Thread(target=send) for _ in range(senders)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.seconds = time.monotonic() - begin
    return found


def resident_mb(pid: int) -> float:
    """Memory of a process and its children, MB."""
    pids = [pid]
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        pids += [int(child) for child in tasks.read_text().split()]
    lines = [line for p in pids for line in Path(f"/proc/{p}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--senders", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--cores", type=int, nargs=2, default=[0, 1], help="of the server, of the load")
    parser.add_argument("--queue", type=int, default=8)
    parser.add_argument("--note", default="", help="what else the machine did")
    args = parser.parse_args()
    picture = args.picture.read_bytes()
    height, width = cv2.imread(str(args.picture)).shape[:2]
    os.sched_setaffinity(0, {args.cores[1]})
    with tempfile.TemporaryDirectory() as folder:
        command = ["taskset", "-c", str(args.cores[0]), sys.executable, "-m", "mien", "serve", "--port", "0"]
        command += ["--jobs", folder, "--queue", str(args.queue)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            play(url, picture, 1, 3.0)
            before, load = resident_mb(server.pid), os.getloadavg()[0]
            rounds = []
            for senders in args.senders:
                rounds.append(play(url, picture, senders, args.seconds))
                print(rounds[-1].row(), flush=True)
            after = resident_mb(server.pid)
            well = httpx.get(f"{url}/healthz").status_code
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    memory = f"{before:.0f} MB after the warm-up, {after:.0f} MB at the end"
    machine = f"{os.cpu_count()}-core {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    text = f"""### The server under load

{time.strftime("%Y-%m-%d")}, {machine}; `python scripts/measure_server.py`. One picture of {width} x {height} pixels
({len(picture) / 1e3:.0f} kB) is sent for {args.seconds:g} s by each number of senders. The server and its worker are on
one core, the senders on another; `--workers 1 --queue {args.queue}`. Load average before: {load:.1f}. {args.note}

| senders | answers 200 | per second | p50, ms | p95, ms | p99, ms | 429 | other |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
    text += "\n".join(found.row() for found in rounds)
    text += f"\n\nMemory of the server and its worker: {memory}. `/healthz` afterwards: {well}.\n"
    args.out.write_text(text, encoding="utf-8")
    print(memory, well)


if __name__ == "__main__":
    main()
