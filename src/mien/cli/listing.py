"""`mien list` and `mien show`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_kind(
    kind: Annotated[str, typer.Argument(help="weights, detectors, models, datasets, losses, features or fusions.")],
    as_json: AsJson = False,
) -> None:
    """List the things of a kind."""
    from mien.catalog import listing

    rows = listing(kind)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    order = (
        "name",
        "task",
        "samples",
        "subjects",
        "modalities",
        "parameters",
        "megabytes",
        "points",
        "platforms",
        "paper",
        "licence",
        "here",
    )
    shown = [column for column in order if any(column in row for row in rows)]
    table = Table(*shown, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row.get(c)) for c in shown))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def show(
    name: Annotated[str, typer.Argument(help="Name of weights, a detector, a network, a data set or a loss.")],
    as_json: AsJson = False,
) -> None:
    """Facts of one thing; for weights the model card, for a network its blocks, costs and results."""
    from mien.catalog import find
    from mien.pipeline.store import PACKAGED

    kind, facts = find(name)
    if kind == "models" and facts.get("modality") in ("face", "flow", "frames"):
        _network(name, facts, as_json)
        return
    if as_json:
        typer.echo(json.dumps({"kind": kind, **facts}, indent=1))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    card = PACKAGED / f"{name}.md"
    if kind == "weights" and card.is_file():
        console.print(Markdown(card.read_text(encoding="utf-8")))
        return
    console.print(f"[bold]{name}[/bold] ({kind})")
    for key, value in facts.items():
        if key != "name" and value not in ("", None):
            console.print(f"  {key}: {value}", markup=False, highlight=False)


def _network(name: str, facts: dict[str, Any], as_json: bool) -> None:
    from mien.bench.costs import read_costs
    from mien.bench.lines import read_lines
    from mien.bench.measured import COSTS, RESULTS, measured
    from mien.bench.results import of_network
    from mien.explain.anatomy import anatomy
    from mien.explain.diagram import text

    seen = anatomy(name)
    results = of_network(name, read_lines(measured(RESULTS)))
    cost = read_costs(measured(COSTS)).get(name)
    if as_json:
        whole = {"kind": "models", **facts, "parameters": seen.parameters, **seen.facts()}
        typer.echo(json.dumps({**whole, "cost": cost, "results": results}, indent=1))
        return
    typer.echo(f"{name} (network)\n\n{_wrap(seen.about)}\n")
    for word, said in (("Paper", seen.paper or facts.get("paper", "")), ("Differs", seen.differs)):
        if said:
            typer.echo(_wrap(f"{word}: {said}") + "\n")
    typer.echo("\n".join(text(seen.rows)))
    typer.echo(f"\nparameters       {seen.parameters:,}")
    typer.echo(f"MACs             {seen.macs / 1e6:,.1f} million for {seen.unit()}")
    if cost and cost["ms"] is not None:
        typer.echo(f"time             {cost['ms']:g} ms a face, one core ({cost['machine']}, {cost['date']})")
    typer.echo(_wrap(f"receptive field  {seen.sees()}"))
    _results(results)


def _results(rows: list[dict[str, Any]]) -> None:
    if rows:
        typer.echo("\nresults")
    for row in rows:
        paper = row["paper"]
        if row["seeds"]:
            ours = f"{row['accuracy']} % accuracy, {row['uar']} % UAR"
            ours += f" ({row['dataset']}, {row['protocol']}; {row['seeds']} seed{'s' * (row['seeds'] > 1)})"
            ours = "; ".join([ours, *row["notes"]])
        else:
            ours = f"not benchmarked yet ({row['dataset']})"
        typer.echo(f"  {row['recipe']}: {ours}")
        if paper["source"]:
            theirs = f"{paper['figure']:g} % in the paper" if paper["figure"] else "no figure in the paper"
            said = "; ".join(part for part in (f"{theirs}: {paper['source']}", paper["warning"]) if part)
            typer.echo(_wrap(said, "    "))


def _wrap(text: str, indent: str = "") -> str:
    import textwrap

    return textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent or "  ")
