"""Picture, depth and both on SYNTHETIC scans, plain and under noise, turns and darkness; the tables of docs/depth.md.

    python scripts/measure_depth.py FOLDER RUNS [--seed 1 2 3] [--make ICT_FOLDER]

FOLDER holds, or gets by --make, scans of the same made-up people looking ahead and turned (`mien data scans`); noise,
holes and darkness are put on the views of them. Every recipe is trained on plain scans and on varied ones, folds by
person, and its test people are then looked at under every condition. A run that was stopped goes on. Prints Markdown;
writes docs/measured/depth.json, docs/figures/depth.png and the tables of docs/depth.md.
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
from mien.datasets.synthetic_scans import ScanSettings, blots, synthesise, synthetic_scans
from mien.metrics import confusion, uar
from mien.metrics.bootstrap import bootstrap
from mien.train.distributed import Team
from mien.train.folding import folds_of
from mien.train.loop import pick_device
from mien.train.recipe import Recipe, load_recipe, with_seed
from mien.train.streams import extractor
from mien.train.study import Study, machine

PEOPLE, STEP = 10, 2.5
FOLDERS: dict[str, dict[str, Any]] = {"plain": {}, "pose": {"pose": 45.0}}
DARK, NOISE, HOLES = 0.02, 2.0, 0.2  # light that is left; mm; share
GRAIN = 2.0  # of the camera, grey levels
TESTS = {
    "plain": "plain",
    "dark": f"{DARK:.0%} of the light",
    "noise": f"depth noise {NOISE:g} mm, {HOLES:.0%} holes",
    "pose": "yaw up to 45 degrees",
    "all": "all three",
}
RECIPES = {
    "depth-dfdn": "DFDN: picture and depth",
    "depth-rgb": "picture, turned upright by the scan",
    "depth-alone": "depth",
    "depth-static": "depth, normals, curvature",
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


class Scans:
    """Colour and depth of all scans of both folders, and the same under each condition, made when first asked for.

    All are turned onto one template, that of the scans trained on, as a network in use would have it.

    Args:
        template: name of the folder that it is taken from.
    """

    def __init__(self, folder: Path, runs: Path, template: str) -> None:
        self.index = {name: synthetic_scans(folder / name) for name in FOLDERS}
        self.raw: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        shape = self.index[template].media["depth"].shape
        for name, index in self.index.items():
            kept = runs / f"views-{name}-on-{template}.npz"
            if not kept.is_file():
                rows = range(len(index))
                face, depth = (dataclasses.replace(index.media[m], shape=shape) for m in ("face", "depth"))
                runs.mkdir(parents=True, exist_ok=True)
                np.savez(kept, face=np.stack([face[r] for r in rows]), depth=np.stack([depth[r] for r in rows]))
            with np.load(kept) as held:
                self.raw[name] = held["face"], held["depth"]
        self.seen: dict[Any, Any] = {}

    def under(self, condition: str) -> tuple[np.ndarray, np.ndarray]:
        """Colour uint8 [N, S, S, 3] and depth in mm [N, S, S]; those of `varied` have each between none and all."""
        if condition not in self.seen:
            random = np.random.default_rng(5)
            turned = condition in ("pose", "all", "varied")
            face, depth = self.raw["pose" if turned else "plain"]
            share = random.random((3, len(face))) if condition == "varied" else np.ones((3, len(face)))
            gain, noise, holes = DARK ** share[0], NOISE * share[1], HOLES * share[2]
            if condition in ("plain", "pose", "noise"):
                gain = np.ones(len(face))
            if condition in ("plain", "pose", "dark"):
                noise = holes = np.zeros(len(face))
            self.seen[condition] = harmed(face, depth, gain, noise, holes, random)
        return self.seen[condition]

    def faces(self, recipe: Recipe, condition: str) -> FaceSet:
        """The scans under one condition as a recipe reads them."""
        face, depth = self.under(condition)
        items, masks = {}, {}
        for name in recipe.modalities:
            key = (condition, name, repr(recipe.features.get(name)))
            if key not in self.seen:
                read, _ = extractor(recipe.features.get(name, "as-is"))
                self.seen[key] = np.stack([read(item) for item in (face if name == "face" else depth)])
            items[name], masks[name] = self.seen[key], np.ones((len(face), 1), bool)
        index, nothing = self.index["plain"], np.zeros((len(face), 0), np.uint8)
        own = index.targets, index.majority, index.split, index.labels, index.group, index.extra
        return FaceSet(nothing, *own, Streams(items, masks))


def harmed(
    face: np.ndarray, depth: np.ndarray, gain: np.ndarray, noise: np.ndarray, holes: np.ndarray, random: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Views with less light (the camera's grain stays), noise in depth, and blots where nothing was measured at all."""
    dim = face * gain[:, None, None, None] + GRAIN * (gain < 1)[:, None, None, None] * random.normal(0, 1, face.shape)
    face = np.where(np.isfinite(depth)[..., None], dim, 0).round().clip(0, 255).astype(np.uint8)
    depth = (depth + noise[:, None, None] * random.normal(0, 1, depth.shape)).astype(np.float32)
    for row, share in enumerate(holes):
        known = np.isfinite(depth[row])
        gone = blots(known, share, random)
        depth[row][gone], face[row][gone] = np.nan, 0
    return face, depth


def measure(
    name: str, trained: str, scans: Scans, runs: Path, seeds: Sequence[int], folds: int
) -> list[dict[str, Any]]:
    """Figures of one recipe trained on the scans of one condition, under each condition."""
    ways = {"": {}, "without the picture": {"absent": "face"}, "without depth": {"absent": "depth"}}
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    truth = people = np.zeros(0)
    for seed in seeds:
        recipe: Recipe = with_seed(load_recipe(name), seed) if seed > 1 else load_recipe(name)
        recipe = dataclasses.replace(recipe, folds=folds)
        faces = scans.faces(recipe, trained)
        study = Study(recipe, faces, runs / trained / recipe.name, pick_device("cpu"), Team())
        study.train(say=lambda text: None)
        for condition in TESTS:
            # the same people and scans in the same order, so that the folds are the same
            looked = dataclasses.replace(study, faces=scans.faces(recipe, condition))
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
    for recipe, what in RECIPES.items():
        own = [line for line in lines if line["recipe"] == recipe and line["trained"] == trained]
        for way in dict.fromkeys(line["missing"] for line in own):
            cells = [what + (f", {way}" if way else "")]
            for condition in TESTS:
                line = next(line for line in own if (line["missing"], line["tested"]) == (way, condition))
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
            if not own:
                continue
            height = [next(x for x in own if x["tested"] == condition) for condition in TESTS]
            error = [[x["uar"] - x["low"] for x in height], [x["high"] - x["uar"] for x in height]]
            at = np.arange(len(TESTS)) + 0.2 * (k - 1.5)
            area.bar(at, [x["uar"] for x in height], 0.18, yerr=error, error_kw={"lw": 0.7}, label=words)
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
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--make", type=Path, default=None, metavar="ICT_FOLDER")
    given = parser.parse_args()
    if given.make:
        for name, options in FOLDERS.items():
            settings = ScanSettings(people=PEOPLE, step=STEP, **options)
            for _ in synthesise(given.make, given.folder / name, settings):
                pass
    lines: list[dict[str, Any]] = []
    for trained, template in (("plain", "plain"), ("varied", "pose")):
        scans = Scans(given.folder, given.runs, template)
        for name in RECIPES:
            kept = given.runs / f"depth-{trained}-{name}-{given.folds}-{'-'.join(map(str, given.seed))}.json"
            if not kept.is_file():
                kept.write_text(json.dumps(measure(name, trained, scans, given.runs, given.seed, given.folds)))
            lines += json.loads(kept.read_text())
            write(lines, given)
    print("\n".join(words(lines, given)))


def words(lines: list[dict[str, Any]], given: argparse.Namespace) -> list[str]:
    """The tables in Markdown, under what they rest on."""
    today, own, python = datetime.date.today().isoformat(), machine(pick_device("cpu")), platform.python_version()
    said = [
        f"{today}, {own}, Python {python}; n = {lines[0]['n']} SYNTHETIC scans of {PEOPLE} made-up people, "
        f"{given.folds} folds by person, seed {', '.join(map(str, given.seed))}; UAR of seven classes "
        "(chance 0.143), in brackets 95 % over people (bootstrap)."
    ]
    for trained in dict.fromkeys(line["trained"] for line in lines):
        said += ["", f"**Trained on {trained} SYNTHETIC scans**", "", *table(lines, trained)]
    return said


def write(lines: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """Keep the figures so far: as JSON, as a picture, and in the page."""
    facts = {"date": datetime.date.today().isoformat(), "machine": machine(pick_device("cpu")), "synthetic": True}
    facts |= {"python": platform.python_version(), "seeds": given.seed, "folds": given.folds, "people": PEOPLE}
    text = json.dumps({**facts, "figures": "@"}, indent=1)
    rows = ",\n".join("  " + json.dumps(line) for line in lines)
    (ROOT / "docs/measured/depth.json").write_text(text.replace('"@"', f"[\n{rows}\n ]") + "\n")
    draw(lines, ROOT / "docs/figures/depth.png")
    page = ROOT / "docs/depth.md"
    before, _, rest = page.read_text().partition("<!-- figures -->\n")
    after = rest.partition("<!-- end of figures -->")[2]
    said = "\n".join([*words(lines, given), ""])
    page.write_text(before + "<!-- figures -->\n" + said + "<!-- end of figures -->" + after)


if __name__ == "__main__":
    main()
