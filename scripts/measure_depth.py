"""Picture, depth and both on SYNTHETIC scans, plain and under noise, turns and darkness; the tables of docs/depth.md.

    python scripts/measure_depth.py FOLDER RUNS [--seed 1 2 3] [--make ICT_FOLDER]

FOLDER holds, or gets by --make, scans of the same made-up people under each condition (`mien data scans`). Every recipe
is trained on the plain scans and on the varied ones, folds by person, and its test people are then looked at under
every condition. A run that was stopped goes on. Prints Markdown; writes docs/measured/depth.json,
docs/figures/depth.png and the tables of docs/depth.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.faces import FaceSet
from mien.datasets.streams import Streams
from mien.datasets.synthetic_scans import ScanSettings, synthesise
from mien.metrics import confusion, uar
from mien.metrics.bootstrap import bootstrap
from mien.train.distributed import Team
from mien.train.folding import folds_of
from mien.train.loop import pick_device
from mien.train.prepare import read_faces
from mien.train.recipe import Recipe, load_recipe, with_seed
from mien.train.study import Study, machine

PEOPLE, STEP = 15, 2.5
HARD: dict[str, Any] = {"noise": 3.0, "holes": 0.2, "pose": 45.0, "dark": 0.98}
CONDITIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dark": {"dark": HARD["dark"]},
    "noise": {"noise": HARD["noise"], "holes": HARD["holes"]},
    "pose": {"pose": HARD["pose"]},
    "all": HARD,
    "varied": {**HARD, "vary": True},
}
TESTS = {
    "plain": "plain",
    "dark": "2 % of the light",
    "noise": "depth noise 3 mm, 20 % holes",
    "pose": "yaw up to 45 degrees",
    "all": "all three",
}
RECIPES = {
    "depth-picture": "picture as it is",
    "depth-rgb": "picture, turned upright by the scan",
    "depth-alone": "depth",
    "depth-static": "depth, normals, curvature",
    "depth-dfdn": "DFDN: picture and depth",
}
FUSED = "depth-dfdn"
ROOT = Path(__file__).resolve().parent.parent


def mean_uar(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over seeds of the UAR of answers [N, seeds]; NaN where a class is missing."""
    classes = int(truth.max()) + 1
    if len(np.unique(truth)) < classes:
        return float("nan")
    return float(np.mean([uar(confusion(truth, column, classes)) for column in said.T]))


def answers(study: Study, **missing: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows tested, in order of folds; their answers; truth."""
    folds, _ = folds_of(study.recipe, study.faces)
    said = [study.scores(fold, study.place(i, len(folds)), **missing).argmax(1) for i, fold in enumerate(folds)]
    rows = np.concatenate([fold.test for fold in folds])
    return rows, np.concatenate(said), study.faces.majority[rows]


def look(recipe: Recipe, condition: str, folder: Path, runs: Path, seen: dict[Any, FaceSet]) -> FaceSet:
    """The scans of one condition in a recipe's modalities, each of which is read but once."""
    items, masks = {}, {}
    for name in recipe.modalities:
        how = {name: recipe.features[name]} if name in recipe.features else {}
        key = (condition, name, repr(how))
        if key not in seen:
            alone = dataclasses.replace(recipe, modalities=(name,), features=how)
            seen[key] = read_faces(alone, folder / condition, runs / condition)
        streams = seen[key].streams
        assert streams is not None
        items[name], masks[name] = streams.items[name], streams.masks[name]
    return dataclasses.replace(seen[key], streams=Streams(items, masks))


def measure(
    name: str, trained: str, folder: Path, runs: Path, seeds: Sequence[int], seen: dict[Any, FaceSet]
) -> list[dict[str, Any]]:
    """Figures of one recipe trained on the scans of one condition, under each condition."""
    ways = {"": {}, "without the picture": {"absent": "face"}, "without depth": {"absent": "depth"}}
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    truth = people = np.zeros(0)
    for seed in seeds:
        recipe: Recipe = with_seed(load_recipe(name), seed) if seed > 1 else load_recipe(name)
        faces = look(recipe, trained, folder, runs, seen)
        study = Study(recipe, faces, runs / trained / recipe.name, pick_device("cpu"), Team())
        study.train(say=lambda text: None)
        for condition in TESTS:
            # the same people and scans in the same order, so that the folds are the same
            looked = dataclasses.replace(study, faces=look(recipe, condition, folder, runs, seen))
            if (looked.faces.group != study.faces.group).any():
                raise SystemExit(f"{folder / condition} holds other people than {folder / trained}")
            for way, missing in ways.items() if name == FUSED else (("", {}),):
                rows, said, truth = answers(looked, **missing)
                people = looked.faces.group[rows]
                found.setdefault((condition, way), []).append(said)
    lines = []
    for (condition, way), columns in found.items():
        said = np.stack(columns, 1)
        value, low, high = bootstrap(mean_uar, truth, said, groups=people)
        each = [mean_uar(truth, column[:, None]) for column in said.T]
        facts = {"trained": trained, "tested": condition, "recipe": name, "missing": way, "uar": round(value, 4)}
        facts |= {"low": round(low, 4), "high": round(high, 4), "seeds": [round(u, 4) for u in each]}
        lines.append(facts | {"accuracy": round(float((said == truth[:, None]).mean()), 4), "n": len(truth)})
    return lines


def table(lines: list[dict[str, Any]], trained: str) -> list[str]:
    """A Markdown table: a row a recipe, a column a condition."""
    head = ["read", *TESTS.values()]
    rows = [head, ["---"] * len(head)]
    for recipe, words in RECIPES.items():
        for way in dict.fromkeys(line["missing"] for line in lines if line["recipe"] == recipe):
            cells = [words + (f", {way}" if way else "")]
            for condition in TESTS:
                line = next(
                    line
                    for line in lines
                    if (line["recipe"], line["missing"], line["trained"], line["tested"])
                    == (recipe, way, trained, condition)
                )
                cells.append(f"{line['uar']:.3f} [{line['low']:.2f}, {line['high']:.2f}]")
            rows.append(cells)
    return [f"| {' | '.join(row)} |" for row in rows]


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """Bars: UAR by condition, a panel for each training."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(11, 4), layout="constrained")
    areas = made.subplots(1, 2, sharey=True)
    for area, trained in zip(areas, ("plain", "varied"), strict=True):
        for k, (recipe, words) in enumerate(RECIPES.items()):
            own = [x for x in lines if x["recipe"] == recipe and not x["missing"] and x["trained"] == trained]
            height = [next(x for x in own if x["tested"] == condition) for condition in TESTS]
            error = [[x["uar"] - x["low"] for x in height], [x["high"] - x["uar"] for x in height]]
            at = np.arange(len(TESTS)) + 0.16 * (k - 2)
            area.bar(at, [x["uar"] for x in height], 0.15, yerr=error, error_kw={"lw": 0.7}, label=words)
        area.axhline(1 / 7, color="grey", lw=0.8, ls="--")
        area.set_xticks(range(len(TESTS)), list(TESTS))
        area.set_title(f"trained on {trained} scans")
    areas[0].set_ylabel("UAR, 7 classes (dashed: chance)")
    made.legend(*areas[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    made.suptitle("SYNTHETIC scans in BU-3DFE's layout, folds by made-up person")
    made.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--make", type=Path, default=None, metavar="ICT_FOLDER")
    given = parser.parse_args()
    if given.make:
        for name, options in CONDITIONS.items():
            settings = ScanSettings(people=PEOPLE, step=STEP, **options)
            for _ in synthesise(given.make, given.folder / name, settings):
                pass
    lines = []
    seen: dict[Any, FaceSet] = {}
    for trained in ("plain", "varied"):
        for name in RECIPES:
            kept = given.runs / f"depth-{trained}-{name}-{'-'.join(map(str, given.seed))}.json"
            if not kept.is_file():
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(measure(name, trained, given.folder, given.runs, given.seed, seen)))
            lines += json.loads(kept.read_text())
    facts = {"date": datetime.date.today().isoformat(), "machine": machine(pick_device("cpu"))}
    facts |= {"python": platform.python_version(), "seeds": given.seed, "people": PEOPLE, "synthetic": True}
    text = json.dumps({**facts, "figures": "@"}, indent=1)
    rows = ",\n".join("  " + json.dumps(line) for line in lines)
    (ROOT / "docs/measured/depth.json").write_text(text.replace('"@"', f"[\n{rows}\n ]") + "\n")
    draw(lines, ROOT / "docs/figures/depth.png")
    words = [f"{facts['date']}, {facts['machine']}, Python {facts['python']}; n = {lines[0]['n']} SYNTHETIC scans of "]
    words[0] += (
        f"{PEOPLE} made-up people, mean of seeds {', '.join(map(str, given.seed))}, in brackets 95 % over people."
    )
    for trained in ("plain", "varied"):
        words += ["", f"**UAR, trained on {trained} SYNTHETIC scans** (chance 0.143)", "", *table(lines, trained)]
    print("\n".join(words))
    page = ROOT / "docs/depth.md"
    if page.is_file():
        before, _, rest = page.read_text().partition("<!-- figures -->\n")
        after = rest.partition("<!-- end of figures -->")[2]
        page.write_text(before + "<!-- figures -->\n" + "\n".join([*words, ""]) + "<!-- end of figures -->" + after)


if __name__ == "__main__":
    main()
