"""`mien bench run` and `mien bench table`: recipes times seeds, and the table of their results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RESULTS = Path("docs/measured/results.jsonl")


def run(
    recipes: Annotated[list[str], typer.Argument(help="Names of recipes in the package, or .toml files.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set, or of several, each in its own.")],
    runs: Annotated[Path, typer.Option("--runs", help="Folder for runs.")],
    seeds: Annotated[list[int], typer.Option("--seed", help="Seed; repeat for several.")] = [1],  # noqa: B006
    results: Annotated[Path, typer.Option("--results", help="File of results, added to.")] = RESULTS,
    epochs: Annotated[int | None, typer.Option(min=1, help="Another number of epochs.")] = None,
    faces: Annotated[int | None, typer.Option(min=1, help="Train on so many faces at most.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train recipes with several seeds under their protocols, test each once, add the figures to a file."""
    from mien.errors import require

    require("torch", "train")
    from mien.bench.results import run_bench
    from mien.train.distributed import join

    changes = {key: value for key, value in (("epochs", epochs), ("faces", faces)) if value is not None}
    run_bench(recipes, seeds, data, runs, results, device=device, changes=changes, say=typer.echo, team=join())


def table(
    dataset: Annotated[str | None, typer.Argument(help="Data set to show; all of them if none is named.")] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help=f"File of results: {RESULTS}, or the package's own.")
    ] = None,
) -> None:
    """Markdown table of results: mean and deviation over seeds, beside each paper's figure and the network's costs.

    Recipes in the package that have no result yet stand below, with what their networks cost.
    """
    from mien.errors import DataError, require

    require("torch", "train")
    from mien.bench.costs import read_costs
    from mien.bench.lines import read_lines
    from mien.bench.measured import COSTS, measured
    from mien.bench.results import table as make
    from mien.bench.results import waiting

    if results is None:
        results = RESULTS if RESULTS.is_file() else measured(RESULTS.name)
    lines = read_lines(results)
    if not lines:
        raise DataError(f"{results} holds no results yet; make some with `mien bench run`")
    typer.echo(make(lines, read_costs(results.with_name(COSTS)), dataset, waiting(lines)), nl=False)
