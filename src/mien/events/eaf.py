"""ELAN's annotation format: reading what a coder made, writing events so that a coder can open them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from mien.errors import InputError
from mien.events.coding import Bout
from mien.events.event import Event, lanes

UNITS_S = {"milliseconds": 1e-3, "PAL-frames": 0.04, "NTSC-frames": 1001 / 30000}
APEX = re.compile(r"(?i)[ _-]*apex$")
"""A tier with such a name holds the apexes of the tier that has the rest of its name."""
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_MIME = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo"}

Span = tuple[float, float]


def parse_xml(path: Path, data: bytes) -> ElementTree.Element:
    """The root of an XML file from an untrusted hand: a document type, and with it every entity, is refused.

    Raises:
        InputError: the file is no XML, or declares a document type.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: Any) -> None:
        raise InputError(f"{path}: declares a document type, which no ELAN file needs; save it again with ELAN")

    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(f"{path}: is no whole XML file ({error}); save it again with ELAN") from error
    return builder.close()


def read_eaf(path: Path, data: bytes) -> tuple[list[Bout], str, list[str]]:
    """Annotations of an .eaf file, the name of its media file, and remarks.

    Annotations that refer to others have their times, several of one parent in equal parts; borders without a time lie
    evenly between those that have one. An annotation without a value is named by its tier. Times are relative to the
    medium's beginning.

    Raises:
        InputError: the file is no .eaf, or an annotation has no time.
    """
    root = parse_xml(path, data)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{path}: is XML, but no ELAN file (its root is {root.tag}); give the .eaf")
    unit_s, media, notes = _header(path, root)
    slots = {
        slot.get("TIME_SLOT_ID", ""): _milliseconds(path, value) * unit_s
        for slot in root.iter("TIME_SLOT")
        if (value := slot.get("TIME_VALUE"))
    }
    tiers = root.findall("TIER")
    spans = _spans(path, tiers, slots)
    bouts = []
    for tier in tiers:
        name = tier.get("TIER_ID", "")
        for one in tier.iter():
            if one.tag not in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
                continue
            onset, offset = spans[one.get("ANNOTATION_ID", "")]
            label = (one.findtext("ANNOTATION_VALUE") or "").strip() or name
            bouts.append(Bout(label, round(onset, 6), round(max(onset, offset), 6), None, name, media))
    return with_apexes(bouts), media, notes


def _header(path: Path, root: ElementTree.Element) -> tuple[float, str, list[str]]:
    header = root.find("HEADER")
    unit = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if unit not in UNITS_S:
        raise InputError(f"{path}: times in {unit!r}; expected one of {', '.join(UNITS_S)}")
    medium = None if header is None else header.find("MEDIA_DESCRIPTOR")
    if medium is None:
        return UNITS_S[unit], "", []
    media = re.split(r"[/\\]", medium.get("RELATIVE_MEDIA_URL") or medium.get("MEDIA_URL") or "")[-1]
    origin = _milliseconds(path, medium.get("TIME_ORIGIN") or "0") / 1000
    note = f"the file shifts its medium by {origin:g} s; if the bars look shifted, give --clock-offset {origin:g}"
    return UNITS_S[unit], media, [note] if origin else []


def _milliseconds(path: Path, text: str) -> float:
    if len(text) > 15 or not text.strip().lstrip("-").isdecimal():
        raise InputError(f"{path}: a time is {text!r}; expected a whole number; save the file again with ELAN")
    return float(int(text))


def _spans(path: Path, tiers: Sequence[ElementTree.Element], slots: dict[str, float]) -> dict[str, Span]:
    """Onset and offset of every annotation, seconds."""
    spans: dict[str, Span] = {}
    children: dict[str, list[str]] = {}
    for tier in tiers:
        alignable = list(tier.iter("ALIGNABLE_ANNOTATION"))
        known = _aligned([one.get(f"TIME_SLOT_REF{k}", "") for one in alignable for k in (1, 2)], slots)
        for one in alignable:
            onset, offset = (known.get(one.get(f"TIME_SLOT_REF{k}", "")) for k in (1, 2))
            if onset is None or offset is None:
                name = f"{one.get('ANNOTATION_ID')} of tier {tier.get('TIER_ID')!r}"
                raise InputError(f"{path}: annotation {name} has no time; save the file again with ELAN")
            spans[one.get("ANNOTATION_ID", "")] = (onset, offset)
        for one in tier.iter("REF_ANNOTATION"):
            key = f"{one.get('ANNOTATION_REF', '')}\0{tier.get('TIER_ID')}"
            children.setdefault(key, []).append(one.get("ANNOTATION_ID", ""))
    while children:  # a parent may itself refer to another
        ready = [key for key in children if key.split("\0")[0] in spans]
        if not ready:
            lost = next(iter(children)).split("\0")
            raise InputError(f"{path}: tier {lost[1]!r} refers to an annotation {lost[0]!r} that is not there")
        for key in ready:
            onset, offset = spans[key.split("\0")[0]]
            mine = children.pop(key)
            step = (offset - onset) / len(mine)
            spans |= {name: (onset + i * step, onset + (i + 1) * step) for i, name in enumerate(mine)}
    return spans


def _aligned(order: Sequence[str], slots: Mapping[str, float]) -> dict[str, float]:
    """Times of a tier's borders; those without one lie evenly between their neighbours."""
    chain = list(dict.fromkeys(order))
    known = {name: slots[name] for name in chain if name in slots}
    places = [i for i, name in enumerate(chain) if name in known]
    for a, z in pairwise(places):
        first, last = known[chain[a]], known[chain[z]]
        for i in range(a + 1, z):
            known[chain[i]] = first + (last - first) * (i - a) / (z - a)
    return known


def with_apexes(bouts: Sequence[Bout]) -> list[Bout]:
    """Bouts by onset, with the apexes that tiers named `... apex` hold for those of the same label around them."""
    names = {bout.tier for bout in bouts}
    apexes: dict[tuple[str, str], list[float]] = {}
    rest = []
    for bout in bouts:
        owner = APEX.sub("", bout.tier)
        if owner != bout.tier and owner in names:
            apexes.setdefault((owner, bout.label), []).append(bout.onset_s)
        else:
            rest.append(bout)
    out = []
    for bout in rest:
        times = apexes.get((bout.tier, bout.label), ())
        out.append(replace(bout, apex_s=next((t for t in times if bout.onset_s <= t <= bout.offset_s), None)))
    return sorted(out, key=lambda bout: (bout.onset_s, bout.tier, bout.label))


def write_eaf(events: Sequence[Event], media: Path, folder: Path, *, made: datetime | None = None) -> str:
    """Events of one source as the text of an .eaf file, EAF 3.0.

    A tier for each person, `track 0` or the person's name, and a second one, `track 0 (2)`, where expressions
    overlap, which one tier cannot hold. Beside each, `track 0 apex` has an annotation of 40 ms at most at each apex.

    Args:
        media: the source.
        folder: where the file will lie; ELAN finds the source from there.
        made: date that the file bears; now if not given.
    """
    tiers: dict[str, list[Event]] = {}
    people: dict[str, list[Event]] = {}
    for event in events:
        people.setdefault(event.person or f"track {event.track}", []).append(event)
    for person, mine in people.items():
        for number, lane in enumerate(lanes(mine), 1):
            tiers[person if number == 1 else f"{person} ({number})"] = lane
    root = ElementTree.Element("ANNOTATION_DOCUMENT", {
        "AUTHOR": "mien", "DATE": (made or datetime.now().astimezone()).isoformat(timespec="seconds"),
        "FORMAT": "3.0", "VERSION": "3.0", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "xsi:noNamespaceSchemaLocation": _SCHEMA,
    })  # fmt: skip
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    ElementTree.SubElement(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=media.resolve().as_uri(), RELATIVE_MEDIA_URL=_relative(media, folder),
        MIME_TYPE=_MIME.get(media.suffix.lower(), "video/*"),
    )  # fmt: skip
    count = ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    order = ElementTree.SubElement(root, "TIME_ORDER")
    slots: list[int] = []
    for name, lane in (tiers or {"mien": []}).items():
        _tier(root, name, [(e.label, e.onset_s, e.offset_s) for e in lane], slots)
        _tier(root, f"{name} apex", [(e.label, e.apex_s, min(e.apex_s + 0.04, e.offset_s)) for e in lane], slots)
    for place in sorted(range(len(slots)), key=slots.__getitem__):
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{place + 1}", TIME_VALUE=str(slots[place]))
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID="expression", TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false"
    )
    count.text = str(len(slots) // 2)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _relative(media: Path, folder: Path) -> str:
    """The way from the folder to the medium, with forward slashes; just its name on another drive."""
    import os

    try:
        way = os.path.relpath(media, folder)
    except ValueError:
        return media.name
    return way.replace(os.sep, "/") if way.startswith("..") else f"./{way.replace(os.sep, '/')}"


def _tier(root: ElementTree.Element, name: str, bouts: Sequence[tuple[str, float, float]], slots: list[int]) -> None:
    tier = ElementTree.SubElement(root, "TIER", LINGUISTIC_TYPE_REF="expression", TIER_ID=name)
    for label, onset_s, offset_s in bouts:
        onset = max(0, round(onset_s * 1000))
        slots += [onset, max(onset + 1, round(offset_s * 1000))]
        holder = ElementTree.SubElement(tier, "ANNOTATION")
        one = ElementTree.SubElement(
            holder, "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{len(slots) // 2}",
            TIME_SLOT_REF1=f"ts{len(slots) - 1}", TIME_SLOT_REF2=f"ts{len(slots)}",
        )  # fmt: skip
        ElementTree.SubElement(one, "ANNOTATION_VALUE").text = label
