"""What the page's template is given: everything counted, rounded and put into words."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mien.report import chart
from mien.report.page import card, groups, methods, thumbs
from mien.report.page.folder import Folder, Happening
from mien.report.page.gather import Counts, Gathered, Key
from mien.report.page.panels import Timeline, timeline

MOST_SOURCES = 100
MOST_EVENTS = 150
MOST_THUMBS = 60
MOST_PEOPLE = 40
_PLURAL = {"person": "people", "track": "tracks"}


class Part(NamedTuple):
    """A part of a bar: number of the label, its name, and its share in [0, 1]."""

    k: int
    label: str
    share: float


@dataclass(frozen=True)
class Line:
    """One source, or one person of it, in a table."""

    name: str
    kind: str
    frames: int
    faces: int
    seen: str
    length: str
    people: int
    events: int
    unsure: float
    parts: list[Part]
    scores: list[Part]
    note: str


@dataclass(frozen=True)
class EventLine:
    """An event in the table."""

    who: str
    label: str
    k: int
    onset: str
    apex: str
    duration: str
    peak: float
    strength: str
    image: str
    more: list[str]


@dataclass(frozen=True)
class StillLine:
    """A face of a picture."""

    name: str
    label: str
    k: int
    score: float
    unsure: bool
    parts: list[Part]
    image: str


def short_names(sources: Sequence[str]) -> dict[str, str]:
    """File names; where two are the same, with as many folders before them as tell them apart."""
    names = {source: Path(source).name or source for source in sources}
    for depth in range(2, 8):
        counts = Counter(names.values())
        twice = [source for source, name in names.items() if counts[name] > 1]
        if not twice:
            break
        for source in twice:
            names[source] = "/".join(Path(source).parts[-depth:])
    return names


def title_of(entries: Sequence[dict[str, Any]], names: dict[str, str]) -> str:
    """The file's name, or what the sources are."""
    if len(entries) == 1:
        return names[entries[0]["source"]]
    films = sum("seconds" in entry for entry in entries)
    parts = [_count(films, "recording"), _count(len(entries) - films, "picture")]
    return " and ".join(part for part in parts if part) or "No source"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}" if number else ""


def parts_of(shares: dict[str, float], labels: Sequence[str]) -> list[Part]:
    """Shares by label in the model's order, without those of nothing."""
    return [Part(k, label, shares[label]) for k, label in enumerate(labels) if shares.get(label, 0.0) > 0]


def step_s(entry: dict[str, Any]) -> float:
    """Time that an analysed frame stands for, seconds; 0 where there are too few."""
    return float(entry["seconds"]) / entry["frames"] if "seconds" in entry and entry["frames"] > 1 else 0.0


def _clock(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else chart.clock(seconds, seconds)


def percent(share: float) -> str:
    """A share for a reader; what is there but rounds to nothing is said to be below one in a hundred."""
    return "<1\N{NO-BREAK SPACE}%" if 0 < share < 0.005 else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _people(entry: dict[str, Any]) -> int:
    """Tracks, those of one name counted once."""
    joined = sum(max(0, len(person.get("tracks", ())) - 1) for person in entry.get("people", ()))
    return len(entry["tracks"]) - joined


def source_line(entry: dict[str, Any], name: str, labels: Sequence[str], seen: Mapping[tuple[str, str], float]) -> Line:
    """A source in the table; `seen` says for how long anybody was."""
    timed = "seconds" in entry
    kind = "camera" if entry["source"].startswith("camera") else "recording" if timed else "picture"
    note = entry.get("error") or ("" if entry.get("complete", True) else "not finished; go on with --resume")
    seconds = min(seen.get((entry["source"], ""), 0.0), float(entry.get("seconds", 0)))
    return Line(
        name, kind, entry["frames"], entry["faces"],
        _clock(seconds) if timed and entry["faces"] else "",
        _clock(float(entry["seconds"])) if timed else "",
        _people(entry),
        sum(sum(track.get("events", {}).values()) for track in entry["tracks"]),
        float(entry.get("unsure_share", 0)) if entry["faces"] else 0.0,
        parts_of(entry["share"], labels), parts_of(entry["mean_score"], labels), note,
    )  # fmt: skip


def source_lines(folder: Folder, names: dict[str, str], found: Gathered) -> tuple[list[Line], int]:
    """Sources in the table, and how many are left out: recordings, and those pictures of which something is to be said.

    Pictures with a face are one line together: each of them stands among the pictures.
    """
    good = [e for e in folder.entries if "seconds" not in e and e["faces"] and not e.get("error")]
    others = [e for e in folder.entries if not any(e is one for one in good)] if len(good) > 1 else folder.entries
    lines = [source_line(e, names[e["source"]], folder.labels, found.seen) for e in others[:MOST_SOURCES]]
    if len(good) > 1:
        faces = sum(e["faces"] for e in good)
        tops = {label: sum(e["share"].get(label, 0) * e["faces"] for e in good) / faces for label in folder.labels}
        unsure = sum(float(e.get("unsure_share", 0)) * e["faces"] for e in good) / faces
        parts, name = parts_of(tops, folder.labels), f"{len(good):,} pictures with a face"
        lines.append(Line(name, "picture", len(good), faces, "", "", 0, 0, unsure, parts, [], ""))
    return lines, max(0, len(others) - MOST_SOURCES)


def person_lines(
    entries: Sequence[dict[str, Any]],
    names: dict[str, str],
    labels: Sequence[str],
    seen: Mapping[tuple[str, str], float],
) -> list[Line]:
    """Everybody in the recordings, the most seen first."""
    found: list[tuple[float, Line]] = []
    films = sum("seconds" in entry for entry in entries)
    for entry in entries:
        known = {track for person in entry.get("people", ()) for track in person.get("tracks", ())}
        everybody = [(str(p["person"]), str(p["person"]), p) for p in entry.get("people", ())]
        tracks = [t for t in entry["tracks"] if t["track"] not in known]
        everybody += [(f"Person {t['track']}", str(t["track"]), t) for t in tracks]
        for name, key, person in everybody:
            seconds = min(seen.get((entry["source"], key), 0.0), float(entry.get("seconds", 0)))
            where = names[entry["source"]] if films > 1 else ""
            line = Line(
                name, where, person["faces"], person["faces"], _clock(seconds), "", 1,
                sum(person.get("events", {}).values()), float(person.get("unsure_share", 0)),
                parts_of(person["share"], labels), parts_of(person["mean_score"], labels),
                str(person.get("baseline", {}).get("raw_kept", "")),
            )  # fmt: skip
            found.append((seconds, line))
    return [line for _, line in sorted(found, key=lambda item: -item[0])]


def choose_events(events: Sequence[Happening]) -> list[Happening]:
    """Those with the highest peaks, in order of the files and of time; micro-expressions first, if they are few."""
    micro = sorted((e for e in events if e.is_micro), key=lambda e: -e.peak)[: MOST_EVENTS // 2]
    others = sorted((e for e in events if not e.is_micro), key=lambda e: -e.peak)[: MOST_EVENTS - len(micro)]
    kept = {id(event) for event in (*micro, *others)}
    return [event for event in events if id(event) in kept]


def event_key(event: Happening) -> Key:
    """Where the face at the apex is to be found."""
    return event.source, event.apex_frame, event.person or str(-1 if event.track is None else event.track)


def wanted_thumbs(events: Sequence[Happening]) -> list[thumbs.Wanted]:
    """Faces of the strongest events."""
    strongest = sorted(events, key=lambda e: (e.is_micro, -e.peak))[:MOST_THUMBS]
    return [thumbs.Wanted(event_key(event), event.apex_s) for event in strongest]


def event_groups(
    events: Sequence[Happening], names: dict[str, str], labels: Sequence[str], images: thumbs.Thumbs
) -> list[tuple[str, list[EventLine]]]:
    """The events of each source."""
    found: dict[str, list[EventLine]] = {}
    for event in sorted(events, key=lambda e: (e.source, e.onset_s)):
        more = [f"after {event.more['marker']}" if "marker" in event.more else "", event.more.get("region", "")]
        if "sequence" in event.more:
            more.append(f"as a whole: {event.more['sequence']}")
        line = EventLine(
            event.person or ("Faces" if event.track is None else f"Person {event.track}"),
            "micro-expression" if event.is_micro else event.label,
            labels.index(event.label) if event.label in labels else -1,
            f"{event.onset_s:.2f}", f"{event.apex_s:.2f}", f"{event.duration_s:.2f}",
            0.0 if event.is_micro else event.peak,
            f"{event.peak:.1f} %" if event.is_micro else f"{event.peak:.2f}",
            images.images.get(event_key(event), ""), [part for part in more if part],
        )  # fmt: skip
        found.setdefault(event.source, []).append(line)
    return [(names.get(source, Path(source).name), lines) for source, lines in found.items()]


def still_lines(found: Gathered, names: dict[str, str], images: thumbs.Thumbs) -> list[StillLine]:
    """The faces of pictures."""
    several = {still.source for still in found.stills if still.face}
    lines = []
    for still in found.stills:
        name = names.get(still.source, still.source) + (f", face {still.face + 1}" if still.source in several else "")
        parts = [Part(k, label, p) for k, (label, p) in enumerate(zip(found.labels, still.scores, strict=True))]
        image = images.images.get((still.source, 0, str(still.face)), "")
        k = list(found.labels).index(still.label) if still.label in found.labels else -1
        lines.append(StillLine(name, still.label, k, still.score, still.unsure, parts, image))
    return lines


def timelines(folder: Folder, found: Gathered, names: dict[str, str]) -> list[tuple[str, Timeline]]:
    """Panels of the recordings in which somebody was seen."""
    entries = {entry["source"]: entry for entry in folder.entries}
    threshold = float(folder.summary["model"].get("unsure_below") or 0)
    by_source: dict[str, list[Happening]] = {}
    for event in folder.events:
        by_source.setdefault(event.source, []).append(event)
    made = []
    for source, recording in found.recordings.items():
        entry = entries.get(source, {})
        events, length = by_source.get(source, []), float(entry.get("seconds", 0))
        seen = {name: seconds for (place, name), seconds in found.seen.items() if place == source}
        made.append((names.get(source, source), timeline(recording, folder.labels, events, length, threshold, seen)))
    return made


class Voice(NamedTuple):
    """What was heard in a recording."""

    name: str
    heard: str
    spoken: str
    parts: list[Part]
    note: str


def voices(folder: Folder, names: dict[str, str], labels: Sequence[str]) -> list[Voice]:
    """Voice of each recording that was listened to."""
    made = []
    for entry in folder.entries:
        if voice := entry.get("voice"):
            spoken, heard = (_clock(float(voice.get(key, 0))) for key in ("spoken_seconds", "seconds"))
            parts = parts_of(voice.get("mean_scores", {}), labels)
            made.append(Voice(names[entry["source"]], heard, spoken, parts, str(voice.get("note", ""))))
    return made[:MOST_SOURCES]


class Total(NamedTuple):
    """Distribution over the faces of all recordings, or of all pictures."""

    name: str
    faces: int
    tops: list[Part]
    means: list[Part]
    unsure: float


def totals(found: Gathered) -> list[Total]:
    """Of recordings and of pictures, as far as there are some."""
    made = []
    for kind, name in enumerate(("recordings", "pictures")):
        faces = found.faces[kind]
        if faces:
            tops = {label: count / faces for label, count in found.tops[kind].items()}
            means = [Part(k, label, found.sums[kind][k] / faces) for k, label in enumerate(found.labels)]
            made.append(Total(name, faces, parts_of(tops, found.labels), means, found.unsure[kind] / faces))
    return made


class Poor(NamedTuple):
    """A scale of quality: its classes with faces and unsure shares, and what part of the faces is poor."""

    title: str
    classes: list[tuple[str, int, float, float, bool]]
    share: float
    why: str
    missing: int


def quality(found: Gathered) -> list[Poor]:
    """Classes of each scale that the rows have."""
    return [_poor(counts) for counts in found.quality if counts.total]


def _poor(counts: Counts) -> Poor:
    scale, total = counts.scale, counts.total
    rows = zip(scale.classes, counts.faces, counts.unsure, strict=True)
    classes = [(name, n, n / total, u / n if n else 0.0, i in scale.poor) for i, (name, n, u) in enumerate(rows)]
    return Poor(scale.title, classes, sum(counts.faces[i] for i in scale.poor) / total, scale.why, counts.missing)


def headline(folder: Folder, found: Gathered) -> str:
    """The page's first sentence, in words."""
    faces = sum(found.faces)
    if not faces:
        return "No face was found."
    together = Counter(found.tops[0])
    together.update(found.tops[1])
    order = [(label, count / faces) for label, count in together.most_common(3) if count / faces >= 0.05]
    said = ", ".join(f"{label} ({percent(share)})" for label, share in order)
    unsure = sum(found.unsure) / faces
    doubt = f" Of all faces {percent(unsure)} are unsure." if unsure >= 0.005 else ""
    return f"Seen most often: {said}.{doubt}"


class Compared(NamedTuple):
    """The comparison section."""

    found: list[groups.Comparison]
    unit: str
    plural: str
    total: int
    left: int
    expected: float
    reach: float
    sentence: str
    labels: Sequence[str]


def compared(folder: Folder, chosen: groups.Groups, unit: str | None) -> Compared:
    """Compare the groups, and say how many comparisons that were."""
    unit = groups.choose_unit(unit, chosen, folder.entries)
    found = groups.compare(chosen, folder.entries, folder.labels, unit)
    count = len(found) * len(folder.labels)
    ends = [abs(v) for c in found for r in c.results if r for v in (r.difference_all.low, r.difference_all.high)]
    return Compared(
        found, unit, "people" if unit == "person" else "files", count, len(chosen.left), 0.05 * count,
        max([0.05, *ends]), methods.comparison_sentence(found, unit, count), folder.labels,
    )  # fmt: skip


def facts(folder: Folder, found: Gathered) -> list[tuple[str, str]]:
    """The large figures at the top."""
    films = [entry for entry in folder.entries if "seconds" in entry]
    stills = len(folder.entries) - len(films)
    rows = []
    if films:
        rows.append((_clock(sum(float(e["seconds"]) for e in films)), f"in {_count(len(films), 'recording')}"))
    if stills:
        rows.append((f"{stills:,}", "picture" + "s" * (stills != 1)))
    rows.append((f"{sum(found.faces):,}", "face measured" if sum(found.faces) == 1 else "faces measured"))
    if films:
        people = sum(_people(entry) for entry in films)
        noun = "person" if any(entry.get("people") for entry in films) else "track"
        rows.append((f"{people:,}", f"{noun} followed" if people == 1 else f"{_PLURAL[noun]} followed"))
        events = sum(not event.is_micro for event in folder.events)
        rows.append((f"{events:,}", "event" + "s" * (events != 1)))
    if micro := sum(event.is_micro for event in folder.events):
        rows.append((f"{micro:,}", "micro-expression" + "s" * (micro != 1)))
    if total := sum(found.faces):
        rows.append((percent(sum(found.unsure) / total), "unsure"))
    return rows


def today() -> str:
    """The date of the report."""
    return datetime.date.today().isoformat()


def the_card(folder: Folder) -> card.Card:
    """Of the weights that made the scores."""
    model, options = folder.summary["model"], folder.summary.get("options", {})
    name = str(model.get("name", ""))
    return card.read_card(name, str(model.get("sha256", "")), str(options.get("model") or name))
