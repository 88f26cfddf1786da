"""`mien bench fairness`: figures by group of people, with intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.bench.fairness import Fairness, Group
    from mien.metrics import Interval


def fairness(
    dataset: Annotated[str, typer.Argument(help="Data set (`mien list datasets`); folder is your own.")],
    data: Annotated[Path, typer.Argument(help="Its folder.")],
    group: Annotated[str, typer.Option("--group", help="Column that states the group, such as gender or age.")],
    weights: Annotated[
        list[str], typer.Option(help="Weights, an .onnx file or the folder of a tested run; repeat for several.")
    ] = ["mien-s", "mien-m"],  # noqa: B006
    split: Annotated[str, typer.Option(help="train, val, test or all; test where there is a split, else all.")] = "",
    bins: Annotated[str, typer.Option(help="Edges that cut a column of numbers into groups, such as 20,40,60.")] = "",
    detector: Annotated[str, typer.Option(help="Finds the face in each picture; none: each is a face.")] = "none",
    beside: Annotated[str, typer.Option(help="A column of numbers whose mean is given by group, to compare.")] = "",
    seed: Annotated[int, typer.Option(help="Of the draws that the intervals rest on.")] = 0,
    results: Annotated[Path | None, typer.Option("--results", help="JSON file for all figures.")] = None,
) -> None:
    """Accuracy, recall and calibration by group where a data set states one, and differences, with 95 % intervals."""
    from mien.bench.answers import answers
    from mien.bench.fairness import ROUNDS, group_names, judge, mean_by_group
    from mien.cli.bench import _head

    if split not in ("", "train", "val", "test", "all"):
        raise typer.BadParameter(f"{split!r} is not train, val, test or all", param_hint="--split")
    edges = _edges(bins)
    _head(f"{dataset}, by {group}")
    kept = {}
    for name in weights:
        found = answers(name, dataset, data, split, detector)
        groups = group_names(group, found.column(group), edges)
        judged = judge(found.labels, found.truth, found.scores, groups, found.person, seed=seed)
        kept[found.weights] = judged.facts()
        drawn = "whole people" if found.person is not None else "single samples (the data set names no people)"
        typer.echo(
            f"**{found.weights}**, {found.rows}: {len(groups) - judged.left_out:,} that state {group}, "
            f"{judged.left_out:,} that do not. 95 % intervals by {ROUNDS:,} draws of {drawn}, seed {seed}.\n"
        )
        _print(judged, found.labels)
        if beside:
            means = mean_by_group(found.column(beside), groups, found.person, seed=seed)
            cells = "; ".join(
                f"{key} {value.value:.1f} ({value.low:.1f} to {value.high:.1f})" for key, value in means.items()
            )
            typer.echo(f"Mean {beside}: {cells}.\n")
            kept[found.weights]["beside"] = {beside: {key: list(value) for key, value in means.items()}}
    if results is not None:
        facts = {
            "dataset": dataset,
            "group": group,
            "split": split,
            "detector": detector,
            "seed": seed,
            "weights": kept,
        }
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _edges(bins: str) -> list[float]:
    try:
        return [float(edge) for edge in bins.split(",")] if bins else []
    except ValueError:
        raise typer.BadParameter(
            f"{bins!r}: expected numbers with commas between, such as 20,40", param_hint="--bins"
        ) from None


def _print(judged: Fairness, labels: tuple[str, ...]) -> None:
    from mien.cli.bench import _table

    looked = any(group.found for group in judged.groups)
    heads = ["group", "people", "samples", *(["face found"] if looked else [])]
    rows = [_row(group, looked) for group in judged.groups]
    _table([*heads, "accuracy", "UAR", "top score minus accuracy", "calibration error"], rows)
    shown = [label for label in labels if any(label in group.support for group in judged.groups)]
    _table(
        ["recall", *shown],
        [
            [g.name, *(_cell(g.figures.get(f"recall {label}"), f", n {g.support.get(label, 0)}") for label in shown)]
            for g in judged.groups
        ],
    )
    shown = [key for key in next(iter(judged.gaps.values())) if key]
    names = {"uar": "UAR", "over": "top score minus accuracy"}
    cells = [
        [f"{name} minus {judged.reference}", *(_cell(gaps.get(key), signed=True) for key in shown)]
        for name, gaps in judged.gaps.items()
    ]
    _table(["difference", *(names.get(key, key) for key in shown)], cells)
    count = sum(len(gaps) for gaps in judged.gaps.values())
    outside = sum(gap.low > 0 or gap.high < 0 for gaps in judged.gaps.values() for gap in gaps.values())
    typer.echo(
        f"{outside} of {count} differences have an interval without 0; were all of them none, chance would give about "
        f"{0.05 * count:.1f}.\n"
    )
    if few := [group.name for group in judged.groups if group.few]:
        typer.echo(f"Fewer than ten people in {', '.join(few)}: such intervals are too narrow, and say little.\n")


def _row(group: Group, looked: bool) -> list[str]:
    people = "not stated" if group.people is None else str(group.people)
    figures = [_cell(group.figures.get(key), signed=key == "over") for key in ("accuracy", "uar", "over", "ece")]
    return [group.name, people, str(group.rows), *([_cell(group.found)] if looked else []), *figures]


def _cell(value: Interval | None, more: str = "", signed: bool = False) -> str:
    if value is None:
        return "-"
    sign = "+" if signed else ""
    return f"{value.value:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f}{more})"
