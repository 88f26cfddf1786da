"""Recipes times seeds: an append-only file of results, one JSON object a line, and the table made from it."""

from __future__ import annotations

import datetime
import hashlib
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mien.errors import DataError
from mien.train.distributed import Team
from mien.train.loop import pick_device
from mien.train.recipe import Recipe, load_recipe, with_seed
from mien.train.study import Study, machine

Line = dict[str, Any]


def recipe_key(recipe: Recipe) -> str:
    """A short name of everything in a recipe that can alter its figures (its name and the paper's figure cannot).

    What a recipe leaves as it is by default does not count, so that a new key leaves the names of old recipes alone.
    """
    usual = asdict(Recipe("", ""))
    content = {k: v for k, v in asdict(recipe).items() if k not in ("name", "paper") and v != usual[k]}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def read_lines(path: Path) -> list[Line]:
    """All results in a file; none where there is no file.

    Raises:
        DataError: a line is no JSON object.
    """
    if not path.is_file():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number} is not JSON ({error}); delete that line") from error
    return lines


def run_bench(
    names: Sequence[str],
    seeds: Sequence[int],
    data: Path,
    runs: Path,
    results: Path,
    *,
    device: str = "auto",
    changes: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
    team: Team | None = None,
) -> list[Line]:
    """Train and test each recipe with each seed, adding one line each; a result that is there is not made again.

    Returns:
        The lines of these recipes and seeds.
    """
    team = team or Team()
    wanted = []
    for name in names:
        for seed in seeds:
            recipe = load_recipe(name, **(changes or {}))
            wanted.append((name, recipe if seed == recipe.seed else with_seed(recipe, seed)))
    done = []
    for name, recipe in wanted:
        key = recipe_key(recipe)
        known = [line for line in read_lines(results) if line["key"] == key]
        if known:
            say(f"{recipe.name}: already in {results}")
            done.append(known[-1])
            continue
        study = Study.open(recipe, data, runs, pick_device(device), team)
        folds = study.train(say)
        if not team.leads:
            continue
        line = _line(Path(name).stem, recipe, key, study, len(folds))
        results.parent.mkdir(parents=True, exist_ok=True)
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        say(f"{recipe.name}: accuracy {_main(line)['accuracy']:.4f}, UAR {_main(line)['uar']:.4f} on the test rows")
        done.append(line)
    return done


def _line(name: str, recipe: Recipe, key: str, study: Study, folds: int) -> Line:
    record = json.loads((study.place(0, folds) / "run.json").read_text(encoding="utf-8"))
    seconds = sum(
        json.loads((study.place(i, folds) / "run.json").read_text(encoding="utf-8"))["seconds"] for i in range(folds)
    )
    return {
        "recipe": name,
        "key": key,
        "seed": recipe.seed,
        "model": recipe.model,
        "parameters": record["parameters"],
        "dataset": recipe.dataset,
        "protocol": recipe.protocol if folds == 1 else f"{recipe.protocol}, {folds} folds",
        "labels": recipe.labels,
        "views": recipe.views,
        "epochs": recipe.stop or recipe.epochs,
        **study.test(),
        "paper": asdict(recipe.paper),
        "data": record["data"]["sha256"][:12],
        "versions": record["versions"],
        "machine": machine(study.device),
        "seconds": round(seconds, 1),
        "date": datetime.date.today().isoformat(),
    }


def _main(line: Line) -> Line:
    """Figures on the data set's own labels."""
    return dict(line["figures"].get(line["dataset"]) or next(iter(line["figures"].values())))


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of percentages, or the one value.

    >>> spread([0.5, 0.6, 0.7]), spread([0.61234])
    ('60.0 ± 10.0', '61.2')
    """
    mean = f"{100 * statistics.fmean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean


def table(lines: Iterable[Line]) -> str:
    """Markdown: a row a recipe, over its seeds, beside its paper's figure; by data set, the best accuracy first."""
    groups: dict[tuple[str, str, str], list[Line]] = {}
    newest: dict[tuple[str, int], Line] = {}
    for line in lines:
        newest[(line["recipe"], line["seed"])] = line
    for line in newest.values():
        groups.setdefault((line["dataset"], line["protocol"], line["recipe"]), []).append(line)
    rows = []
    for (dataset, protocol, recipe), members in groups.items():
        figures = [_main(line) for line in members]
        accuracy = [f["accuracy"] for f in figures]
        distinct = [line["figures"]["without_copies"]["accuracy"] for line in members if _has_copies(line)]
        paper = members[-1]["paper"]
        cells = [
            recipe,
            members[-1]["model"],
            f"{members[-1]['parameters']:,}",
            str(len(members)),
            spread(accuracy),
            spread(distinct) if len(distinct) == len(members) else "",
            spread([f["uar"] for f in figures]),
            spread([f["macro_f1"] for f in figures]),
            f"{paper['figure']:g}" if paper["figure"] else "",
            "; ".join(text for text in (paper["source"], paper["warning"]) if text),
        ]
        rows.append((dataset, protocol, -statistics.fmean(accuracy), cells))
    names = (
        "recipe",
        "network",
        "parameters",
        "seeds",
        "accuracy",
        "without copies",
        "UAR",
        "macro F1",
        "paper",
        "note",
    )
    text = []
    place = None
    for dataset, protocol, _, cells in sorted(rows):
        if (dataset, protocol) != place:
            place = (dataset, protocol)
            text += ["", f"### {dataset}, {protocol}", "", f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text).strip() + "\n"


def _has_copies(line: Line) -> bool:
    return "without_copies" in line["figures"]
