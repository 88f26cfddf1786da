"""The report: one HTML file of a finished analysis that needs nothing else, no network and no script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mien import __version__
from mien.errors import InputError
from mien.report.page import methods, shades, view
from mien.report.page.folder import Folder, open_folder
from mien.report.page.gather import Gathered, gather
from mien.report.page.groups import Groups, match_groups, read_groups
from mien.report.page.thumbs import Thumbs, Wanted, thumbnails

NAME = "report.html"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class PageOptions:
    """What the report shows.

    Attributes:
        thumbnails: faces of events and pictures, read again from the sources.
        blur: make every face in them unrecognisable.
        groups: CSV with the columns source and group (and person), whose groups are compared.
        compare: `PATTERN=name` of each group, instead of a file.
        unit: `file` or `person`; None takes people where they are named.
        title: stands above the report; None takes the name of the source.
    """

    thumbnails: bool = False
    blur: bool = False
    groups: Path | None = None
    compare: tuple[str, ...] = ()
    unit: str | None = None
    title: str | None = None


def write_report(folder: Path, out: Path | None = None, options: PageOptions | None = None) -> Path:
    """Make the report of a folder that `mien analyze` has written.

    The rows are read once, one at a time, so that hours need little more memory than minutes.

    Args:
        folder: the results.
        out: the HTML file; None puts `report.html` into the folder.
        options: what it shows.

    Returns:
        The file.

    Raises:
        InputError: the folder holds no results, the groups cannot be used, or the file cannot be written.
    """
    options = options or PageOptions()
    results = open_folder(folder)
    chosen = _groups(results, options)
    shown = view.choose_events(results.events)
    wanted = view.wanted_thumbs(shown) if options.thumbnails else []
    steps = {entry["source"]: view.step_s(entry) for entry in results.entries}
    found = gather(results.rows(), results.labels, _frames(wanted), steps)
    images = Thumbs()
    if options.thumbnails:
        stills = [Wanted((s.source, 0, str(s.face)), None) for s in found.stills]
        # what has brought a decoder down is not decoded again
        broken = {entry["source"] for entry in results.entries if entry.get("broken")}
        safe = [one for one in (*wanted, *stills) if one.key[0] not in broken]
        images = thumbnails(safe, found, blur=options.blur)
        images.lost += sorted(broken)
    text = _environment().get_template("page.html").render(_context(results, found, images, shown, chosen, options))
    out = out or folder / NAME
    _write(out, text)
    return out


def _groups(results: Folder, options: PageOptions) -> Groups | None:
    sources = [entry["source"] for entry in results.entries]
    if options.groups is not None and options.compare:
        raise InputError("--groups and --compare both say who belongs where; give one of them")
    if options.unit is not None and options.groups is None and not options.compare:
        raise InputError("--unit says what a comparison counts; give --groups or --compare too")
    if options.groups is not None:
        return read_groups(options.groups, sources)
    return match_groups(options.compare, sources) if options.compare else None


def _frames(wanted: list[Wanted]) -> dict[str, set[int]]:
    frames: dict[str, set[int]] = {}
    for one in wanted:
        frames.setdefault(one.key[0], set()).add(one.key[1])
    return frames


def _context(
    results: Folder,
    found: Gathered,
    images: Thumbs,
    shown: list[Any],
    chosen: Groups | None,
    options: PageOptions,
) -> dict[str, Any]:
    """Everything that the template names."""
    entries, labels = results.entries, results.labels
    names = view.short_names([entry["source"] for entry in entries])
    known, faces = view.the_card(results), sum(found.faces)
    micro = any(event.is_micro for event in results.events)
    comparison = view.compared(results, chosen, options.unit) if chosen else None
    text = methods.paragraph(results.summary, known, sum(found.unsure) / max(1, faces), faces, micro=micro)
    # a voice may know other labels than the face
    every = list(dict.fromkeys([*labels, *results.summary.get("voice", {}).get("labels", ())]))
    light, dark = shades.style(every)
    people = view.person_lines(entries, names, labels, found.seen)
    sources, left = view.source_lines(results, names, found)
    return {
        "title": options.title or view.title_of(entries, names),
        "css": Markup((HERE / "page.css").read_text(encoding="utf-8")),
        "light": Markup(light),
        "dark": Markup(dark),
        "labels": labels,
        "version": __version__,
        "today": view.today(),
        "headline": view.headline(results, found),
        "facts": view.facts(results, found),
        "totals": view.totals(found),
        "sources": sources,
        "named": any(entry.get("people") for entry in entries),
        "sources_left": left,
        "all_sources": len(entries),
        "films": sum("seconds" in entry for entry in entries),
        "people": people[: view.MOST_PEOPLE],
        "all_people": len(people),
        "voices": view.voices(results, names, every),
        "problems": [
            {"source": names.get(p["source"], Path(p["source"]).name), "reason": p["reason"]}
            for p in results.summary.get("problems", [])
        ],
        "timelines": view.timelines(results, found, names),
        "left": len(found.left),
        "threshold": float(results.summary["model"].get("unsure_below") or 0),
        "events": view.event_groups(shown, names, labels, images),
        "shown_events": len(shown),
        "all_events": len(results.events),
        "stills": view.still_lines(found, names, images),
        "all_stills": found.faces[1],
        "thumbnails": options.thumbnails,
        "blur": options.blur,
        "lost": [names.get(source, source) for source in images.lost],
        "missing": images.missing,
        "quality": view.quality(found),
        "unsure": sum(found.unsure) / max(1, faces),
        "faces": faces,
        "comparison": comparison,
        "agreement": results.agreement,
        "card": known,
        "paragraph": text + (f" {comparison.sentence}" if comparison else ""),
        "references": methods.references(results.summary, known, compared=chosen is not None, micro=micro),
        "settings": methods.settings(results.summary, known),
        "rules": results.summary.get("events", {}),
    }


def _environment() -> jinja2.Environment:
    # every value is escaped: names of files and people come from outside
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = view.percent
    made.filters["grouped"] = lambda number: f"{number:,}"
    made.filters["signed"] = _signed
    return made


def _signed(value: float) -> str:
    """A figure with its sign; none where it rounds to zero."""
    text = f"{value:+.3f}"
    return "0.000" if text[1:] == "0.000" else text.replace("-", "\N{MINUS SIGN}")


def _write(out: Path, text: str) -> None:
    """Write the page whole or not at all; a name that is no Unicode is shown with question marks."""
    scratch = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(text.encode("utf-8", "replace"))
        scratch.replace(out)
    except OSError as error:
        raise InputError(f"{out}: the report cannot be written there ({error.strerror})") from error
