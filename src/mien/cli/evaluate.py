"""`mien eval`: score weights on a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    weights: Annotated[str, typer.Argument(help="Weights in the package or a path to an .onnx file.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set, in its authors' layout.")],
    dataset: Annotated[str, typer.Option(help="ferplus, fer2013, rafdb, ck48 or ck48-6.")] = "ferplus",
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "test",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for confusion and reliability PNGs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Accuracy, UAR with its interval, macro F1, calibration and the recall of every class."""
    from mien.pipeline.model import load
    from mien.train.evaluate import evaluate as run
    from mien.train.evaluate import load_split

    if split not in ("train", "val", "test", "all"):
        raise typer.BadParameter(f"{split!r} is not train, val, test or all", param_hint="--split")
    results = run(load(weights), load_split(dataset, data, split), dataset)
    figures = {result.name: result.figures() for result in results}
    if out is not None:
        from mien.report.research import confusion_figure, reliability_figure

        out.mkdir(parents=True, exist_ok=True)
        first = results[0]
        confusion_figure(first.matrix, first.labels, out / "confusion.png", title=first.name)
        reliability_figure(first.scores, first.truth, out / "reliability.png", title=first.name)
    if as_json:
        typer.echo(json.dumps({"weights": weights, "split": split, **figures}, indent=1))
        return
    for name, row in figures.items():
        recall = "  ".join(f"{label} {value:.2f}" for label, value in row["recall"].items())
        typer.echo(
            f"{name} ({split}, {row['faces']} faces): accuracy {row['accuracy']:.4f}  UAR {row['uar']:.4f} "
            f"[{row['uar_low']:.3f}, {row['uar_high']:.3f}]  macro F1 {row['macro_f1']:.4f}  ECE {row['ece']:.4f}\n"
            f"  recall: {recall}"
        )
