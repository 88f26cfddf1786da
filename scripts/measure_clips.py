"""Clips read by weights for single faces, and what goes with the intensity that people have rated; prints Markdown.

    python scripts/measure_clips.py FOLDER RUNS

FOLDER holds pedfe-clips/ and synthetic-clips/ (`mien data clips`), RUNS the runs of `mien bench run pedfe-...`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS
from mien.datasets.faces import FaceSet
from mien.pipeline.model import load
from mien.train.evaluate import clip_scores, evaluate_scores, load_split, rated_intensity
from mien.train.loop import pick_device
from mien.train.study import machine

SETS = ("pedfe-clips", "synthetic-clips")


def still(name: str, faces: FaceSet, dataset: str) -> list[list[str]]:
    """Rows of the two tables for weights of single faces: mean and peak over the frames."""
    rows = []
    for pool in ("mean", "peak"):
        model = load(name)
        scores = clip_scores(model, faces.pixels, pool)
        figures = evaluate_scores(scores, model.spec.labels, faces, dataset)[0].figures()
        rated = rated_intensity(scores, model.spec.labels, faces)
        cells = [f"{figures['accuracy']:.3f}", f"{figures['uar']:.3f}", f"{figures['macro_f1']:.3f}"]
        agreed = [f"{rated['pearson']:.2f}", f"{rated['spearman']:.2f}"] if rated else ["", ""]
        rows.append([dataset, f"{name}, {pool} of the frames", *cells, rated.get("signal", ""), *agreed])
    return rows


def trained(run: Path, faces: FaceSet, dataset: str) -> list[str]:
    """The row of a finished run."""
    with np.load(run / "predictions.npz") as held:
        rows, scores = held["rows"], held["scores"]
    labels = tuple(faces.labels)
    chosen = faces[rows]
    figures = evaluate_scores(scores, labels, chosen, dataset)[0].figures()
    rated = rated_intensity(scores, labels, chosen)
    cells = [f"{figures['accuracy']:.3f}", f"{figures['uar']:.3f}", f"{figures['macro_f1']:.3f}"]
    agreed = [f"{rated['pearson']:.2f}", f"{rated['spearman']:.2f}"] if rated else ["", ""]
    return [dataset, run.name, *cells, rated.get("signal", ""), *agreed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path)
    given = parser.parse_args()
    DATASETS.names()
    table: list[list[str]] = []
    for dataset in SETS:
        faces = load_split(dataset, given.folder / dataset, "all")
        table += still("mien-s", faces, dataset)
        prefix = dataset.split("-")[0]
        for path in sorted(given.runs.glob(f"{prefix}-*/predictions.npz")):
            record = next(path.parent.glob("**/run.json"), None)
            recipe = json.loads(record.read_text(encoding="utf-8"))["recipe"] if record else {}
            if recipe.get("dataset") == dataset and not recipe.get("target") and "-seed" not in path.parent.name:
                table.append(trained(path.parent, faces, dataset))
    head = ["clips", "read by", "accuracy", "UAR", "macro F1", "signal", "Pearson, rated intensity", "Spearman"]
    today, python = datetime.date.today().isoformat(), platform.python_version()
    print(f"### Clips read whole\n\n{today}, {machine(pick_device('cpu'))}, Python {python}.\n")
    for row in (head, ["---"] * len(head), *table):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
