"""`mien list` and `mien show`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def list_kind(
    kind: Annotated[str, typer.Argument(help="weights, detectors, models, datasets or losses.")],
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
    """Facts of one thing and, for weights, the model card."""
    from mien.catalog import find
    from mien.pipeline.store import PACKAGED

    kind, facts = find(name)
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
