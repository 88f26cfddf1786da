"""Print accuracy under occluders, and paired gains against the first weights, of folders by `mien bench robust`.

python scripts/compare_robust.py FER2013_FOLDER BENCH_FOLDER... [--faces N] [--against WEIGHTS]

All folders must hold answers to the same faces: the same --faces, --split test and --seed 0. The gain is in points,
with the 95 % interval of the paired difference, against the first weights (or WEIGHTS) as they come, under the same
occluders.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mien.bench.results import read_lines
from mien.bench.robust import gain, sample
from mien.datasets import SPLITS
from mien.metrics import confusion, uar
from mien.train.evaluate import load_split


def answers(folders: list[Path]) -> dict[tuple[str, str], dict[float, np.ndarray]]:
    """(weights, way) -> strength -> classes answered [N]; 0 stands for clean faces."""
    found: dict[tuple[str, str], dict[float, np.ndarray]] = {}
    for line in (line for folder in folders for line in read_lines(folder / "answers.jsonl")):
        if line["harm"] in ("clean", "occluders"):
            key = Path(line["weights"]).stem, line["way"]
            said = np.frombuffer(line["answers"].encode("ascii"), np.uint8).astype(np.int64) - ord("a")
            found.setdefault(key, {})[line["strength"]] = said
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--faces", type=int, default=0)
    parser.add_argument("--against", default="", help="compare with these weights as they come, not with the first")
    given = parser.parse_args()
    everything = load_split("ferplus", given.data, "all")
    faces = sample(everything[everything.split == SPLITS.index("test")], given.faces, 0)
    truth, said = faces.majority, answers(given.folders)
    first = (given.against, "plain") if given.against else next(iter(said))
    if first not in said:
        parser.error(
            f"no answers of {given.against}, as they come; there are {', '.join(sorted({k for k, _ in said}))}"
        )
    strengths = sorted(said[first])
    print("| weights, way | " + " | ".join("clean" if s == 0 else f"{s:.0%}" for s in strengths) + " |")
    print("| --- |" + " --- |" * len(strengths))
    for key, known in said.items():
        cells = []
        for strength in strengths:
            matrix = confusion(truth, known[strength], len(faces.labels))
            text = f"{(known[strength] == truth).mean():.3f} / {uar(matrix):.3f}"
            if key != first:
                more, low, high = gain(truth, said[first][strength], known[strength])
                text += f", {more:+.1f} ({low:+.1f} to {high:+.1f})"
            cells.append(text)
        print(f"| {', '.join(key)} | " + " | ".join(cells) + " |")
    print(f"{len(truth):,} faces")


if __name__ == "__main__":
    main()
