"""`mien weights`: fetch and check weight files."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Fetch weight files that do not ship, and check those that are here.", no_args_is_help=True)


@app.command("get")
def get(name: Annotated[str, typer.Argument(help="Name of the weights, such as yunet.")]) -> None:
    """Fetch a file from its official address; its SHA-256 is pinned."""
    from mien.pipeline.store import fetch

    typer.echo(f"{name}: {fetch(name)}")


@app.command("verify")
def verify() -> None:
    """Open every weight file that is here and check it against its pinned SHA-256."""
    from mien.errors import MienError
    from mien.pipeline.model import Model
    from mien.pipeline.store import REMOTE, find_file, packaged, pinned, sha256, user_folder

    failed = False
    for name in packaged():
        try:
            spec = Model(find_file(name)).spec
            if sha256(find_file(name)) != pinned().get(name):
                failed = True
                typer.echo(f"{name}: is not the file of this release (SHA-256 differs); install mien again")
                continue
            typer.echo(f"{name}: whole, {spec.task}, SHA-256 {sha256(find_file(name))}")
        except MienError as error:
            failed = True
            typer.echo(f"{name}: {error}")
    for name, remote in REMOTE.items():
        if not (user_folder() / remote.file).is_file():
            typer.echo(f"{name}: not fetched")
            continue
        try:
            typer.echo(f"{name}: whole, SHA-256 {sha256(find_file(name))}")
        except MienError as error:
            failed = True
            typer.echo(f"{name}: {error}")
    if failed:
        raise typer.Exit(1)
