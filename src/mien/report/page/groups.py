"""Groups of files against each other: who belongs where, what is compared, and how sure that is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.metrics.effects import Contrast, contrast

FEW = 10
"""Units in a group below which the report warns: percentile intervals are then too narrow."""
LEAST = 3
"""Units in a group below which no interval is given."""
UNITS = ("file", "person")


@dataclass(frozen=True)
class Member:
    """What a line of the user's file says of a source: its group, and who is shown (None: not said)."""

    group: str
    person: str | None = None


@dataclass
class Groups:
    """Which source is in which group.

    Attributes:
        members: by source, as in the summary.
        names: of the groups, in the order in which the user named them; the first is the reference.
        left: sources in no group.
    """

    members: dict[str, Member]
    names: list[str]
    left: list[str]

    @property
    def has_people(self) -> bool:
        return any(member.person for member in self.members.values())


@dataclass(frozen=True)
class Comparison:
    """One group against the reference.

    Attributes:
        first, second: names.
        results: for each label; None where the groups are too small for an interval.
        means: for each label, of both groups.
        sizes: units of both groups.
        paired: the same people are in both groups.
        notes: what the reader must know.
    """

    first: str
    second: str
    results: list[Contrast | None]
    means: list[tuple[float, float]]
    sizes: tuple[int, int]
    paired: bool
    notes: list[str] = field(default_factory=list)


def read_groups(path: Path, sources: Sequence[str]) -> Groups:
    """Groups from a CSV with the columns `source` (path, file name or stem), `group` and, if wanted, `person`.

    Raises:
        InputError: the file cannot be read, lacks a column, names no source that was analysed, or one of them twice.
    """
    members: dict[str, Member] = {}
    names: list[str] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in ("source", "group") if name not in (reader.fieldnames or ())]
            if missing:
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise InputError(f"{path}: the first line must name the columns source and group, but names {found}")
            for line in reader:
                source, group = (line["source"] or "").strip(), (line["group"] or "").strip()
                if not source or not group:
                    raise InputError(f"{path}, line {reader.line_num}: source or group is empty")
                name = _one(source, sources, f"{path}, line {reader.line_num}")
                member = Member(group, (line.get("person") or "").strip() or None)
                if members.setdefault(name, member) != member:
                    raise InputError(f"{path}, line {reader.line_num}: {source!r} is in {members[name].group!r} above")
                if group not in names:
                    names.append(group)
    except OSError as error:
        raise InputError(f"{path}: the groups cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the groups are no CSV file in UTF-8; save them as one") from error
    return _checked(members, names, sources, str(path))


def _one(wanted: str, sources: Sequence[str], where: str) -> str:
    """The one source that is meant: a whole path goes before a file name, and that before a stem."""
    for form in (str, lambda name: Path(name).name, lambda name: Path(name).stem):
        found = [source for source in sources if form(source) == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"{where}: {wanted!r} may be {found[0]} or {found[1]}; give the path")
    raise InputError(f"{where}: {wanted!r} was not analysed there; the sources stand in summary.json")


def match_groups(patterns: Sequence[str], sources: Sequence[str]) -> Groups:
    """Groups from `PATTERN=name`; the pattern (`*`, `?`, `[...]`) is held against the path and the file name.

    Raises:
        InputError: no `=`, a pattern that matches nothing, or a source in two groups.

    >>> match_groups(["*_calm*=calm", "*_angry*=angry"], ["a/1_calm.mp4", "a/1_angry.mp4"]).names
    ['calm', 'angry']
    """
    members: dict[str, Member] = {}
    names: list[str] = []
    for text in patterns:
        pattern, equals, group = (part.strip() for part in text.rpartition("="))
        # rpartition: a name has no `=`, a pattern may
        if not equals or not pattern or not group:
            raise InputError(f"--compare {text!r}: expected PATTERN=name, such as '*_calm*=calm'")
        found = [s for s in sources if fnmatchcase(s, pattern) or fnmatchcase(Path(s).name, pattern)]
        if not found:
            raise InputError(f"--compare {text!r}: no analysed file matches {pattern!r}")
        for source in found:
            if members.setdefault(source, Member(group)).group != group:
                raise InputError(f"--compare: {source} is in both {members[source].group!r} and {group!r}")
        if group not in names:
            names.append(group)
    return _checked(members, names, sources, "--compare")


def _checked(members: dict[str, Member], names: list[str], sources: Sequence[str], where: str) -> Groups:
    if len(names) < 2:
        raise InputError(f"{where}: a comparison needs two groups, found {', '.join(names) or 'none'}")
    return Groups(members, names, [source for source in sources if source not in members])


@dataclass
class _Units:
    """Mean scores of the units of a group: by unit, each file's or person's own mean, weighted by its faces."""

    sums: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, scores: np.ndarray, faces: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + faces * scores
        self.weights[name] = self.weights.get(name, 0.0) + faces

    def values(self, names: Sequence[str]) -> np.ndarray:
        return np.array([self.sums[name] / self.weights[name] for name in names])


def choose_unit(unit: str | None, groups: Groups, entries: Sequence[dict[str, Any]]) -> str:
    """The unit that the user wants; else people where they are named, else files.

    Raises:
        InputError: there is no such unit.
    """
    if unit is not None and unit not in UNITS:
        raise InputError(f"--unit {unit!r}: expected one of {', '.join(UNITS)}")
    named = groups.has_people or any(entry.get("people") for entry in entries)
    return unit or ("person" if named else "file")


def compare(groups: Groups, entries: Sequence[dict[str, Any]], labels: Sequence[str], unit: str) -> list[Comparison]:
    """Compare the mean scores of each further group with the first one's.

    Args:
        groups: who is where.
        entries: sources of the summary.
        labels: of the model.
        unit: `file` or `person`: what counts as one independent observation.
    """
    units = {name: _Units() for name in groups.names}
    empty = 0
    for entry in entries:
        member = groups.members.get(entry["source"])
        if member is None:
            continue
        empty += not entry["faces"]
        for name, part in _parts(entry, member, unit):
            if part["faces"]:
                scores = np.array([part["mean_score"].get(label, 0.0) for label in labels], np.float64)
                units[member.group].add(name, scores, part["faces"])
    first, *others = groups.names
    count = len(others) * len(labels)
    found = [_against(first, other, units, labels, unit, count) for other in others]
    if empty:
        found[0].notes.insert(0, f"{empty} file{'s' * (empty > 1)} without a face could not be compared.")
    if unit == "person" and not groups.has_people and not any(entry.get("people") for entry in entries):
        found[0].notes.append(
            "Nobody was named: each track counts as a person of its own, although who was away for long has several."
        )
    return found


def _parts(entry: dict[str, Any], member: Member, unit: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and summaries of the units that a source holds."""
    source = entry["source"]
    if unit == "file":
        return [(source, entry)]
    if member.person:
        return [(member.person, entry)]
    named = entry.get("people") or []
    known = {track for person in named for track in person.get("tracks", ())}
    parts = [(str(person["person"]), person) for person in named]
    parts += [(f"{source}#{track['track']}", track) for track in entry["tracks"] if track["track"] not in known]
    return parts or [(source, entry)]  # a picture has no tracks


def _against(
    first: str, second: str, units: dict[str, _Units], labels: Sequence[str], unit: str, count: int
) -> Comparison:
    one, other = sorted(units[first].sums), sorted(units[second].sums)
    both = sorted(set(one) & set(other))
    notes, paired = [], bool(both)
    if paired:
        alone = len(one) + len(other) - 2 * len(both)
        if alone:
            notes.append(f"{alone} seen in one group only are left out: the comparison is within people.")
        one = other = both
    sizes = len(one), len(other)
    if not min(sizes):
        lacking = first if not sizes[0] else second
        raise InputError(f"the group {lacking!r} holds no face to compare; see the groups' names and patterns")
    a, b = units[first].values(one), units[second].values(other)
    means = [(float(a[:, k].mean()), float(b[:, k].mean())) for k in range(len(labels))]
    if min(sizes) < LEAST:
        notes.append(f"With fewer than {LEAST} {_plural(unit)} in a group no interval can be given.")
        return Comparison(first, second, [None] * len(labels), means, sizes, paired, notes)
    if min(sizes) < FEW:
        notes.append(
            f"Fewer than {FEW} {_plural(unit)} in a group: bootstrap intervals are then too narrow, and a single "
            f"{unit} may decide the figure."
        )
    results: list[Contrast | None] = [
        contrast(a[:, k], b[:, k], paired=paired, comparisons=count) for k in range(len(labels))
    ]
    return Comparison(first, second, results, means, sizes, paired, notes)


def _plural(unit: str) -> str:
    return {"person": "people"}.get(unit, f"{unit}s")
