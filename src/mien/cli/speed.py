"""`mien bench growth`, and further measurements behind docs/speed.md."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.bench import _head, _table


def _told(said: str) -> None:
    typer.echo(said, err=True)


def growth(
    faces: Annotated[Path | None, typer.Option(help="Folder of portraits, for frames of many faces.")] = None,
    clip: Annotated[Path | None, typer.Option(help="A video, repeated to each length.")] = None,
    count: Annotated[list[int], typer.Option(min=1, max=64, help="Faces a frame; repeat.")] = [1, 4, 16, 64],  # noqa: B006
    minutes: Annotated[list[float], typer.Option(help="Minutes of video; repeat.")] = [1, 10, 60],  # noqa: B006
    every: Annotated[int, typer.Option(min=1, help="Of the long video, analyse every N-th frame.")] = 1,
    detector: Annotated[str, typer.Option(help="Face detector for the frames of many faces.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the frames of many faces.")] = 3,
) -> None:
    """Processor time and peak memory as faces in a frame, and minutes of video, grow; one core."""
    from mien.bench.growth import by_faces, by_minutes, line

    if faces is None and clip is None:
        raise typer.BadParameter("name a folder of portraits, a video, or both", param_hint="--faces / --clip")
    with tempfile.TemporaryDirectory() as folder:
        if faces is not None:
            runs = by_faces(faces, count, Path(folder), rounds=rounds, detector=detector, say=_told)
            ms = [1e3 * run.cpu_s / run.frames for _, run in runs]
            seen = [run.faces / run.frames for _, run in runs]
            _head(f"Faces a frame, 1280x1280, detector {detector}, one core")
            cells = [
                [str(n), f"{f:.1f}", f"{m:.1f}", f"{run.frames / run.cpu_s:.1f}", f"{run.peak_mb:.0f}"]
                for (n, run), f, m in zip(runs, seen, ms, strict=True)
            ]
            _table(["faces put in", "faces found a frame", "ms a frame", "frames/s", "peak memory, MB"], cells)
            if len(runs) > 2:
                fit = line(seen, ms)
                typer.echo(
                    f"ms a frame = {fit.fixed:.1f} + {fit.slope:.2f} x faces; farthest point {fit.worst:.0%} off\n"
                )
        if clip is not None:
            lengths = by_minutes(clip, minutes, Path(folder), every=every, say=_told)
            _head(f"Minutes of video, {'every frame' if every == 1 else f'every {every}. frame'}, one core")
            cells = [
                [f"{m:g}", f"{r.frames:,}", f"{r.cpu_s:.1f}", f"{1e3 * r.cpu_s / r.frames:.2f}", f"{r.peak_mb:.1f}",
                 f"{r.peak_mb / lengths[0][1].peak_mb - 1:+.1%}"]
                for m, r in lengths
            ]  # fmt: skip
            names = [
                "minutes",
                "frames analysed",
                "processor seconds",
                "ms a frame",
                "peak memory, MB",
                "against first",
            ]
            _table(names, cells)


def speed(
    clip: Annotated[Path, typer.Argument(help="A video.")],
    environments: Annotated[Path, typer.Option(help="Folder for the peers' environments; kept for the next run.")],
    peer: Annotated[list[str] | None, typer.Option(help="Peers; repeat for several; all if none.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Take the clip's beginning only; 0: all of it.")] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, after one to warm up.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.1, help="That one installation may take.")] = 10,
) -> None:
    """mien and its peers side by side, each in an environment made for it: the network, and file to table, one core."""
    from mien.bench.peers import compare, cut_clip, rows

    with tempfile.TemporaryDirectory() as folder:
        shown = cut_clip(clip, Path(folder) / clip.name, seconds) if seconds else clip
        standings = compare(shown, environments, peers=peer or (), rounds=rounds, minutes=minutes, say=_told)
    _head("Peers, one core, without start-up")
    names = [
        "program",
        "network, ms a crop",
        "ratio",
        "faces in frames",
        "file to table, frames a CPU second",
        "rounds",
        "ratio",
    ]
    _table(names, rows(standings))
    for one in standings:
        if one.reason:
            typer.echo(f"- {one.name}: {one.reason}")


def floor(
    weights: Annotated[list[str], typer.Argument(help="Weights or .onnx files.")] = [  # noqa: B006
        "mien-s"
    ],
    threads: Annotated[list[int], typer.Option(min=1, help="Threads; repeat for several.")] = [1, 2],  # noqa: B006
    batch: Annotated[list[int], typer.Option(min=1, help="Faces a run; repeat for several.")] = [1, 64],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=10, help="Rounds of three timed runs.")] = 40,
) -> None:
    """A network's time against what its multiplications and bytes cost at the least, and where the time goes."""
    from mien.bench.floor import compare, nodes
    from mien.pipeline.store import find_file

    files = {Path(name).stem: find_file(name) for name in weights}
    _head("Networks against the machine's floor")
    cells = []
    for count in threads:
        has, rows = compare(files, tuple(batch), count, rounds)
        typer.echo(f"{count} threads: matrix product {has.gflops:.0f} GFLOP/s, copy {has.gigabytes:.1f} GB/s.\n")
        for row in rows:
            size = f"{row.work.macs / 1e6:.1f}", f"{row.work.bytes / 1e6:.1f}"
            times = f"{row.ms:.3f}", f"{row.ms / row.batch:.3f}", f"{row.floor:.3f}", f"{row.ms / row.floor:.2f}"
            cells.append([row.name, str(row.threads), str(row.batch), *size, *times, f"{row.gflops:.0f}"])
    names = ["weights", "threads", "batch", "MACs (M)", "MB", "ms a run", "ms a face", "floor, ms", "ratio", "GFLOP/s"]
    _table(names, cells)
    for name, path in files.items():
        typer.echo(f"{name}, batch 1, by kind of node (measuring adds about 2 microseconds a node):\n")
        _table(["node", "nodes", "microseconds"], [[k, str(n), f"{t:.0f}"] for k, t, n in nodes(path.read_bytes())[:8]])


def profile(
    clip: Annotated[Path, typer.Argument(help="A video.")],
    detector: Annotated[str, typer.Option(help="Face detector.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; each stage's median counts.")] = 3,
) -> None:
    """Where the time of a clip goes, from file to table, on one core."""
    from mien.bench.profile import profile as measure

    frames, stages = measure(clip, detector=detector, rounds=rounds)
    whole = sum(stages.values())
    _head(f"{clip.name}, {frames} frames, detector {detector}, one core")
    cells = [[name, f"{s:.3f}", f"{1e3 * s / frames:.3f}", f"{s / whole:.1%}"] for name, s in stages.items()]
    cells.append(["all", f"{whole:.3f}", f"{1e3 * whole / frames:.3f}", f"{frames / whole:.1f} frames/s"])
    _table(["stage", "processor seconds", "ms a frame", "share"], cells)


def start(
    picture: Annotated[Path, typer.Argument(help="A picture with a face.")],
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, after one to warm up.")] = 5,
) -> None:
    """Start-up beside a bare `python -c pass`: help, import, first picture; processor seconds and seconds."""
    from mien.bench.start import measure

    rows = measure(picture, rounds)
    _head("Start-up")
    bare = rows[0]
    cells = [[r.name, f"{r.cpu_s:.3f}", f"{r.seconds:.3f}", f"{r.cpu_s - bare.cpu_s:+.3f}"] for r in rows]
    _table(["command", "processor seconds, median", "seconds, median", "beyond bare Python"], cells)
