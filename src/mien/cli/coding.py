"""`mien agree`: mien's events, or another coder's, against a human coding."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.console import printable

if TYPE_CHECKING:
    from mien.events.coding import Coding
    from mien.events.compare import Pair, Sides

First = Annotated[Path, typer.Argument(metavar="RESULTS", help="--out folder of `mien analyze`, or a coder's file.")]
Second = Annotated[Path, typer.Argument(metavar="CODING", help="ELAN (.eaf, text), BORIS (.boris, events), or CSV.")]
Source = Annotated[str | None, typer.Option(help="The video, where there are several.")]
Track = Annotated[str | None, typer.Option(help="Number of the track, or the person's name, that the coder watched.")]
Tier = Annotated[list[str] | None, typer.Option(help="ELAN tier or BORIS subject of CODING; may be given again.")]
Map = Annotated[
    list[str] | None, typer.Option("--map", help="Coder's label=label, with commas; `Blink=` leaves one out.")
]
ClockOffset = Annotated[float, typer.Option(help="Added to the times of CODING, seconds.")]
Iou = Annotated[float, typer.Option(help="Temporal overlap (intersection over union) that makes a match.")]
Begin = Annotated[float | None, typer.Option(help="Compare from here on, seconds.")]
End = Annotated[float | None, typer.Option(help="Compare up to here, seconds.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for agreement.json, .png and two tables.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]

STEP_S = 0.04
"""Two coders are compared on a grid of this step: there are no frames to go by."""


def agree(
    results: First,
    coding: Second,
    source: Source = None,
    track: Track = None,
    tier: Tier = None,
    names: Map = None,
    clock_offset: ClockOffset = 0.0,
    iou: Iou = 0.25,
    begin: Begin = None,
    end: End = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Compare events with a human coding, frame by frame (Cohen's kappa) and event by event (precision, recall, times).

    RESULTS may be a coder's file too: coder against coder shows how well people agree, the most that mien can reach.
    """
    from mien.events.coding import read_coding
    from mien.events.compare import compare

    given = read_coding(coding)
    by_person = results.is_dir()
    mapping = _mapping(names or [])
    if by_person:
        sides, facts, title = _against_mien(results, given, source, track, tier or [], mapping, clock_offset)
    else:
        sides, facts, title = _against_coder(results, given, source, tier or [], mapping, clock_offset)
    sides = _within(sides, begin, end)
    figures, pairs = compare(sides, iou)
    figures = {**facts, "notes": list(given.notes), **figures}
    if out is not None:
        _write(out, figures, pairs, sides, title, ("mien" if by_person else results.stem, coding.stem))
    if as_json:
        typer.echo(json.dumps(figures, ensure_ascii=False))
    else:
        _print(figures, title, out)


def _mapping(texts: Sequence[str]) -> dict[str, str]:
    """`a=b,c=d` as a mapping."""
    found = {}
    for text in texts:
        for part in filter(str.strip, text.split(",")):
            old, equals, new = part.partition("=")
            if not equals or not old.strip():
                raise typer.BadParameter(f"{part!r} is not coder's label=label", param_hint="--map")
            found[old.strip()] = new.strip()
    return found


Prepared = tuple["Sides", dict[str, Any], str]


def _against_mien(
    folder: Path,
    coding: Coding,
    source: str | None,
    track: str | None,
    tiers: list[str],
    mapping: dict[str, str],
    offset_s: float,
) -> Prepared:
    from mien.errors import InputError
    from mien.events.compare import Sides
    from mien.events.event import NEUTRAL
    from mien.events.results import open_results

    mine = open_results(folder, source, track, [*coding.names("media"), *coding.names("observation")])
    theirs = coding.of_media(mine.source).of_tiers(tiers).renamed(mapping, mine.labels).shifted(offset_s)
    spans = [(b.onset_s, b.offset_s) for b in theirs.bouts]
    if not spans:
        raise InputError(f"{coding.path}: no bout is left to compare; see --tier and --map")
    first, last = min(s for s, _ in spans), max(z for _, z in spans)
    if first > mine.times[-1] or last < mine.times[0]:
        raise InputError(
            f"{coding.path}: its bouts lie between {first:g} and {last:g} s, but mien saw this face between "
            f"{mine.times[0]:g} and {mine.times[-1]:g} s; mend the clock with --clock-offset"
        )
    name = f"track {mine.person}" if mine.person.isdigit() else mine.person
    facts = {"first": {"results": str(folder), "source": mine.source, "track": mine.person}, "second": _facts(coding)}
    sides = Sides(mine.bouts, theirs.bouts, mine.labels, NEUTRAL, mine.times, mine.top)
    return sides, facts, f"{Path(mine.source).name}, {name}"


def _against_coder(
    path: Path, second: Coding, source: str | None, tiers: list[str], mapping: dict[str, str], offset_s: float
) -> Prepared:
    """Coder against coder; --tier holds for both files where both have such a tier."""
    import numpy as np

    from mien.errors import InputError
    from mien.events.coding import read_coding
    from mien.events.compare import Sides

    first = read_coding(path)
    codings = [first.of_media(source), second.of_media(source)] if source else [first, second]
    codings[0] = codings[0].of_tiers([t for t in tiers if t in codings[0].names("tier")])
    codings[1] = codings[1].of_tiers(tiers).shifted(offset_s)
    one, two = (coding.renamed(mapping) for coding in codings)
    if not one.bouts or not two.bouts:
        raise InputError(f"{path}: no bout is left to compare; see --tier and --map")
    spans = [(min(b.onset_s for b in c.bouts), max(b.offset_s for b in c.bouts)) for c in (one, two)]
    if spans[0][0] > spans[1][1] or spans[1][0] > spans[0][1]:
        raise InputError(
            f"{second.path}: its bouts lie between {spans[1][0]:g} and {spans[1][1]:g} s, those of {path} between "
            f"{spans[0][0]:g} and {spans[0][1]:g} s; mend the clock with --clock-offset"
        )
    rest = next((name for name in ("neutral", "none") if name in {*one.names("label"), *two.names("label")}), "none")
    labels = sorted({*one.names("label"), *two.names("label")} - {rest})
    times = np.arange(0, max(spans[0][1], spans[1][1]) + STEP_S, STEP_S)
    sides = Sides(one.bouts, two.bouts, (*labels, rest), rest, times)
    return sides, {"first": _facts(first), "second": _facts(second)}, f"{path.name} and {second.path.name}"


def _facts(coding: Coding) -> dict[str, Any]:
    return {"coding": str(coding.path), "kind": coding.kind, "bouts": len(coding.bouts)}


def _within(sides: Sides, begin: float | None, end: float | None) -> Sides:
    """Only the times, and the bouts whose middle lies, between begin and end."""
    from dataclasses import replace

    from mien.errors import InputError

    low, high = -1e18 if begin is None else begin, 1e18 if end is None else end
    kept = (sides.times >= low) & (sides.times <= high)
    if not kept.any():
        raise InputError(f"nothing lies between --begin {low:g} and --end {high:g} s")
    bouts = [[b for b in some if low <= (b.onset_s + b.offset_s) / 2 <= high] for some in (sides.first, sides.second)]
    top = None if sides.top is None else sides.top[kept]
    return replace(sides, first=bouts[0], second=bouts[1], times=sides.times[kept], top=top)


def _write(
    out: Path, figures: dict[str, Any], pairs: Sequence[Pair], sides: Sides, title: str, names: tuple[str, str]
) -> None:
    from mien.errors import InputError
    from mien.pipeline.writers import write_whole
    from mien.report.agreement import agreement_chart

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "agreement.json", json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        _write_pairs(out / "matches.csv", pairs, sides)
        _write_confusion(out / "confusion.csv", figures)
    except OSError as error:
        raise InputError(f"{out}: cannot be written to ({error.strerror})") from error
    bouts = [b for b in (*sides.first, *sides.second) if b.label != sides.rest]
    low = min([float(sides.times[0]), *(b.onset_s for b in bouts)])
    high = max([float(sides.times[-1]), *(b.offset_s for b in bouts)])
    shown = [[b for b in some if b.label != sides.rest] for some in (sides.first, sides.second)]
    agreement_chart(
        shown[0], shown[1], pairs, names, (low, max(high, low + 0.1)), out / "agreement.png", title=title,
        figures=_headline(figures),
    )  # fmt: skip


def _write_pairs(path: Path, pairs: Sequence[Pair], sides: Sides) -> None:
    """A line for each event of either coding, with its match beside it."""
    from mien.events.cells import guarded

    times = ("onset_s", "apex_s", "offset_s")
    header = ["label", "iou", *(f"first_{t}" for t in times), *(f"second_{t}" for t in times)]
    rows: list[tuple[float, list[Any]]] = []
    met = {id(bout) for pair in pairs for bout in (pair.first, pair.second)}
    for pair in pairs:
        cells = [getattr(bout, t) for bout in (pair.first, pair.second) for t in times]
        rows.append((pair.second.onset_s, [pair.second.label, round(pair.iou, 4), *cells]))
    for place, some in enumerate((sides.first, sides.second)):
        for bout in some:
            if id(bout) not in met and bout.label != sides.rest:
                own = [getattr(bout, t) for t in times]
                cells = ["", "", "", *own] if place else [*own, "", "", ""]
                rows.append((bout.onset_s, [bout.label, "", *cells]))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(
            ["" if c is None else guarded(c) for c in cells] for _, cells in sorted(rows, key=lambda row: row[0])
        )


def _write_confusion(path: Path, figures: dict[str, Any]) -> None:
    """Frames: a line for each label of the first coding, a column for each of the second."""
    from mien.events.cells import guarded

    table = figures["frames"].get("top_label", figures["frames"]["events"])["confusion"]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["first \\ second", *map(guarded, figures["labels"])])
        writer.writerows([guarded(label), *row] for label, row in zip(figures["labels"], table, strict=True))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _headline(figures: dict[str, Any]) -> str:
    frames, events = figures["frames"], figures["events"]
    parts = [f"events: precision {_share(events['precision'])}, recall {_share(events['recall'])}, F1 "
             f"{_share(events['f1'])} at overlap {events['least_iou']:g}"]  # fmt: skip
    parts.append(f"kappa of {frames['count']} times {_share(frames['events']['kappa'])}")
    if "top_label" in frames:
        parts.append(f"of the top label {_share(frames['top_label']['kappa'])}")
    return "; ".join(parts)


def _print(figures: dict[str, Any], title: str, out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from mien.labels import colour

    console = Console()
    console.print(Text(printable(title), "bold"))
    table = Table(box=None, header_style="bold", pad_edge=False)
    top = "top_label" in figures["frames"]
    heads = ["label", "coder", "mien" if top else "other", "both", "prec", "rec", "F1", "kappa"]
    for head in [*heads, *(["top"] if top else []), "onset", "apex", "offset"]:
        is_label = head == "label"
        table.add_column(
            head, justify="left" if is_label else "right", no_wrap=is_label, min_width=9 if is_label else 2
        )
    frames = figures["frames"]
    total = {
        **figures["events"],
        "kappa_events": frames["events"]["kappa"],
        "kappa_top_label": frames.get("top_label", {}).get("kappa"),
    }
    for label, entry in [*figures["per_label"].items(), ("all", total)]:
        cells = [str(entry[k]) for k in ("second", "first", "matched")]
        cells += [_share(entry[k]) for k in ("precision", "recall", "f1", "kappa_events")]
        cells += [_share(entry["kappa_top_label"])] if top else []
        for which in ("onset", "apex", "offset"):
            ms = entry["times"][which]["median_ms"]
            cells.append("-" if ms is None else f"{round(ms):+d}")
        table.add_row(Text(printable(label), "bold" if label == "all" else colour(label)), *cells)
    console.print(table)
    for note in figures["notes"]:
        console.print(f"note: {printable(note)}", markup=False, highlight=False)
    what = "frames with this face" if top else f"times, {STEP_S:g} s apart"
    more = "; top: of the top label" if top else ""
    console.print(f"\nkappa: of the events over {frames['count']} {what}{more}")
    console.print(f"onset, apex, offset: median of {'mien' if top else 'the other'} minus the coder's, ms")
    if out is not None:
        console.print(f"{out}/agreement.json, agreement.png, matches.csv, confusion.csv", markup=False, highlight=False)
