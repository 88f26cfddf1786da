"""Are the bytes of an analysis the same whatever --batch and --threads?

    python scripts/check_same.py CLIP... [--model mien-s] [--every 2]

Analyses each clip with batches of 1, 8 and 13 frames and one thread or all, compares faces.csv, events.csv and
summary.json (but for the options in it) with those of the first, and counts cells that differ. Ends with 1 where there
is one.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

from mien.analysis import Run
from mien.pipeline.flow import Flow, Options


def analysed(clip: Path, folder: Path, options: Options) -> tuple[list[list[str]], bytes, str]:
    Run(Flow(options), folder).analyze([str(clip)])
    with open(folder / "faces.csv", newline="", encoding="utf-8") as file:
        cells = list(csv.reader(file))
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    del summary["options"]
    return cells, (folder / "events.csv").read_bytes(), json.dumps(summary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="+")
    parser.add_argument("--model", default="mien-s")
    parser.add_argument("--every", type=int, default=2)
    args = parser.parse_args()
    worst = 0
    for clip in args.clip:
        first = None
        for threads, batch in itertools.product(sorted({1, os.cpu_count() or 1}), (8, 1, 13)):
            with tempfile.TemporaryDirectory() as folder:
                options = Options(args.model, every=args.every, batch=batch, threads=threads)
                found = analysed(clip, Path(folder), options)
            first = first or found
            cells = sum(
                a != b for one, other in zip(first[0], found[0], strict=False) for a, b in zip(one, other, strict=True)
            )
            cells += abs(len(first[0]) - len(found[0]))
            worst += cells + (first[1:] != found[1:])
            said = (
                f"{len(found[0]) - 1} rows, {cells} cells differ; events {'same' if first[1] == found[1] else 'DIFFER'}"
            )
            print(f"{clip.name}, {args.model}, --threads {threads} --batch {batch}: {said}", flush=True)
    sys.exit(bool(worst))


if __name__ == "__main__":
    main()
