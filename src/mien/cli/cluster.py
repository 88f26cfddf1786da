"""`mien analyze --engine ray`: the same analysis by many processes, into a partitioned Parquet data set."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.console import printable

if TYPE_CHECKING:
    from pathlib import Path

    from mien.engines.cluster import Cluster
    from mien.events.second_pass import Timing
    from mien.pipeline.flow import Options

Engine = Annotated[str, typer.Option(help="local, or ray: many files at a time, on all cores or a cluster.")]
Address = Annotated[str, typer.Option(help="Of a Ray cluster, such as 10.0.0.1:6379; none: a Ray of this machine.")]
Cpus = Annotated[int, typer.Option(min=0, help="With --engine ray: cores to use at most; 0: all.")]
ChunkSeconds = Annotated[float, typer.Option(min=0, help="With --engine ray: cut long videos into such stretches.")]
Timeout = Annotated[float, typer.Option(help="With --engine ray: give a file up that gives no frame for so long.")]

OWN = ("address", "cpus", "chunk_seconds", "timeout")
"""Options of `--engine ray` alone."""
LOCAL = (
    "seconds", "markers", "clock_offset", "people", "sheet", "sequence", "audio", "micro", "elan", "overlay",
    "anonymous", "plot", "report", "isolate", "patience",
)  # fmt: skip
"""Options that a run over thousands of files does not take."""
LINE_S = 30.0
"""Where there is no terminal, a line of progress so often."""


def check(context: typer.Context, engine: str, form: str, device: str, address: str) -> None:
    """Refuse options that do not go with the engine.

    Raises:
        BadParameter: one of them was given.
        MissingExtra: the engine is not installed.
    """
    from mien.engines import ENGINES
    from mien.errors import require

    if engine not in ENGINES:
        raise typer.BadParameter(f"{engine!r} is not one of {', '.join(ENGINES)}", param_hint="--engine")
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    for name in given:
        if name in (LOCAL if engine == "ray" else OWN):
            why = "is not made by --engine ray; take the files that you want it for, and --engine local"
            why = why if engine == "ray" else "needs --engine ray"
            raise typer.BadParameter(why, param_hint=f"--{name.replace('_', '-')}")
    if engine == "ray":
        if "form" in given and form != "parquet":
            raise typer.BadParameter("--engine ray writes parquet", param_hint="--format")
        if device != "cpu":
            raise typer.BadParameter("workers of --engine ray ask for cores, not for a GPU", param_hint="--device")
        for package in ("pyarrow", "pandas"):
            require(package, "cluster")
        from mien.engines.on_ray import import_ray

        import_ray(local=not address)


def analyze_on_ray(
    names: list[str], out: Path, options: Options, timing: Timing, *, address: str, cpus: int, chunk_seconds: float,
    timeout: float, resume: bool, as_json: bool,
) -> None:  # fmt: skip
    """Analyse, print what came out, and exit as the local engine does.

    Raises:
        Exit: 130 after Ctrl-C, 1 if there were problems.
    """
    from dataclasses import replace

    from mien.engines.cluster import Cluster
    from mien.engines.on_ray import RayEngine
    from mien.pipeline.flow import Flow

    options = replace(options, threads=options.threads or 1)
    cluster = Cluster(Flow(options), out, timing, timeout, chunk_seconds)
    stopped = False
    try:
        with RayEngine(address, cpus, options.threads) as engine, _Progress(quiet=as_json) as progress:
            cluster.facts, cluster.watch = engine.facts, progress.watch
            cluster.analyze(names, engine.carry, resume=resume)
    except KeyboardInterrupt:
        stopped = True
    _report(cluster, as_json=as_json, stopped=stopped)
    if stopped:
        raise typer.Exit(130)
    if cluster.problems:
        raise typer.Exit(1)


def _report(cluster: Cluster, *, as_json: bool, stopped: bool) -> None:
    path = cluster.folder / "summary.json"
    if not path.is_file():
        return  # stopped before anything began
    summary = json.loads(path.read_text(encoding="utf-8"))
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        files, faces = len(summary["sources"]), sum(entry["faces"] for entry in summary["sources"])
        frames = sum(entry["frames"] for entry in summary["sources"])
        rate = cluster.frames / max(cluster.seconds, 1e-6)
        typer.echo(
            f"{files:,} of {len(cluster.sources):,} files, {frames:,} frames, {faces:,} faces; this time "
            f"{cluster.frames:,} frames in {cluster.seconds:.1f} s ({rate:.1f} frames/s)"
        )
        note = " (stopped; go on with --resume)" if stopped else ""
        typer.echo(f"{cluster.folder / 'faces'}, events and summary.json{note}")
    for problem in cluster.problems:
        typer.echo(f"mien: {printable(f'{problem.source}: {problem.reason}')}", err=True)


class _Progress:
    """Files over, frames a second and time left: a bar on a terminal, else a line now and then."""

    def __init__(self, *, quiet: bool) -> None:
        from mien.cli.progress import bars

        self._lines = not quiet and not sys.stderr.isatty()
        self._begin = self._told = time.monotonic()
        self._bars = bars(quiet=quiet)
        self._task = self._bars.add_task("files", total=None, rate=0.0)

    def __enter__(self) -> _Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def watch(self, over: int, files: int, frames: int) -> None:
        """Called whenever a unit is over."""
        now = time.monotonic()
        rate = frames / max(now - self._begin, 1e-6)
        self._bars.update(self._task, completed=over, total=files, rate=rate)
        if self._lines and now - self._told > LINE_S:
            self._told = now
            typer.echo(f"{over:,} of {files:,} files, {rate:.1f} frames/s", err=True)
