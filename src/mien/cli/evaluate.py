"""`mien eval`: score weights on a data set, and show what they look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.datasets.faces import FaceSet
    from mien.explain.subject import Subject
    from mien.metrics.evaluation import Evaluation


def evaluate(
    weights: Annotated[
        str, typer.Argument(help="Weights in the package, a path to an .onnx file, or the folder of a finished run.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set, in its authors' layout.")],
    dataset: Annotated[
        str | None, typer.Option(help="ferplus, fer2013, rafdb, ck48 ...; ferplus, or what a run was trained on.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val, test or all; of a run, its own fold's.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for confusion, reliability and explain PNGs.")
    ] = None,
    explain: Annotated[
        int, typer.Option(min=0, max=40, help="Faces of each class to show with what the network looks at.")
    ] = 0,
    pool: Annotated[str, typer.Option(help="Of clips: mean of the frames' scores, or peak.")] = "mean",
    absent: Annotated[str, typer.Option(help="Of a run over several modalities: take this one from every row.")] = "",
    wrong: Annotated[str, typer.Option(help="The same: each row has this one from another row.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; for runs.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Accuracy, UAR with its interval, macro F1, calibration and the recall of every class."""
    from mien.train.evaluate import evaluate_scores, rated_intensity

    if split not in ("train", "val", "test", "all"):
        raise typer.BadParameter(f"{split!r} is not train, val, test or all", param_hint="--split")
    if pool not in ("mean", "peak"):
        raise typer.BadParameter(f"{pool!r} is not mean or peak", param_hint="--pool")
    if explain and out is None:
        raise typer.BadParameter("name the folder that explain.png goes to with --out", param_hint="--explain")
    if (absent or wrong) and not Path(weights).is_dir():
        raise typer.BadParameter("is for the folder of a finished run", param_hint="--absent" if absent else "--wrong")
    subject = _subject(weights, device, pool, absent, wrong)
    name = dataset or subject.dataset
    faces = subject.faces(name, data, split)
    scores = subject.scores(faces)
    results = evaluate_scores(scores, subject.labels, faces, name)
    figures = {result.name: result.figures() for result in results}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _draw(results[0], out)
        if explain:
            _explain(subject, faces, results[0], explain, f"{subject.name} on {name}, {split}", out / "explain.png")
    intensity = rated_intensity(scores, subject.labels, faces)
    if as_json:
        rated = {"intensity": intensity} if intensity else {}
        typer.echo(json.dumps({"weights": weights, "split": split, **figures, **rated}, indent=1))
        return
    for title, row in figures.items():
        recall = "  ".join(f"{label} {value:.2f}" for label, value in row["recall"].items())
        typer.echo(
            f"{title} ({split}, {row['faces']} faces): accuracy {row['accuracy']:.4f}  UAR {row['uar']:.4f} "
            f"[{row['uar_low']:.3f}, {row['uar_high']:.3f}]  macro F1 {row['macro_f1']:.4f}  ECE {row['ece']:.4f}\n"
            f"  recall: {recall}"
        )
    if intensity:
        typer.echo(
            f"rated intensity against {intensity['signal']} ({intensity['rows']} rows): "
            f"Pearson {intensity['pearson']:.3f}  Spearman {intensity['spearman']:.3f}"
        )


def _subject(weights: str, device: str, pool: str, absent: str, wrong: str) -> Subject:
    if Path(weights).is_dir():
        from mien.errors import require

        require("torch", "train")
        from mien.explain.run import FinishedRun
        from mien.train.loop import pick_device

        return FinishedRun(Path(weights), pick_device(device), absent=absent, wrong=wrong)
    from mien.explain.subject import WeightFile

    return WeightFile(weights, pool)


def _draw(first: Evaluation, out: Path) -> None:
    from mien.report.research import confusion_figure, reliability_figure

    confusion_figure(first.matrix, first.labels, out / "confusion.png", title=first.name)
    reliability_figure(first.scores, first.truth, out / "reliability.png", title=first.name)


def _explain(subject: Subject, faces: FaceSet, result: Evaluation, each: int, title: str, path: Path) -> None:
    import numpy as np

    from mien.explain.choose import choose
    from mien.report.explain import Shown, explain_figure

    known = np.flatnonzero(faces.majority >= 0)
    predicted = result.scores.argmax(1)
    chosen = choose(result.truth, predicted, len(result.labels), each)
    rows = np.concatenate(chosen)
    classes = np.array([subject.labels.index(result.labels[k]) for k in predicted[rows]], np.int64)
    picked = faces[known[rows]]
    maps = dict(zip(rows.tolist(), subject.maps(picked, classes), strict=True))
    shown = {
        label: [
            Shown(
                faces.pixels[known[row]],
                maps[row],
                result.labels[predicted[row]],
                float(result.scores[row].max()),
                bool(predicted[row] == k),
            )
            for row in chosen[k].tolist()
        ]
        for k, label in enumerate(result.labels)
    }
    explain_figure(shown, path, title=title, method=subject.method, shares=result.figures()["recall"])
