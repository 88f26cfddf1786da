"""What decoding in a process of its own costs: `python scripts/measure_isolation.py SOURCE [--rounds 5] [--threads 0]`.

The same run with and without, by turns; prints both times of each round and the median of their ratios. On Linux
`taskset -c 0` before it, with `--threads 1`, gives the figure of a single core.
"""

from __future__ import annotations

import argparse
import json
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

    def once(apart: bool) -> float:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            Run(flow, Path(folder), decoder=Decoder() if apart else None).analyze([asked.source])
            return time.perf_counter() - begin

    once(False)  # libraries and weights are warm for both
    rounds = [(once(False), once(True)) for _ in range(asked.rounds)]
    ratios = [apart / within for within, apart in rounds]
    print(
        json.dumps(
            {
                "source": Path(asked.source).name,
                "threads": asked.threads,
                "within_s": [round(within, 2) for within, _ in rounds],
                "apart_s": [round(apart, 2) for _, apart in rounds],
                "ratios": [round(ratio, 3) for ratio in ratios],
                "median": round(statistics.median(ratios), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
