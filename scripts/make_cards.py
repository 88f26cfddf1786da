"""Measure the expression weights in the package and write their cards and docs/accuracy.md.

python scripts/make_cards.py DATA        DATA holds fer2013/, rafdb (DATASET/ or basic/) and ck48/ (CK+48/)

The test splits are read here, once per release, and nowhere else.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mien.metrics import accuracy, confusion, uar
from mien.metrics.evaluation import Evaluation
from mien.pipeline.model import Model, load
from mien.report.research import confusion_figure, reliability_figure
from mien.train.evaluate import evaluate, load_split

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ("mien-s", "mien-m", "mien-s-int8")
ERRORS = """## What errors look like

The surest wrong answer of each expression on SYNTHETIC faces (renders of the ICT face model, no person;
`python scripts/make_failures_figure.py CLIPS`). They say nothing of how often it happens on real faces.

![Synthetic faces read wrongly](figures/known-failures.png)
"""
# on PEDFE, of women and of men: docs/measured/fairness-pedfe.json, by `mien bench fairness pedfe-clips`
OVER = {
    "mien-s": "+.30 and +.27",
    "mien-m": "+.30 and +.26",
    "mien-s-int8": "+.30 and +.27 for mien-s, from which these weights are made",
}
ABOUT = {
    "mien-s": "The default: fast enough for a camera on one core.",
    "mien-m": "Two networks, of which `mien-s` is one: the mean of their logits, for when speed counts less.",
    "mien-s-int8": "mien-s in 8-bit integers: the quickest on processors with AVX-512 VNNI (docs/speed.md); elsewhere untried.",
}


def measure(model: Model, data: Path) -> list[Evaluation]:
    """All evaluations of one model, test splits only."""
    results = evaluate(model, load_split("ferplus", data / "fer2013", "test"), "FER+ PrivateTest")
    results[0] = Evaluation("FER+ PrivateTest, 8 classes", results[0].labels, results[0].truth, results[0].scores)
    agreed = load_split("ferplus-majority", data / "fer2013", "test")
    results.insert(1, evaluate(model, agreed, "FER+ PrivateTest, 8 classes, the paper's majority rule")[0])
    raf = data if (data / "DATASET").is_dir() or (data / "basic").is_dir() else data / "rafdb"
    results += evaluate(model, load_split("rafdb", raf, "test"), "RAF-DB test, never trained on")
    results += evaluate(model, load_split("ck48-6", data / "ck48", "all"), "CK+48 without contempt, never trained on")
    return results


def without_copies(model: Model, data: Path) -> tuple[int, float, float]:
    """(faces, accuracy, UAR) on FER+ PrivateTest without pictures that also stand in another split."""
    everything = load_split("ferplus", data / "fer2013", "all")
    first = everything.extra["same_pixels_as"]
    outside = set(first[everything.split < 2].tolist())
    test = (everything.split == 2) & (everything.majority >= 0)
    alone = test & ~np.isin(first, list(outside))
    faces = everything[alone]
    matrix = confusion(faces.majority, model(list(faces.pixels)).argmax(1), len(faces.labels))
    return len(faces), accuracy(matrix), uar(matrix)


def row(result: Evaluation) -> str:
    f = result.figures()
    return (
        f"| {result.name} | {f['faces']} | {f['accuracy']:.3f} | {f['uar']:.3f} ({f['uar_low']:.3f}-{f['uar_high']:.3f}) "
        f"| {f['macro_f1']:.3f} | {f['ece']:.3f} |"
    )


def recall_table(results: list[Evaluation]) -> str:
    labels = results[0].labels
    lines = ["| Recall | " + " | ".join(labels) + " |", "|" + " --- |" * (len(labels) + 1)]
    for result in results:
        recall: dict[str, Any] = result.figures()["recall"]
        cells = [f"{recall[name]:.2f}" if name in recall else "-" for name in labels]
        lines.append(f"| {result.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def card(model: Model, results: list[Evaluation], alone: tuple[int, float, float]) -> str:
    spec = model.spec
    head = "| data | faces | accuracy | UAR (95 % interval) | macro F1 | calibration error |\n|" + " --- |" * 6
    return f"""# {spec.name}

{ABOUT[spec.name]}

- Input: one face, {spec.size}x{spec.size} pixels, grey. Output: calibrated scores of {", ".join(spec.labels)}.
- Network: `{spec.architecture}`, {spec.parameters:,} parameters, {model.path.stat().st_size / 1e6:.2f} MB ({
        "8" if spec.name.endswith("int8") else "16"
    }-bit weights).
- Trained on: {", ".join(spec.trained_on)}. Chosen and calibrated on FER+ PublicTest.
- Command: `{spec.command}`
- SHA-256: `{model.sha256}`
- Licence: {spec.licence}.
- How: docs/training.md, "The weights in the package". Faces are stretched more than usual in the last rounds because of what
  was seen on RAF-DB's training part; nothing was trained on it, selected or calibrated by it.
- The starts: `faceres` is a MobileNet that was trained to recognise people, then to estimate age and gender (Savchenko, PeerJ
  Computer Science 5:e197, 2019). The package that carries it is MIT, its author's code Apache-2.0; its training pictures,
  celebrities found by web search (VGGFace2, as far as we know), are covered by neither. dlib's ResNet-29, from which a
  teacher of `mien-s` started, is CC0, its pictures are of the web, too (`mien show identity`). Whoever needs weights from
  FER2013 alone trains `mien-m-base`, `mien-m-middle`, `mien-m` and `mien-s-base`, `mien-s` (earlier weights: FER+
  accuracy .826 and .812).
- Temperature {spec.temperature}. **unsure**: a top score below {spec.unsure_below:.2f}. On the validation split
  {spec.unsure_coverage:.0%} of the faces are not unsure, and of those {spec.unsure_accuracy:.0%} are right.

## Figures

Measured {
        datetime.date.today().isoformat()
    } by `python scripts/make_cards.py DATA`, on the weights as they ship, one crop
each. One training run (one seed): an interval says how much other faces would change the figure, not another training.

{head}
{chr(10).join(row(r) for r in results)}

The first line takes every face whose most votes are for an expression; the second, as the FER+ paper does (Barsoum et
al., 2016), only faces of which more than half of the votes that are left agree. "FER+7": faces where more than 5 of 10
taggers agree on one of FER2013's seven classes. An 8-class model is scored on seven classes by the largest of those.
Pictures are taken as they come, without detection. Without the test pictures that
also stand in another split ({alone[0]} remain) the first line's accuracy is {alone[1]:.3f} and its UAR {alone[2]:.3f}.

{recall_table(results)}

## Known failures

Look at the table before you build on a class: what is rare in the training data (contempt, disgust, fear) is missed most
and its figures rest on few faces ({
        "; ".join(
            f"{name}: {int((results[0].truth == results[0].labels.index(name)).sum())}"
            for name in ("contempt", "disgust", "fear")
        )
    } in FER+ PrivateTest). Faces that
are small, turned, dark, blurred or covered are read worse: docs/robust.md says by how much. On posed and genuine video of
another laboratory (PEDFE) the scores are far too sure: top score minus accuracy is {OVER[spec.name]}.

By group of people only gender could be measured, on 45 people: no difference in accuracy, UAR or calibration beyond its
interval, which is some 6 points of UAR wide to either side; but of men's anger more was found than of women's. Skin
tone, ethnicity and age are not known: docs/fairness.md. Pictures of errors, on synthetic faces: docs/figures/known-failures.png.

## Use

An expression is not a feeling. See docs/responsible-use.md.
"""


def main(data: Path) -> None:
    lines = [
        "# Accuracy of the weights in the package\n",
        f"Measured {datetime.date.today().isoformat()} by `python scripts/make_cards.py DATA`. One seed each. Selection and",
        "calibration saw FER+ PublicTest only; the sets marked so were never trained on. What was seen on RAF-DB's training part made",
        "the last rounds of training stretch faces more ([training](training.md)). More in each card: `mien show mien-s`.\n",
    ]
    for name in WEIGHTS:
        model = load(name)
        results, alone = measure(model, data), without_copies(model, data)
        (ROOT / "src" / "mien" / "weights" / f"{name}.md").write_text(card(model, results, alone), encoding="utf-8")
        folder = ROOT / "docs" / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        first = results[0]
        confusion_figure(first.matrix, first.labels, folder / f"{name}-confusion.png", title=f"{name}: {first.name}")
        reliability_figure(first.scores, first.truth, folder / f"{name}-reliability.png", title=f"{name}: {first.name}")
        lines += [
            f"## {name}\n",
            "| data | faces | accuracy | UAR (95 % interval) | macro F1 | calibration error |\n|" + " --- |" * 6,
            *(row(r) for r in results),
            f"\n{recall_table(results)}\n",
            f"![Confusion matrix](figures/{name}-confusion.png) ![Reliability](figures/{name}-reliability.png)\n",
        ]
        for result in results:
            print(name, row(result))
    (ROOT / "docs" / "accuracy.md").write_text("\n".join([*lines, ERRORS]), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
