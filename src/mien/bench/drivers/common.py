"""What all drivers share: one core, the clock, one line of JSON. Found beside the driver, not through a package."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Calls = tuple[Callable[[], Any], Callable[[str], tuple[int, int]]]
"""The network on one crop, ready in memory; and a clip, from file to table: frames and rows of faces."""
WARM, ROUNDS = 30, 200


def one_core() -> None:
    """This process, and the threads that libraries start later, stay on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])


def drive(start: Callable[[], Calls]) -> None:
    """`DRIVER net` or `DRIVER clip FILE`: print what was measured, start-up not counted."""
    one_core()
    network, clip = start()
    found: dict[str, Any]
    if sys.argv[1] == "net":
        for _ in range(WARM):
            network()
        times = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            network()
            times.append(1e3 * (time.perf_counter() - begin))
        found = {"ms": times}
    else:
        begin, cpu = time.perf_counter(), time.process_time()
        frames, faces = clip(sys.argv[2])
        found = {
            "seconds": time.perf_counter() - begin,
            "cpu_s": time.process_time() - cpu,
            "frames": frames,
            "faces": faces,
        }
    print("\n" + json.dumps(found))
