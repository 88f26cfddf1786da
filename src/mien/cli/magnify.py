"""`mien magnify`: a copy of a video in which small movements are large."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    pass

Clip = Annotated[str, typer.Argument(metavar="CLIP", help="The video.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="The MP4 to write.")]
Factor = Annotated[float, typer.Option(help="How many times as large movements become.")]
Low = Annotated[float, typer.Option(help="Slowest movements that are magnified, Hz.")]
High = Annotated[float, typer.Option(help="Fastest movements that are magnified, Hz.")]
Cutoff = Annotated[float, typer.Option(help="Detail finer than this, pixels, is magnified less; 0: all alike.")]
Face = Annotated[bool, typer.Option("--face", help="Show the largest face alone, held still.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads; 0 uses all cores.")]


def magnify(
    clip: Clip,
    out: Out,
    factor: Factor = 8,
    low: Low = 0.5,
    high: High = 4,
    cutoff: Cutoff = 16,
    face: Face = False,
    threads: Threads = 0,
) -> None:
    """Magnify small movements of a video (Wu et al. 2012), to look at them: what comes out is no data."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from mien.errors import InputError
    from mien.pipeline.flow import Flow, Options
    from mien.pipeline.sources import Source, length
    from mien.report.magnify import magnified_copy

    if out.suffix.lower() != ".mp4":
        raise typer.BadParameter(f"{out} does not end in .mp4", param_hint="--out")
    if out.exists() and Path(clip).exists() and out.samefile(clip):
        raise InputError(f"{out}: is the video itself; name another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("magnify", total=length(Source(clip, "video"))[0] or None)
        count = magnified_copy(
            clip, out, factor, low, high, cutoff=cutoff, find=Flow(Options(threads=threads)).find if face else None,
            watch=lambda: bar.advance(task), threads=threads,
        )  # fmt: skip
    typer.echo(f"{out}: {count:,} frames, movements of {low:g} to {high:g} Hz times {factor:g}")
