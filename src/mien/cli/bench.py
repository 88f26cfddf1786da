"""`mien bench`: the measurements behind docs/benchmarks.md."""

from __future__ import annotations

import typer

app = typer.Typer(help="Measure: speed, framing, accuracy. Each prints Markdown for docs/benchmarks.md.", no_args_is_help=True)
