"""EEG alone, and with faces on class-matched pairs of different people: measures what recipes cannot, writes the page.

    python scripts/measure_eeg.py further FOLDER RUNS     (some minutes: docs/measured/eeg.json)
    python scripts/measure_eeg.py page FOLDER RUNS        (docs/eeg.md, docs/figures/eeg-bands.png)

FOLDER holds the data sets, RUNS the runs of `mien bench run` of the recipes `seed4-*`, `deap-*`, `mahnob-*`,
`pairs-seed4-*` and `pairs-mahnob-*`. Intervals draw whole people (95 %, 1,000 draws) and are of the mean over seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.datasets.faces import FaceSet
from mien.fusions.linear import SoftmaxRegression
from mien.metrics import confusion, uar
from mien.metrics.bootstrap import bootstrap
from mien.protocols import Fold, kfold
from mien.train.distributed import Team
from mien.train.loop import Trainer
from mien.train.prepare import aimed, find_index, read_faces
from mien.train.recipe import Recipe, load_recipe, recipes, with_seed
from mien.train.study import Study, machine

ROOT = Path(__file__).parent.parent
FURTHER = ROOT / "docs" / "measured" / "eeg.json"
CPU = torch.device("cpu")
SEEDS = (1, 2, 3)
Answers = tuple[np.ndarray, np.ndarray]
"""Rows, and their scores [N, K]."""


def recall(truth: np.ndarray, answer: np.ndarray, classes: int) -> float:
    return uar(confusion(truth, answer, classes))


def summary(truth: np.ndarray, answers: list[np.ndarray], people: np.ndarray, classes: int) -> dict[str, Any]:
    """Accuracy and UAR over the seeds, and the interval of their mean UAR over people."""

    def mean(truth: np.ndarray, *answers: np.ndarray) -> float:
        return float(np.mean([recall(truth, answer, classes) for answer in answers]))

    found = bootstrap(mean, truth, *answers, groups=people)
    right = [float((answer == truth).mean()) for answer in answers]
    every = [recall(truth, answer, classes) for answer in answers]
    share = float(np.bincount(truth).max() / len(truth))
    return {
        "rows": len(truth),
        "people": len(np.unique(people)),
        "seeds": len(answers),
        "accuracy": right,
        "uar": every,
        "low": found.low,
        "high": found.high,
        "largest": share,
        "chance": 1 / classes,
    }


# --- what recipes cannot ask for ---


def trained(study: Study, fold: Fold, number: int) -> np.ndarray:
    """Scores of a fold's test rows, by the recipe's network trained on its training rows for the recipe's epochs."""
    folder = study.folder / f"part-{number:02d}"
    nothing = np.zeros(0, np.int64)
    Trainer(study.recipe, study.faces, folder, CPU, rows=(fold.train, nothing), home=study.folder).run(
        lambda line: None
    )
    return study.scores(fold, folder)


def both_new(first: np.ndarray, second: np.ndarray, majority: np.ndarray, k: int, seed: int) -> Iterator[Fold]:
    """k x k folds whose test rows share neither the first group (people) nor the second (films) with training rows."""
    for one in kfold(first, majority, k, seed, val=0):
        for two in kfold(second, majority, k, seed, val=0):
            yield Fold(
                "both new", np.intersect1d(one.train, two.train), one.train[:0], np.intersect1d(one.test, two.test)
            )


def folds_of(what: str, faces: FaceSet, seed: int) -> Iterator[Fold]:
    """The folds of a further measurement by its name."""
    people, majority = faces.group, faces.majority
    if what == "person":
        for name in np.unique(people):
            own, session = people == name, faces.extra["session"]
            train, test = (np.flatnonzero(own & rows) for rows in (session < 3, session == 3))
            yield Fold(str(name), train, train[:0], test)
    elif what == "sessions":
        session = faces.extra["session"]
        train, test = np.flatnonzero(session < 3), np.flatnonzero(session == 3)
        yield Fold("sessions", train, train[:0], test)
    elif what == "people and sessions":
        for fold in kfold(people, majority, 5, seed, val=0):
            early, late = faces.extra["session"] < 3, faces.extra["session"] == 3
            yield Fold(fold.name, fold.train[early[fold.train]], fold.val, fold.test[late[fold.test]])
    elif what == "film":
        yield from kfold(np.char.add("film ", faces.extra["video"].astype(str)), majority, 10, seed, val=0)
    else:
        yield from both_new(people, faces.extra["video"].astype(str), majority, 5, seed)


PLAN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "seed-iv, people and films new": ("seed4-eeg-net", "people and sessions", {}),
    "seed-iv, people and films new, features as released": ("seed4-eeg-raw", "people and sessions", {}),
    "seed-iv, known people, features as released": ("seed4-eeg-raw", "sessions", {}),
    "seed-iv, each person by themselves": ("seed4-eeg-net", "person", {"epochs": 60, "batch": 16}),
    "deap valence, films new": ("deap-valence", "film", {}),
    "deap arousal, films new": ("deap-arousal", "film", {}),
    "deap valence, people and films new": ("deap-valence", "people and films", {}),
    "deap arousal, people and films new": ("deap-arousal", "people and films", {}),
    "mahnob valence, films new": ("mahnob-valence", "film", {}),
    "mahnob arousal, films new": ("mahnob-arousal", "film", {}),
    "mahnob valence, people and films new": ("mahnob-valence", "people and films", {}),
    "mahnob arousal, people and films new": ("mahnob-arousal", "people and films", {}),
    "mahnob emotions, people and films new": ("mahnob-emotions", "people and films", {}),
}
"""Name -> the recipe, the folds, and what of the recipe is altered."""
LINEAR = {"linear, features as released": "seed-iv", "linear, own scale": "seed-iv-standardised"}
"""Name -> the data set of softmax regression on trials' means."""


def measure(name: str, data: Path, runs: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """One further measurement with all seeds; parts that are trained already are not trained again."""
    recipe_name, what, changes = PLAN[name]
    answers, truth, people = [], np.zeros(0), np.zeros(0)
    for seed in seeds:
        recipe = with_seed(dataclasses.replace(load_recipe(recipe_name), **changes), seed)
        faces = read_faces(recipe, data, runs)
        folder = runs / f"further-{name.replace(', ', '-').replace(' ', '-')}-{seed}"
        study = Study(recipe, faces, folder, CPU, Team(), data)
        rows, scores = [], []
        for number, fold in enumerate(folds_of(what, faces, seed)):
            rows.append(fold.test)
            scores.append(trained(study, fold, number))
        order = np.argsort(np.concatenate(rows))
        kept = np.concatenate(rows)[order]
        truth, people = faces.majority[kept], faces.group[kept]
        answers.append(np.concatenate(scores).argmax(1)[order])
    return summary(truth, answers, people, len(faces.labels))


def linear(dataset: str, data: Path, penalty: float = 1000.0) -> dict[str, Any]:
    """Softmax regression on the mean over each trial's windows, by the folds of `seed4-eeg-net`."""
    index = find_index(dataset, data)
    x = np.stack([index.media["eeg"][row].mean(0) for row in range(len(index))]).astype(np.float64)
    answer = np.zeros(len(index), np.int64)
    for fold in kfold(index.group, index.majority, 5, 1, val=0):
        out = np.isin(np.arange(len(index)), fold.test)
        mean, deviation = x[~out].mean(0), x[~out].std(0)
        model = SoftmaxRegression(penalty).fit((x[~out] - mean) / deviation, index.majority[~out], len(index.labels))
        answer[out] = model((x[out] - mean) / deviation).argmax(1)
    return summary(index.majority, [answer], index.subject, len(index.labels))


def further(data: Path, runs: Path, seeds: Sequence[int], only: Sequence[str]) -> None:
    """What is not measured yet with so many seeds; each as soon as it is known to the file."""
    for name in only or (*PLAN, *LINEAR):
        if len(read_further().get(name, {}).get("uar", ())) < (1 if name in LINEAR else len(seeds)):
            found = linear(LINEAR[name], data) if name in LINEAR else measure(name, data, runs, seeds)
            save(name, found)
            print(name, [round(value, 3) for value in found["uar"]], flush=True)


def read_further() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FURTHER.read_text(encoding="utf-8")) if FURTHER.is_file() else {}
    return found


def save(name: str, found: dict[str, Any]) -> None:
    known = read_further()
    known[name] = {**found, "date": datetime.date.today().isoformat(), "machine": machine(CPU)}
    FURTHER.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


# --- the page ---


def predictions(recipe: Recipe, runs: Path) -> list[Answers]:
    """Rows and scores of each seed whose run is there."""
    found = []
    for seed in SEEDS:
        path = runs / with_seed(recipe, seed).name / "predictions.npz"
        path = path if path.is_file() or seed != recipe.seed else runs / recipe.name / "predictions.npz"
        if path.is_file():
            with np.load(path) as held:
                found.append((held["rows"], held["scores"]))
    return found


def of_recipe(name: str, data: Path, runs: Path) -> dict[str, Any] | None:
    """The summary of a recipe's runs, or None where there is none yet."""
    recipe = load_recipe(name)
    held = predictions(recipe, runs)
    if not held:
        return None
    index = aimed(find_index(recipe.dataset, data), recipe)
    rows = np.sort(held[0][0])
    answers = [scores[np.argsort(places)].argmax(1) for places, scores in held]
    return summary(index.majority[rows], answers, index.group[rows], len(index.labels))


def percent(values: list[float]) -> str:
    mean = f"{100 * statistics.fmean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean


def cells(found: dict[str, Any]) -> list[str]:
    """people, trials, seeds, accuracy, UAR, interval, chance."""
    interval = f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"
    chance = f"{100 * found['chance']:.1f} ({100 * found['largest']:.1f})"
    counted = [str(found["people"]), f"{found['rows']:,}", str(found["seeds"])]
    return [*counted, percent(found["accuracy"]), percent(found["uar"]), interval, chance]


HEAD = ("people", "trials", "seeds", "accuracy", "UAR", "95 % interval", "chance (largest class)")


def table(first: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [[*first], ["---"] * len(first), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def alone(names: dict[str, str], data: Path, runs: Path, known: dict[str, Any]) -> str:
    """A table of recipes, and of further measurements by their names."""
    rows = []
    for name, about in names.items():
        ours = name in PLAN or name in LINEAR
        found = known.get(name) if ours else of_recipe(name, data, runs)
        label = "" if ours else f"`{name}`"
        if found:
            rows.append([about, label, *cells(found)])
    return table(("what", "recipe", *HEAD), rows)


def missing(results: list[dict[str, Any]], name: str) -> list[str]:
    """UAR with EEG absent, EEG wrong, face absent, face wrong, as means over the seeds."""
    found: dict[tuple[str, str], list[float]] = {}
    for line in results:
        if line["recipe"] == name:
            for modality, how in line["figures"].get("missing", {}).items():
                for what, figures in how.items():
                    found.setdefault((modality, what), []).append(figures["uar"])
    return [
        f"{100 * statistics.fmean(found[key]):.1f}" if key in found else ""
        for key in (("eeg", "absent"), ("eeg", "wrong"), ("face", "absent"), ("face", "wrong"))
    ]


def pairs(prefix: str, names: dict[str, str], data: Path, runs: Path, results: list[dict[str, Any]]) -> str:
    rows = []
    for short, about in names.items():
        name = f"{prefix}-{short}"
        found = of_recipe(name, data, runs) if name in recipes() else None
        if found:
            rows.append([about, f"`{name}`", *cells(found)[2:6], *missing(results, name)])
    head = ("what", "recipe", *HEAD[2:6], "UAR, no EEG", "wrong EEG", "no face", "wrong face")
    return table(head, rows)


SINGLE = {
    "seed4-eeg-raw": "other people, features as released",
    "linear, features as released": "the same by softmax regression on trials' means",
    "seed4-eeg-net": "other people, own scale",
    "seed4-eeg-mean": "the same, mean over the windows in place of attention",
    "seed4-eeg-loso": "the same, one person out, all windows",
    "linear, own scale": "the same by softmax regression on trials' means",
    "seed4-bcn-eeg": "other people, own scale, pictures of three bands by `bcn-eeg`, 10 windows",
    "seed-iv, people and films new, features as released": "other people and other films, features as released",
    "seed-iv, people and films new": "other people and other films, own scale",
    "seed-iv, known people, features as released": "known people, later session, features as released",
    "seed4-eeg-sessions": "known people, later session, own scale",
    "seed-iv, each person by themselves": "each person by themselves, later session, own scale",
}
DEAP_MAHNOB = {
    f"{data} {what}".replace(" ", "-") if not films else f"{data} {what}, {films}": f"{shown}, {what}: {said}"
    for data, shown in (("deap", "DEAP"), ("mahnob", "MAHNOB-HCI"))
    for what in ("valence", "arousal", "emotions")
    for films, said in (
        ("", "other people"),
        ("films new", "other films"),
        ("people and films new", "both new; 5 x 5 folds"),
    )
    if what != "emotions" or (data == "mahnob" and films != "films new")
}
JOINED = {
    "eeg": "EEG alone",
    "face": "face alone, embedded by mien-s",
    "histeq-face": "face alone, equalised patterns, learnt from these faces",
    "joint": "trained together",
    "histeq": "`histeq-lbp-eeg`",
    "bcn": "`bcn-eeg`, pictures of both",
    "mean": "mean of the two scores",
    "product": "product",
    "vote": "vote",
    "weights": "learnt weights",
    "rank": "Borda count",
    "stacking": "stacking",
    "feature": "features side by side",
    "hybrid": "hybrid",
    "histeq-mean": "EEG and equalised patterns: mean",
    "histeq-stacking": "EEG and equalised patterns: stacking",
}


def figure(data: Path, path: Path) -> None:
    """Mean pictures of SEED-IV's four emotions in five bands, on each session's own scale."""
    import matplotlib.pyplot as plt

    from mien.features.band_images import SEED62, band_images

    index = find_index("seed-iv-standardised", data)
    trials = np.stack([index.media["eeg"][row].mean(0) for row in range(len(index))]).reshape(len(index), 62, 5)
    means = np.stack([trials[index.majority == k].mean(0) for k in range(len(index.labels))])
    drawn = band_images(means, SEED62, 64)
    known = band_images(np.ones((1, 62, 1), np.float32), SEED62, 64)[0, 0] > 0.5
    most = float(np.abs(drawn).max())
    shown, axes = plt.subplots(len(drawn), 5, figsize=(8, 6.6), layout="constrained")
    for k, row in enumerate(drawn):
        for band, name in enumerate(("delta", "theta", "alpha", "beta", "gamma")):
            axis = axes[k, band]
            image = axis.imshow(np.where(known, row[band], np.nan), cmap="RdBu_r", vmin=-most, vmax=most)
            axis.set(xticks=[], yticks=[], frame_on=False)
            axis.set_title(name if k == 0 else "")
            axis.set_ylabel(index.labels[k] if band == 0 else "")
    shown.colorbar(image, ax=axes, shrink=0.5, label="differential entropy, deviations from the session's mean")
    shown.savefig(path, dpi=110)
    plt.close(shown)


def page(data: Path, runs: Path, lines: Path) -> None:
    known = read_further()
    results = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines() if line.strip()]
    newest = {(line["recipe"], line["seed"]): line for line in results}
    text = (Path(__file__).parent / "eeg_page.md").read_text(encoding="utf-8")
    parts = {
        "SEED": alone(SINGLE, data, runs, known),
        "DEAP": alone(DEAP_MAHNOB, data, runs, known),
        "PAIRS_SEED": pairs("pairs-seed4", JOINED, data, runs, list(newest.values())),
        "PAIRS_MAHNOB": pairs("pairs-mahnob", JOINED, data, runs, list(newest.values())),
        "MACHINE": machine(CPU),
    }
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    (ROOT / "docs" / "eeg.md").write_text(text, encoding="utf-8")
    figure(data, ROOT / "docs" / "figures" / "eeg-bands.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("further", "page"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "measured" / "results.jsonl")
    parser.add_argument(
        "--seed", type=int, action="append", help="of `further`, repeat for several; 1, 2, 3 by default"
    )
    parser.add_argument("--only", action="append", default=[], help="measure this one only; repeat for several")
    given = parser.parse_args()
    if given.what == "further":
        further(given.folder, given.runs, given.seed or SEEDS, given.only)
    else:
        page(given.folder, given.runs, given.results)


if __name__ == "__main__":
    main()
