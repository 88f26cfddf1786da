"""What decoding in a process of its own costs: `python scripts/measure_isolation.py SOURCE [--rounds 5] [--threads 0]`.

The same run with and without, by turns; prints the times of each round, by the clock and of the processor (both
processes, the start of the second one too), and the medians of their ratios. On Linux `taskset -c 0` before it, with
`--threads 1`, gives the figure of a single core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from mien.analysis import Run
from mien.pipeline.decoding import Decoder
from mien.pipeline.flow import Flow, Options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    flow = Flow(Options(threads=asked.threads))

    def once(apart: bool) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            begin, before = time.perf_counter(), sum(os.times()[:4])
            Run(flow, Path(folder), decoder=Decoder() if apart else None).analyze([asked.source])
            return time.perf_counter() - begin, sum(os.times()[:4]) - before

    once(False)  # libraries and weights are warm for both
    rounds = [(once(False), once(True)) for _ in range(asked.rounds)]
    figures: dict[str, object] = {"source": Path(asked.source).name, "threads": asked.threads}
    for place, name in enumerate(("wall", "cpu")):
        pairs = [(within[place], apart[place]) for within, apart in rounds]
        figures[f"{name}_within_s"] = [round(within, 2) for within, _ in pairs]
        figures[f"{name}_apart_s"] = [round(apart, 2) for _, apart in pairs]
        figures[f"{name}_ratio"] = round(statistics.median(apart / within for within, apart in pairs), 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
