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

from mien.bench.lines import Line, add_line, read_lines
from mien.errors import RecipeError, UnknownName
from mien.train.distributed import Team
from mien.train.loop import pick_device
from mien.train.recipe import Recipe, load_recipe, recipes, with_seed
from mien.train.study import Study, machine


def recipe_key(recipe: Recipe) -> str:
    """A short name of everything in a recipe that can alter its figures (its name and the paper's figure cannot).

    What a recipe leaves as it is by default does not count, so that a new key leaves the names of old recipes alone.
    """
    usual = asdict(Recipe("", ""))
    content = {k: v for k, v in asdict(recipe).items() if k not in ("name", "paper", "oracle") and v != usual[k]}
    for table in ("clips", "streams", "fusion"):
        if table in content:
            content[table] = {k: v for k, v in content[table].items() if v != usual[table][k]}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


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
        add_line(results, line)
        shown = ("ccc",) if recipe.dimensions else ("accuracy", "uar")
        said = ", ".join(f"{name} {_main(line)[name]:.4f}" for name in shown)
        say(f"{recipe.name}: {said} on the test rows")
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
        **({"target": recipe.target} if recipe.target else {}),
        "protocol": recipe.protocol if folds == 1 else f"{recipe.protocol}, {folds} folds",
        "labels": recipe.labels,
        "views": recipe.views,
        "epochs": recipe.stop or recipe.epochs,
        # of the first fold; folds differ by a person or two
        "faces_split": record["protocol"]["train"],
        **({"faces_trained": record["faces_trained"]} if "faces_trained" in record else {}),
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


PAIRS = "class-matched pairs of different people"

NAMES = (
    "recipe",
    "network",
    "parameters",
    "MACs (M)",
    "ms per face",
    "seeds",
    "accuracy",
    "without copies",
    "UAR",
    "macro F1",
    "paper",
    "epochs",
    "minutes",
    "device",
    "note",
)


Group = tuple[str, str, str, tuple[str, ...]]


def grouped(lines: Iterable[Line]) -> dict[Group, list[Line]]:
    """Lines by data set, protocol, recipe and what it was shortened by; of several with one seed, the last one."""
    newest: dict[tuple[Group, int], Line] = {}
    for line in lines:
        if "accuracy" not in _main(line):  # numbers, not classes: `numbers` tells of those
            continue
        group = (line["dataset"], line["protocol"], line["recipe"], tuple(shortened(line)))
        newest[(group, line["seed"])] = line
    groups: dict[Group, list[Line]] = {}
    for (group, _), line in newest.items():
        groups.setdefault(group, []).append(line)
    return groups


def numbers(lines: Iterable[Line]) -> str:
    """Markdown: what was learnt as numbers, a row a recipe and dimension: CCC, Pearson's correlation, RMSE."""
    groups: dict[tuple[str, str, str], dict[int, Line]] = {}
    for line in lines:
        if "ccc" in _main(line):
            groups.setdefault((line["dataset"], line["recipe"], line["model"]), {})[line["seed"]] = _main(line)
    if not groups:
        return ""
    columns = ("data set", "recipe", "network", "seeds", "numbers", "CCC", "Pearson", "RMSE")
    text = ["", "### Numbers, not classes", "", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for key, seeds in sorted(groups.items()):
        for name in [name for name, value in next(iter(seeds.values())).items() if isinstance(value, dict)]:
            found = [[figures[name][what] for figures in seeds.values()] for what in ("ccc", "pearson", "rmse")]
            cells = [*key, str(len(seeds)), name, *(f"{statistics.fmean(values):.3f}" for values in found)]
            text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def short_device(words: str) -> str:
    """
    >>> short_device("2-core x86_64, Linux, no GPU"), short_device("NVIDIA H200")
    ('CPU', 'H200')
    """
    return "CPU" if words.endswith("no GPU") else words.removeprefix("NVIDIA ")


def shortened(line: Line) -> list[str]:
    """In which ways a run was made with less than its recipe asks for."""
    notes = []
    try:
        recipe = load_recipe(line["recipe"])
        whole = recipe.stop or recipe.epochs
    except RecipeError:  # a file of the user's own
        whole = 0
    if line["epochs"] < whole:
        notes.append(f"short run: {line['epochs']} of {whole} epochs")
    trained, split = line.get("faces_trained"), line.get("faces_split")
    if trained is not None and (split is None or trained < split):
        notes.append(f"trained on {trained:,}" + (f" of {split:,} faces" if split else " faces only"))
    return notes


def paper_of(line: Line) -> Line:
    """The paper's `source`, `figure` and `warning`: of the package's recipe as it is now, or as the line has them.

    What is said of a paper may be put right after a run; recipes that are not in the package stand in the line alone.
    """
    try:
        recipe = load_recipe(line["recipe"])
    except RecipeError:
        return dict(line["paper"])
    known = (recipe.model, recipe.dataset) == (line["model"], line["dataset"])
    return asdict(recipe.paper) if known else dict(line["paper"])


def waiting(lines: Iterable[Line]) -> list[Recipe]:
    """Recipes in the package that stand for a network or a paper's figure and have no result yet."""
    done = {line["recipe"] for line in lines}
    found = [load_recipe(name) for name in recipes() if name not in done]
    stems = {r.name: r.dataset.removesuffix("-apex").removesuffix("-clips") for r in found}
    return [r for r in found if r.name.startswith(f"{stems[r.name]}-") and not r.joins]


def table(
    lines: Iterable[Line],
    costs: dict[str, Line] | None = None,
    dataset: str | None = None,
    waits: Iterable[Recipe] = (),
) -> str:
    """Markdown: a row a recipe, over its seeds, beside its paper's figure; by data set, the best accuracy first.

    Args:
        costs: what `mien bench costs` found, by network.
        dataset: show this one only.
        waits: recipes without a result, shown below those of their data set that have one.

    Raises:
        UnknownName: no line is of that data set.
    """
    lines = list(lines)
    groups, known = grouped(lines), {line["dataset"] for line in lines}
    if dataset is not None and dataset not in known:
        raise UnknownName("data set with results", dataset, known)
    rows = []
    for (where, protocol, recipe, short), members in groups.items():
        if dataset in (None, where):
            mean = statistics.fmean(_main(line)["accuracy"] for line in members)
            cost = (costs or {}).get(members[-1]["model"], {})
            # a recipe may have altered the network's width; other numbers of classes alter it little
            counted = cost.get("parameters", 0)
            if counted and abs(members[-1]["parameters"] - counted) > 0.03 * counted:
                cost = {}
            cells = _cells(recipe, members, cost, short)
            # what is learnt in place of the expression is another task
            target = members[-1].get("target", "")
            rows.append((f"{where}: {target}" if target else where, protocol, -mean, cells))
    places = {where: protocol for where, protocol, *_ in rows}
    for waiter in waits:
        if waiter.dataset in places:
            cells = _waiting_cells(waiter, {} if waiter.arguments else (costs or {}).get(waiter.model, {}))
            rows.append((waiter.dataset, places[waiter.dataset], 1.0, cells))
    text = []
    place = None
    for where, protocol, _, cells in sorted(rows):
        if (where, protocol) != place:
            place = (where, protocol)
            heading = ", ".join(["### " + where, protocol, *warning_of(where)])
            text += ["", heading, "", f"| {' | '.join(NAMES)} |", "|" + " --- |" * len(NAMES)]
        text.append(f"| {' | '.join(cells)} |")
    more = numbers(line for line in lines if dataset in (None, line["dataset"]))
    return ("\n".join(text).strip() + "\n" + more).lstrip()


def warning_of(dataset: str) -> list[str]:
    """What has to stand beside every figure on a data set.

    >>> warning_of("rafdb"), warning_of("pairs-ravdess-rafdb")
    ([], ['class-matched pairs of different people'])
    """
    return [PAIRS] if dataset.startswith("pairs-") else []


def _cells(recipe: str, members: list[Line], cost: Line, short: Sequence[str]) -> list[str]:
    figures = [_main(line) for line in members]
    distinct = [line["figures"]["without_copies"]["accuracy"] for line in members if _has_copies(line)]
    paper = paper_of(members[-1])
    joined = members[-1].get("members", ())
    notes = [*short, f"of {', '.join(joined)}" if joined else "", _oracle(members), paper["source"], paper["warning"]]
    return [
        recipe,
        members[-1]["model"],
        f"{members[-1]['parameters']:,}",
        f"{cost['macs'] / 1e6:,.1f}" if cost else "",
        f"{cost['ms']:g}" if cost and cost["ms"] is not None else "",
        str(len(members)),
        spread([f["accuracy"] for f in figures]),
        spread(distinct) if len(distinct) == len(members) else "",
        spread([f["uar"] for f in figures]),
        spread([f["macro_f1"] for f in figures]),
        f"{paper['figure']:g}" if paper["figure"] else "",
        ", ".join(map(str, sorted({line["epochs"] for line in members}))),
        _minutes(statistics.fmean(line["seconds"] for line in members)),
        ", ".join(dict.fromkeys(short_device(line["machine"]) for line in members)),
        "; ".join(text for text in notes if text),
    ]


def _oracle(members: list[Line]) -> str:
    """What the runs would have had, had each fold stopped at its best epoch on the test rows."""
    found = [line["figures"]["oracle"] for line in members if "oracle" in line["figures"]]
    if not found:
        return ""
    uf1, recall = (spread([figures[name] for figures in found]) for name in ("macro_f1", "uar"))
    return f"oracle, each fold's best epoch on its test rows, no result: macro F1 {uf1}, UAR {recall}"


def _waiting_cells(recipe: Recipe, cost: Line) -> list[str]:
    paper = recipe.paper
    return [
        recipe.name,
        recipe.model,
        f"{cost['parameters']:,}" if cost else "",
        f"{cost['macs'] / 1e6:,.1f}" if cost else "",
        f"{cost['ms']:g}" if cost and cost["ms"] is not None else "",
        *[""] * 5,
        f"{paper.figure:g}" if paper.figure else "",
        *[""] * 3,
        "; ".join(text for text in ("not trained yet", paper.source, paper.warning) if text),
    ]


def _minutes(seconds: float) -> str:
    """
    >>> _minutes(30), _minutes(569.8), _minutes(9000)
    ('0.5', '9.5', '150')
    """
    minutes = seconds / 60
    return f"{minutes:.1f}" if minutes < 10 else f"{minutes:,.0f}"


def of_network(model: str, lines: Iterable[Line]) -> list[Line]:
    """What was measured with a network, a row for each of its recipes, beside the paper's figure.

    Returns:
        Rows of recipe, paper (`source`, `figure`, `warning`), and where there are results, dataset, protocol, seeds,
        accuracy and uar (means over the seeds, per cent, with their deviation) and notes; the best of a data set first.
    """
    rows, done = [], set()
    for (dataset, protocol, recipe, short), members in grouped(lines).items():
        if members[-1]["model"] == model:
            done.add(recipe)
            figures = [_main(line) for line in members]
            row: Line = {"recipe": recipe, "dataset": dataset, "protocol": protocol, "seeds": len(members)}
            row |= {name: spread([f[name] for f in figures]) for name in ("accuracy", "uar")}
            rows.append({**row, "notes": [*short, *warning_of(dataset)], "paper": paper_of(members[-1])})
    rows.sort(key=lambda row: (row["dataset"], -float(row["accuracy"].split()[0])))
    for name in recipes():
        known = load_recipe(name)
        if known.model == model and name not in done:
            rows.append({"recipe": name, "dataset": known.dataset, "seeds": 0, "paper": asdict(known.paper)})
    return rows


def _has_copies(line: Line) -> bool:
    return "without_copies" in line["figures"]
