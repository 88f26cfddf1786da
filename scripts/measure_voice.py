"""Voice alone, and voice with face on class-matched pairs of different people: prints Markdown.

    python scripts/measure_voice.py FOLDER RUNS RESULTS [RESULTS ...]

FOLDER holds the data sets, RUNS the runs of `mien bench run`, RESULTS are its files of lines. Runs nothing: what has no
line yet is left out. Intervals draw whole people (95 %, 1000 draws), so that they are about new people.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from mien.bench.results import grouped, read_lines, shortened
from mien.metrics import confusion, uar
from mien.metrics.bootstrap import bootstrap
from mien.train.prepare import find_index
from mien.train.recipe import load_recipe

VOICE = ("ravdess-speech", "emodb")
PAIRS = ("pairs-ravdess-rafdb", "pairs-emodb-rafdb")
Line = dict[str, Any]


def main_figures(line: Line) -> Line:
    """Figures on the data set's own labels."""
    return dict(line["figures"].get(line["dataset"]) or next(iter(line["figures"].values())))


def interval(line: Line, runs: Path, people: np.ndarray) -> str:
    """Interval of the UAR over people, from a run's predictions; empty where they are gone."""
    suffix = "" if line["seed"] == load_recipe(line["recipe"]).seed else f"-seed{line['seed']}"
    path = runs / f"{line['recipe']}{suffix}" / "predictions.npz"
    if not path.is_file():
        return ""
    with np.load(path) as held:
        truth, answer, rows = held["truth"], held["scores"].argmax(1), held["rows"]
    classes = int(truth.max()) + 1
    found = bootstrap(lambda t, a: uar(confusion(t, a, classes)), truth, answer, groups=people[rows])
    return f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def spread(values: list[float]) -> str:
    """Mean and deviation in per cent."""
    mean = f"{100 * statistics.fmean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean


def table(header: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


def rows_of(members: list[Line], runs: Path, people: np.ndarray) -> list[str]:
    """recipe, network, parameters, seeds, accuracy, UAR, interval, note."""
    figures, first = [main_figures(line) for line in members], members[0]
    return [
        first["recipe"],
        first["model"],
        f"{first['parameters']:,}",
        ", ".join(str(line["seed"]) for line in members),
        spread([f["accuracy"] for f in figures]),
        spread([f["uar"] for f in figures]),
        interval(first, runs, people),
        "; ".join([first["protocol"], f"{first['epochs']} epochs", *shortened(first)]),
    ]


def missing(members: list[Line]) -> list[str]:
    """UAR whole, and with each modality absent or another row's."""
    blocks = [line["figures"]["missing"] for line in members]
    cells = [members[0]["recipe"], spread([main_figures(line)["uar"] for line in members])]
    for name in ("audio", "face"):
        for what in ("absent", "wrong"):
            known = [block[name][what]["uar"] for block in blocks if what in block.get(name, {})]
            cells.append(spread(known) if known else "")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("results", type=Path, nargs="+")
    given = parser.parse_args()
    lines = [line for path in given.results for line in read_lines(path) if line["dataset"] in (*VOICE, *PAIRS)]
    newest = {(line["recipe"], line["seed"], line["key"]): line for line in lines}
    groups = grouped(newest.values())
    header = ("recipe", "network", "parameters", "seeds", "accuracy", "UAR", "UAR of new people, 95 %", "note")
    text = []
    for dataset in (*VOICE, *PAIRS):
        chosen = [members for (where, *_), members in groups.items() if where == dataset]
        if not chosen:
            continue
        people = np.asarray(find_index(dataset, given.folder).subject)
        known = main_figures(chosen[0][0])
        what = ", class-matched pairs of different people" if dataset in PAIRS else ", voice alone"
        text += [f"### {dataset}{what}", ""]
        text += [
            f"{known['faces']:,} rows of {len(set(people))} people, {len(known['recall'])} classes, chance "
            f"{100 / len(known['recall']):.1f} % UAR; folds by person. Per cent, mean and deviation over seeds; the "
            "interval is the first seed's.",
            "",
        ]
        chosen.sort(key=lambda members: -statistics.fmean(main_figures(line)["uar"] for line in members))
        text += table(header, [rows_of(sorted(m, key=lambda line: line["seed"]), given.runs, people) for m in chosen])
        both = [missing(members) for members in chosen if "missing" in members[0]["figures"]]
        if both:
            text += ["UAR with one modality absent, or taken from another row, at test only:", ""]
            names = ("recipe", "both", "no voice", "wrong voice", "no face", "wrong face")
            text += table(names, both)
        recalls = max(chosen, key=lambda m: main_figures(m[0])["uar"])[0]
        named = ", ".join(f"{k} {100 * v:.0f}" for k, v in main_figures(recalls)["recall"].items())
        text += [f"Recall of each class in per cent, {recalls['recipe']}: {named}.", ""]
    dates = sorted({line["date"] for line in newest.values()})
    machines = sorted({line["machine"] for line in newest.values()})
    command = "`mien bench run RECIPE --data FOLDER --runs RUNS --seed SEED`, then `python scripts/measure_voice.py`"
    print("\n".join(["# Voice", "", f"{command}; {', '.join(dates)}; {', '.join(machines)}.", "", *text]).rstrip())


if __name__ == "__main__":
    main()
