"""Annotated copies and plots of a run: a second pass over the rows on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av

from mien.analysis import Run
from mien.errors import InputError
from mien.events import Event
from mien.pipeline.sources import Problem, Source
from mien.report.overlay import overlay_picture, overlay_video
from mien.report.timeline import pictures_chart, timeline
from mien.table import read_rows

MOST_BYTES = 200


def stems_of(sources: Sequence[Source]) -> dict[str, str]:
    """Stem of each source's output files; a number follows where two would share one, and a very long one is cut.

    >>> stems_of([Source("a.png", "picture"), Source("a.jpg", "picture")])
    {'a.png': 'a', 'a.jpg': 'a-2'}
    """
    stems: dict[str, str] = {}
    for source in sources:
        # file systems allow 255 bytes, and `.overlay.mp4.part` must still fit behind it
        first = source.stem.encode()[:MOST_BYTES].decode(errors="ignore")
        stem, number, taken = first, 2, set(stems.values())
        while stem in taken:
            stem, number = f"{first}-{number}", number + 1
        stems[source.name] = stem
    return stems


def draw_copies(run: Run, spotted: Sequence[Event] = (), *, overlay: bool, anonymous: bool, plot: bool) -> None:
    """Draw what was asked for, of each source that gave a frame, into the run's folder.

    Args:
        spotted: micro-expressions, which the timelines show beside the run's events.
        overlay: annotated copies `STEM.overlay.png` and `.mp4`; a camera's is drawn while it runs.
        anonymous: hide the faces in them.
        plot: `STEM.timeline.png` of each video, `pictures.chart.png` of all pictures.
    """
    spec = run.flow.model.spec
    stems = stems_of(run.sources)
    for source in run.sources:
        done = run.state.get(source.name)
        if done is None or not done.frames:
            continue
        out = run.folder / stems[source.name]
        if overlay and not done.broken and source.kind != "camera":
            try:
                _overlay(run, source, out, anonymous)
            except (InputError, av.FFmpegError, ValueError, OverflowError) as error:
                # times that no MP4 can hold, or a file that has changed since
                reason = str(error).removeprefix(f"{source.name}: ")
                run.problems.append(Problem(source.name, f"no annotated copy can be made ({reason})"))
        if plot and source.kind != "picture":
            timeline(
                run.rows(source),
                spec.labels,
                Path(f"{out}.timeline.png"),
                title=Path(source.name).name,
                unsure_below=spec.unsure_below,
                duration_s=done.seconds,
                events=[event for event in (*run.events, *spotted) if event.source == source.name],
                markers=run.markers or (),
            )
    if plot and any(source.kind == "picture" for source in run.sources):
        rows = (row for row in read_rows(run.rows_path) if row["time_s"] is None)
        pictures_chart(rows, spec.labels, run.folder / "pictures.chart.png")


def _overlay(run: Run, source: Source, out: Path, anonymous: bool) -> None:
    labels, options = run.flow.model.spec.labels, run.flow.options
    if source.kind == "picture":
        overlay_picture(source.name, run.rows(source), labels, f"{out}.overlay.png", anonymous=anonymous)
        return
    overlay_video(
        source, run.rows(source), labels, f"{out}.overlay.mp4",
        anonymous=anonymous, every=options.every, threads=options.threads,
    )  # fmt: skip
