"""Annotated copies and plots of a job: a second pass over the rows on disk, as for `mien analyze --overlay --plot`."""

from __future__ import annotations

from pathlib import Path

from mien.analysis import Run
from mien.report.overlay import overlay_picture, overlay_video
from mien.report.timeline import pictures_chart, timeline
from mien.table import read_rows


def stems_of(names: list[str]) -> dict[str, str]:
    """Stem of each source's output files; a number follows where two would share one.

    >>> stems_of(["a.png", "a.jpg"])
    {'a.png': 'a', 'a.jpg': 'a-2'}
    """
    stems: dict[str, str] = {}
    for name in names:
        stem, number = Path(name).stem, 2
        while stem in stems.values():
            stem, number = f"{Path(name).stem}-{number}", number + 1
        stems[name] = stem
    return stems


def pictures_of(run: Run, *, overlay: bool, anonymous: bool, plot: bool) -> None:
    """Draw what was asked for, of each source that gave a frame."""
    sources = [s for s in run.sources if s.name in run.state and run.state[s.name].frames]
    labels, options = run.flow.model.spec.labels, run.flow.options
    stems = stems_of([source.name for source in run.sources])
    for source in sources:
        out = run.folder / stems[source.name]
        if overlay and source.kind == "picture":
            overlay_picture(source.name, run.rows(source), labels, f"{out}.overlay.png", anonymous=anonymous)
        elif overlay:
            overlay_video(
                source, run.rows(source), labels, f"{out}.overlay.mp4",
                anonymous=anonymous, every=options.every, threads=options.threads,
            )  # fmt: skip
        if plot and source.kind == "video":
            timeline(
                run.rows(source),
                labels,
                Path(f"{out}.timeline.png"),
                title=Path(source.name).name,
                unsure_below=run.flow.model.spec.unsure_below,
                duration_s=run.state[source.name].seconds,
                events=[event for event in run.events if event.source == source.name],
            )
    if plot and any(source.kind == "picture" for source in sources):
        rows = (row for row in read_rows(run.rows_path) if row["time_s"] is None)
        pictures_chart(rows, labels, run.folder / "pictures.chart.png")
