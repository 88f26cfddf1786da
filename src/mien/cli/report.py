"""`mien report`: a folder of results as one page to read, print and send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="--out folder of `mien analyze`.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The HTML file; if not given, DIR/report.html.")]
Thumbnails = Annotated[
    bool, typer.Option("--thumbnails/--no-thumbnails", help="Show the faces of events and pictures.")
]
Blur = Annotated[bool, typer.Option("--blur", help="Make every face in the thumbnails unrecognisable.")]
Groups = Annotated[Path | None, typer.Option(help="CSV with source,group (and person): compares the groups of files.")]
Compare = Annotated[
    list[str] | None, typer.Option(help="PATTERN=name of a group of files, such as '*_calm*=calm'; give two or more.")
]
Unit = Annotated[str | None, typer.Option(help="file or person: what a comparison counts as one observation.")]
Title = Annotated[str | None, typer.Option(help="Stands above the report.")]


def report(
    folder: Folder,
    out: Out = None,
    thumbnails: Thumbnails = False,
    blur: Blur = False,
    groups: Groups = None,
    compare: Compare = None,
    unit: Unit = None,
    title: Title = None,
) -> None:
    """Make one HTML file of a finished analysis: who showed what when, how sure that is, and the methods in words.

    The file needs nothing else and sends nothing. Faces are in it only with --thumbnails.
    """
    from mien.report.page import PageOptions, write_report

    if blur and not thumbnails:
        raise typer.BadParameter("hides faces in the thumbnails: give --thumbnails too", param_hint="--blur")
    options = PageOptions(thumbnails, blur, groups, tuple(compare or ()), unit, title)
    path = write_report(folder, out, options)
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
