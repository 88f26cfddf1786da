"""What `mien export --prior P --least-prior L` would give on the validation faces of FER+, for a grid of both.

python scripts/choose_priors.py RUN FER2013_FOLDER AIM [mirror]

AIM is the accuracy wanted on test faces, which came out a hundredth lower than these so far: of those that reach
AIM + 0.012 here, the package's weights have the largest 2 accuracy + UAR. mien-s was given 0.83, and mien-m
0.84, for none of the grid reaches its 0.85 + 0.012.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mien.export.onnx import float_logits
from mien.metrics import accuracy, confusion, uar
from mien.train.checkpoint import average_runs
from mien.train.evaluate import load_split

ROOM = 0.012


def main(run: Path, data: Path, aim: float, mirror: bool) -> None:
    """Print the grid, best first."""
    faces = load_split("ferplus", data, "val")
    faces = faces[faces.majority >= 0]
    network, state = average_runs([run])
    logits = float_logits(network, faces.pixels, mirror=mirror)
    clean = faces.extra["clean7"]
    seven = [k for k, label in enumerate(faces.labels) if label != "contempt"]
    strength = 1.0 if state["model"] == "ensemble" else state["tau"]
    lines = []
    for least in (0.0, 0.04, 0.06, 0.08, 0.1, 0.12):
        adjustment = np.log(average_runs([run], least)[1]["adjustment"])
        for power in (0.36, 0.48, 0.6, 0.72, 0.8, 0.9, 1.0):
            z = logits + power / strength * adjustment
            matrix = confusion(faces.majority, z.argmax(1), len(faces.labels))
            top = np.array(seven)[z[:, seven].argmax(1)]
            figures = accuracy(matrix), uar(matrix), float((top == clean)[clean >= 0].mean())
            lines.append((figures[0] >= aim + ROOM, 2 * figures[0] + figures[1], power / strength, least, *figures))
    print("| --prior | --least-prior | accuracy | UAR | FER+7 |\n| --- | --- | --- | --- | --- |")
    for _, _, prior, least, *figures in sorted(lines, reverse=True)[:12]:
        print(f"| {prior:.2f} | {least:.2f} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5) or sys.argv[4:] not in ([], ["mirror"]):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), len(sys.argv) == 5)
