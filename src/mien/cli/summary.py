"""What `mien analyze` prints when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.cli.console import printable

if TYPE_CHECKING:
    from mien.analysis import Run


def _short(name: str, most: int = 34) -> str:
    """The end of a long path."""
    return name if len(name) <= most else "..." + name[3 - most :]


def print_summary(run: Run, summary: dict[str, Any], stopped: bool, most: int = 12) -> None:
    """A table of the sources, at most so many of them, and where the files are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mien.labels import colour

    console = Console()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (("source", "left"), ("frames", "right"), ("faces", "right"), ("people", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    table.add_column("expressions")
    table.add_column("events", justify="right")
    table.add_column("unsure", justify="right")
    entries = summary["sources"]
    for entry in entries[:most]:
        shares = sorted(entry["share"].items(), key=lambda item: -item[1])[:3] if entry["faces"] else []
        text = Text("  ").join(Text(f"{label} {share:.0%}", colour(label)) for label, share in shares if share)
        people, events = "-", "-"
        if "seconds" in entry:
            people = str(len(entry["tracks"]))
            events = str(sum(sum(track["events"].values()) for track in entry["tracks"]))
        unsure = f"{entry['unsure_share']:.0%}" if entry["faces"] else "-"
        row = (
            Text(_short(printable(entry["source"]))),
            str(entry["frames"]),
            str(entry["faces"]),
            people,
            text or "no face",
            events,
            unsure,
        )
        table.add_row(*row)
    console.print(table)
    if len(entries) > most:
        console.print(f"... and {len(entries) - most} more sources in summary.json")
    note = " (stopped; go on with --resume)" if stopped else ""
    files = ", events.csv and" if any(source.kind != "picture" for source in run.sources) else " and"
    console.print(f"\n{run.rows_path}{files} summary.json{note}", markup=False, highlight=False)
