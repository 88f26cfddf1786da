"""Draws docs/figures/known-failures.png: SYNTHETIC faces that are read wrongly, the surest error of each expression.

    mien data synthesise ICT_FOLDER --out CLIPS --people 20 --seed 1
    python scripts/make_failures_figure.py CLIPS

No person is shown: the faces are renders of the ICT face model (MIT). They show what such an error looks like, and say
nothing of how often it happens on real faces.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import read_picture
from mien.types import Frame

ROOT = Path(__file__).parent.parent
WEIGHTS = ("mien-s", "mien-m")


def surest_errors(
    folder: Path, weights: str
) -> tuple[dict[str, tuple[float, str, np.ndarray]], dict[str, tuple[int, int]]]:
    """Label -> (score, what was said, the face); and label -> (right, all). The apex stills of the clips."""
    flow = Flow(Options(model=weights, threads=1))
    worst: dict[str, tuple[float, str, np.ndarray]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for path in sorted((folder / "stills").glob("*.png")):
        truth = path.stem.split("-")[2]
        for result in flow.run([Frame(read_picture(path))]):
            if not len(result.faces):
                continue
            scores = result.faces.scores[0]
            said = result.labels[int(scores.argmax())]
            right, total = counts.get(truth, (0, 0))
            counts[truth] = (right + (said == truth), total + 1)
            if said != truth and float(scores.max()) > worst.get(truth, (0.0, "", None))[0]:  # type: ignore[comparison-overlap]
                worst[truth] = (float(scores.max()), said, result.frame.image)
    return worst, counts


def main(folder: Path) -> None:
    found = {weights: surest_errors(folder, weights) for weights in WEIGHTS}
    labels = sorted({label for _, counts in found.values() for label in counts})
    figure = Figure(figsize=(1.7 * len(labels), 4.6), dpi=80, layout="constrained")
    axes = figure.subplots(len(WEIGHTS), len(labels), squeeze=False)
    for row, (weights, (worst, counts)) in enumerate(found.items()):
        for axis, label in zip(axes[row], labels, strict=True):
            axis.set_axis_off()
            right, total = counts.get(label, (0, 0))
            title = f"{label}\n{right} of {total} right"
            if label in worst:
                score, said, image = worst[label]
                axis.imshow(image)
                title += f"\nhere: {said} {score:.2f}"
            axis.set_title(title, fontsize=8)
        axes[row][0].text(-0.12, 0.5, weights, rotation=90, va="center", transform=axes[row][0].transAxes, fontsize=9)
    figure.suptitle("Synthetic faces (ICT face model) read wrongly: the surest error of each expression", fontsize=9)
    target = ROOT / "docs" / "figures" / "known-failures.png"
    figure.savefig(target)
    print(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
