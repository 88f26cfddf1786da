"""`mien train`: one recipe, one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe in the package, or a .toml file.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the data set, in its authors' layout.")],
    runs: Annotated[Path, typer.Option("--runs", help="Folder for runs; this one goes into a folder of its name.")],
    seed: Annotated[int | None, typer.Option(help="Another seed; the run's name then ends in -seedN.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Another number of epochs.")] = None,
    faces: Annotated[int | None, typer.Option(min=1, help="Train on so many faces at most.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train a network by a recipe; started again, it goes on from the last whole epoch."""
    from mien.errors import require

    require("torch", "train")
    from mien.train.distributed import join
    from mien.train.loop import pick_device
    from mien.train.recipe import load_recipe, with_seed
    from mien.train.study import Study

    changes: dict[str, object] = {}
    if epochs is not None:
        changes["epochs"] = epochs
    if faces is not None:
        changes["faces"] = faces
    loaded = load_recipe(recipe, **changes)
    if seed is not None:
        loaded = with_seed(loaded, seed)
    team = join()
    study = Study.open(loaded, data, runs, pick_device(device), team)
    if team.leads:
        typer.echo(f"{loaded.name}: {loaded.model} on {loaded.dataset}, {loaded.epochs} epochs, in {study.folder}")
    study.train(typer.echo)
