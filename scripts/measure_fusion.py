"""The tables of docs/fusion.md: single modalities, fusions and networks on CMU-MOSI, over seeds.

    mien bench run mosi-audio mosi-video mosi-text mosi-joint ... --seed 1 ... --data FOLDER --runs RUNS --results FILE
    python scripts/measure_fusion.py FILE RUNS FOLDER [--write]

Reads the lines of FILE and the test scores that the runs have kept, trains nothing. --write puts the tables between the
marks in docs/fusion.md and the figures into docs/measured/fusion.json and docs/figures/fusion.png.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mien.bench.results import read_lines, spread
from mien.fusions import FUSIONS
from mien.metrics.bootstrap import bootstrap
from mien.report.figures import new_axes
from mien.train.prepare import find_index
from mien.train.recipe import load_recipe

PAGE, FIGURES, PICTURE = Path("docs/fusion.md"), Path("docs/measured/fusion.json"), Path("docs/figures/fusion.png")
MODALITIES = ("audio", "video", "text")
START, END = "<!-- measured -->", "<!-- /measured -->"
BEST = "mosi-text"
ORDER = ("one modality", "fusion of finished runs", "network")


def kind(recipe: str) -> str:
    """Which table a recipe stands in."""
    if recipe.removeprefix("mosi-") in MODALITIES:
        return ORDER[0]
    return ORDER[1] if load_recipe(recipe).joins else ORDER[2]


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def right_of(recipe: str, seeds: list[int], runs: Path) -> tuple[np.ndarray, np.ndarray]:
    """Share of the seeds that were right about each test row [N], and the rows."""
    known = []
    for seed in seeds:
        folder = runs / (recipe if seed == 1 else f"{recipe}-seed{seed}")
        with np.load(folder / "predictions.npz") as held:
            known.append((held["scores"].argmax(1) == held["truth"], held["rows"]))
    if any(not np.array_equal(rows, known[0][1]) for _, rows in known):
        raise SystemExit(f"{recipe}: the seeds were not tested on the same rows")
    return np.mean([hit for hit, _ in known], 0), known[0][1]


def measure(results: Path, runs: Path, data: Path) -> list[dict[str, Any]]:
    """One row a recipe: means over the seeds, their deviation, an interval over speakers, absent and wrong."""
    lines = defaultdict(list)
    for line in read_lines(results):
        if line["dataset"] == "mosi":
            lines[line["recipe"]].append(line)
    index = find_index("mosi", data)
    table = []
    for recipe, members in lines.items():
        members.sort(key=lambda line: line["seed"])
        seeds = [line["seed"] for line in members]
        hits, rows = right_of(recipe, seeds, runs)
        people = index.extra["sequence"][rows]
        interval = bootstrap(_mean, hits, groups=people)
        gain = bootstrap(_mean, hits - right_of(BEST, seeds, runs)[0], groups=people)
        figures = [line["figures"] for line in members]
        missing: dict[str, dict[str, float]] = {}
        for name in MODALITIES:
            for what in ("absent", "wrong"):
                if name in figures[0].get("missing", {}):
                    found = [f["missing"][name][what]["accuracy"] for f in figures]
                    missing.setdefault(name, {})[what] = round(statistics.fmean(found), 4)
        table.append(
            {
                "recipe": recipe,
                "kind": kind(recipe),
                "model": members[0]["model"],
                "parameters": members[0]["parameters"],
                "seeds": seeds,
                "rows": figures[0]["mosi"]["faces"],
                "accuracy": [f["mosi"]["accuracy"] for f in figures],
                "uar": [f["mosi"]["uar"] for f in figures],
                "interval": [round(interval.low, 4), round(interval.high, 4)],
                "over_words": [round(value, 4) for value in (gain.value, gain.low, gain.high)],
                "missing": missing,
            }
        )
    return sorted(table, key=lambda row: (ORDER.index(row["kind"]), -statistics.fmean(row["accuracy"])))


def page(table: list[dict[str, Any]]) -> str:
    """The tables, in Markdown."""
    names = ["recipe", "what", "parameters", "accuracy", "95 %, over speakers", "UAR", "over words alone, points"]
    names += [f"{name} {what}" for name in MODALITIES for what in ("absent", "wrong")]
    parts = []
    for title in ORDER:
        rows = [row for row in table if row["kind"] == title]
        if not rows:
            continue
        columns = names if title != ORDER[0] else names[:6]
        parts += [f"### {title.capitalize()}", "", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
        parts += [f"| {' | '.join(_cells(row)[: len(columns)])} |" for row in rows]
        parts.append("")
    return "\n".join(parts)


def _cells(row: dict[str, Any]) -> list[str]:
    rule = load_recipe(row["recipe"]).fusion.rule
    what = FUSIONS.facts(rule)["level"] + " level" if row["kind"] == ORDER[1] else row["model"]
    low, high = row["interval"]
    gain = "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * value for value in row["over_words"]))
    cells = [f"`{row['recipe']}`", what, f"{row['parameters']:,}", spread(row["accuracy"])]
    cells += [f"{100 * low:.1f} to {100 * high:.1f}", spread(row["uar"]), gain]
    for name in MODALITIES:
        known = row["missing"].get(name, {})
        cells += [f"{100 * known[key]:.1f}" if key in known else "" for key in ("absent", "wrong")]
    return cells


def draw(table: list[dict[str, Any]], path: Path) -> None:
    """Accuracy of each recipe: whole, and with the words absent or wrong."""
    rows = [row for row in table if row["missing"]][::-1]
    figure, axes = new_axes(7.4, 0.9 + 0.3 * len(rows))
    places = np.arange(len(rows))
    for marker, colour, label, values in (
        ("o", "#1f6f8b", "all there", [statistics.fmean(row["accuracy"]) for row in rows]),
        ("v", "#c8553d", "words absent", [row["missing"]["text"]["absent"] for row in rows]),
        ("x", "#8a8a8a", "words of another utterance", [row["missing"]["text"]["wrong"] for row in rows]),
        ("|", "#588157", "face absent", [row["missing"]["video"]["absent"] for row in rows]),
    ):
        axes.plot([100 * v for v in values], places, marker, color=colour, label=label, markersize=7)
    best = max(statistics.fmean(row["accuracy"]) for row in table if row["kind"] == ORDER[0])
    axes.axvline(100 * best, color="#bbbbbb", linewidth=1, zorder=0)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(100 * best, len(rows) - 0.45, "words alone", size=7, color="#777777", ha="center", bbox=behind)
    axes.set_yticks(places, [row["recipe"].removeprefix("mosi-") for row in rows], fontsize=8)
    axes.set_xlabel("accuracy on 752 test utterances, %, mean of the seeds", fontsize=8)
    axes.set_ylim(-0.6, len(rows) + 0.1)
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.45, -0.12), ncols=4, frameon=False)
    figure.savefig(path, dpi=130, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="file of results, as mien bench run writes it")
    parser.add_argument("runs", type=Path, help="folder of those runs")
    parser.add_argument("data", type=Path, help="folder of CMU-MOSI")
    parser.add_argument("--write", action="store_true", help="into docs/")
    given = parser.parse_args()
    table = measure(given.results, given.runs, given.data)
    text = page(table)
    print(text)
    if given.write:
        whole = PAGE.read_text(encoding="utf-8")
        before, rest = whole.split(START)
        PAGE.write_text(f"{before}{START}\n\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
        FIGURES.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        draw(table, PICTURE)


if __name__ == "__main__":
    main()
