"""What a human coder saw: bouts of expressions from ELAN, BORIS or a CSV file, read with the standard library alone.

Files come from others: XML entities are refused, sizes limited, and every fault is one sentence.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mien.errors import InputError
from mien.events.cells import unguarded

MOST_BYTES = 16 * 2**20
KINDS = (
    "an ELAN file (.eaf, or tab-delimited text with column headers), a BORIS project (.boris) or its exported events"
)
ELAN_TIMES = (("msec", 1e-3), ("ss.msec", 1.0), ("hh:mm:ss.ms", None))


@dataclass(frozen=True)
class Bout:
    """One stretch in which a coder, or mien, saw one expression.

    Attributes:
        label: as the coder called it.
        onset_s, offset_s: seconds; equal for something that was coded as a point.
        apex_s: seconds; None where it was not coded.
        tier: ELAN's tier, BORIS's subject, mien's person or track; empty where there is none.
        media: name of the coded file, without folders; empty where the coding does not say.
        observation: of BORIS; empty elsewhere.
    """

    label: str
    onset_s: float
    offset_s: float
    apex_s: float | None = None
    tier: str = ""
    media: str = ""
    observation: str = ""

    @property
    def is_point(self) -> bool:
        """Coded as a point in time."""
        return self.offset_s <= self.onset_s

    @property
    def peak_s(self) -> float | None:
        """The apex; of a point, the point."""
        return self.onset_s if self.is_point else self.apex_s


@dataclass(frozen=True)
class Coding:
    """A file of human coding.

    Attributes:
        path: the file.
        kind: `ELAN`, `BORIS` or `CSV`.
        bouts: by onset.
        notes: what the reader should know of the file.
    """

    path: Path
    kind: str
    bouts: tuple[Bout, ...]
    notes: tuple[str, ...] = field(default=())

    def names(self, what: str) -> list[str]:
        """The different `tier`s, `media`, `observation`s or `label`s, in order of the first."""
        return list(dict.fromkeys(getattr(bout, what) for bout in self.bouts))

    def shifted(self, seconds: float) -> Coding:
        """The same with `seconds` added to every time: the video's clock minus the coder's."""
        moved = [
            replace(
                b,
                onset_s=round(b.onset_s + seconds, 6),
                offset_s=round(b.offset_s + seconds, 6),
                apex_s=None if b.apex_s is None else round(b.apex_s + seconds, 6),
            )
            for b in self.bouts
        ]
        return replace(self, bouts=tuple(moved))

    def of_tiers(self, tiers: Sequence[str]) -> Coding:
        """Only the bouts of some tiers (or subjects); all where none is named.

        Raises:
            InputError: there is no such tier.
        """
        for tier in tiers:
            if tier not in self.names("tier"):
                there = ", ".join(repr(name) for name in self.names("tier"))
                raise InputError(f"{self.path}: has no tier {tier!r}; there are: {there}")
        return replace(self, bouts=tuple(b for b in self.bouts if not tiers or b.tier in tiers))

    def of_media(self, name: str) -> Coding:
        """Only the bouts of one medium, where the file tells several apart; `name` is a path or file name.

        Raises:
            InputError: the file has several media, none of which is this one.
        """
        key = "observation" if len(self.names("media")) < 2 else "media"
        there = self.names(key)
        if len(there) < 2:
            return self
        wanted = [one for one in there if Path(one).name == Path(name).name or Path(one).stem == Path(name).stem]
        if not wanted:
            known = ", ".join(repr(one) for one in there)
            raise InputError(f"{self.path}: holds several recordings ({known}); say which with --source")
        return replace(self, bouts=tuple(b for b in self.bouts if getattr(b, key) == wanted[0]))

    def renamed(self, names: Mapping[str, str], known: Sequence[str] = ()) -> Coding:
        """Labels replaced by `names`; a label whose new name is empty is left out.

        Args:
            names: coder's label -> label; others are looked up in `known`, whatever their case.
            known: the labels that there may be; empty for any.

        Raises:
            InputError: a label is neither in `names` nor in `known`.
        """
        lower = {label.lower(): label for label in known}
        unknown = [label for label in self.names("label") if label not in names and label.lower() not in lower]
        if known and unknown:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise InputError(
                f"{self.path}: the label {unknown[0]!r}{more} is none of {', '.join(known)}; give --map "
                f"'{unknown[0]}=LABEL', or --map '{unknown[0]}=' to leave it out"
            )
        for label in names.values():
            if known and label and label not in known:
                raise InputError(f"--map names {label!r}, which is none of {', '.join(known)}")
        bouts = [replace(b, label=names.get(b.label, lower.get(b.label.lower(), b.label))) for b in self.bouts]
        return replace(self, bouts=tuple(b for b in bouts if b.label))


def read_coding(path: str | Path) -> Coding:
    """Read a file of human coding: ELAN, BORIS, or a CSV with `onset_s,offset_s,label` such as mien's events.csv.

    Raises:
        InputError: the file cannot be read, is of another kind, or holds no bout.
    """
    from mien.events.boris import boris_project
    from mien.events.eaf import read_eaf

    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: is larger than {MOST_BYTES >> 20} MiB, too large for a coder's file")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: the coding cannot be read ({error.strerror})") from error
    head = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    notes: list[str] = []
    if head == b"<":
        bouts, _, notes = read_eaf(path, data)
        kind = "ELAN"
    elif head == b"{":
        bouts, notes = boris_project(path, data)
        kind = "BORIS"
    else:
        bouts, kind, notes = _read_table(path, data)
    if not bouts:
        raise InputError(f"{path}: holds no coded bout")
    return Coding(path, kind, tuple(sorted(bouts, key=lambda b: (b.onset_s, b.offset_s))), tuple(notes))


def _read_table(path: Path, data: bytes) -> tuple[list[Bout], str, list[str]]:
    from mien.events.boris import aggregated, is_aggregated, is_tabular, tabular
    from mien.events.eaf import with_apexes

    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        first = max(text.splitlines()[:40], key=lambda line: max(map(line.count, "\t,;")), default="")
        mark = max("\t,;", key=first.count)
        lines = list(csv.reader(io.StringIO(text), delimiter=mark))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is neither XML, JSON nor a table in UTF-8; expected {KINDS}") from error
    for place, names in enumerate(lines[:200]):
        named = [name.strip() for name in names]
        rows = (Line(path, place + 2 + i, named, values) for i, values in enumerate(lines[place + 1 :]) if any(values))
        if {"onset_s", "offset_s", "label"} <= set(named):
            return [_own(row) for row in rows], "CSV", []
        if is_aggregated(named):
            return [aggregated(row) for row in rows], "BORIS", []
        if is_tabular(named):
            bouts, notes = tabular(rows, lines[:place])
            return bouts, "BORIS", notes
        if any(name.startswith("Begin Time - ") for name in named):
            return with_apexes([bout for row in rows for bout in _elan(row, named)]), "ELAN", []
    raise InputError(f"{path}: no line names columns that are known here; expected {KINDS}, or onset_s,offset_s,label")


@dataclass(frozen=True)
class Line:
    """One line of a table, with its number, for what must be said of it."""

    path: Path
    number: int
    names: Sequence[str]
    values: Sequence[str]

    def text(self, *names: str) -> str:
        """The first of some columns that is there and not empty."""
        for name in names:
            if name in self.names and (place := self.names.index(name)) < len(self.values):
                value = unguarded(self.values[place].strip())
                if value:
                    return value
        return ""

    def seconds(self, *names: str, factor: float | None = 1.0) -> float:
        """A time in one of some columns; `factor` None for hh:mm:ss.

        Raises:
            InputError: it is no time.
        """
        text = self.text(*names)
        try:
            if factor is None:
                hours, minutes, rest = text.split(":")
                value = int(hours) * 3600 + int(minutes) * 60 + float(rest)
            else:
                value = float(text.replace(",", ".")) * factor
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{self.path}, line {self.number}: {names[0]} is {text!r}; expected a time, such as 12.5")
        return round(value, 6)


def _own(row: Line) -> Bout:
    onset, offset = row.seconds("onset_s"), row.seconds("offset_s")
    apex = row.seconds("apex_s") if row.text("apex_s") else None
    if offset < onset:
        raise InputError(f"{row.path}, line {row.number}: the offset, {offset:g} s, lies before the onset, {onset:g} s")
    tier = row.text("tier", "person") or (f"track {row.text('track')}" if row.text("track") else "")
    label = row.text("label")
    if not label:
        raise InputError(f"{row.path}, line {row.number}: has no label")
    return Bout(label, onset, offset, apex, tier, row.text("source", "media"))


def _elan(row: Line, names: Sequence[str]) -> Iterable[Bout]:
    """ELAN's tab-delimited export: one annotation to a line, or one column for each tier."""
    unit, factor = next(((u, f) for u, f in ELAN_TIMES if f"Begin Time - {u}" in names), ("", 1.0))
    if not unit or f"End Time - {unit}" not in names:
        raise InputError(
            f"{row.path}: needs begin and end times as {' or '.join(u for u, _ in ELAN_TIMES)}; tick them in the export"
        )
    onset = row.seconds(f"Begin Time - {unit}", factor=factor)
    offset = max(onset, row.seconds(f"End Time - {unit}", factor=factor))
    media = row.text("File Name", "File Path").replace("\\", "/").rpartition("/")[2]
    if "Annotation" in names or "Tier" in names:
        tier = row.text("Tier")
        value = row.text("Annotation", "Annotations") or tier
        return [Bout(value, onset, offset, None, tier, media)] if value else []
    own = ("Begin Time", "End Time", "Duration", "File ", "Participant", "Annotator")
    tiers = [name for name in names if name and not name.startswith(own)]
    return [Bout(row.text(tier), onset, offset, None, tier, media) for tier in tiers if row.text(tier)]
