"""One clip from file to table, in a process of its own: `python -m mien.bench.clip_child CLIP OUT THREADS OPTIONS`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def peak_mb() -> float:
    """Most memory that this process has held at once, 10**6 bytes.

    On Linux it is asked of the process itself: what `getrusage` says begins with the memory of the process that started
    this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource

        # kilobytes, but bytes on macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _cpu_s() -> float:
    """Processor seconds of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def main(clip: str, out: str, threads: str, options: str) -> dict[str, Any]:
    """Analyse and measure: frames, faces, seconds and processor seconds without start-up, peak memory in MB."""
    if int(threads) and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    from mien.analysis import Run
    from mien.pipeline.flow import Flow, Options

    flow = Flow(Options(threads=int(threads), **json.loads(options)))
    begin, begin_cpu = time.perf_counter(), _cpu_s()
    run = Run(flow, Path(out))
    run.analyze([clip])
    seconds, cpu = time.perf_counter() - begin, _cpu_s() - begin_cpu
    if run.problems:
        sys.exit(f"{run.problems[0].source}: {run.problems[0].reason}")
    with open(run.rows_path, "rb") as file:
        faces = sum(1 for _ in file) - 1
    frames = sum(done.frames for done in run.state.values())
    return {"frames": frames, "faces": faces, "seconds": seconds, "cpu_s": cpu, "peak_mb": peak_mb()}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
