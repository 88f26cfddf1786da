"""Who is who: the user's names for tracks; two tracks with one name are one person."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import InputError

MOST_DIGITS = 12
COLUMN = "person"
"""Column that names add beside `track`, in the table and in events.csv."""


@dataclass(frozen=True)
class People:
    """Names of tracks.

    Attributes:
        names: (source, track) -> name; the source as in the table, or its file name, or empty for any.
        path: the file they came from, for messages.

    >>> People({("", 1): "Ann", ("b.mp4", 1): "Bob"}).name("x/b.mp4", 1)
    'Bob'
    """

    names: Mapping[tuple[str, int], str]
    path: Path = Path("people")
    _met: dict[tuple[str, int | None], str | None] = field(default_factory=dict, compare=False, repr=False)

    def name(self, source: str, track: int | None) -> str | None:
        """The name of a track; the line of its own source goes before one for any."""
        key = (source, track)
        if key not in self._met:
            self._met[key] = None
            if track is not None:
                places = (source, Path(source).name, "")
                found = (self.names[place, track] for place in places if (place, track) in self.names)
                self._met[key] = next(found, None)
        return self._met[key]

    def unused(self, seen: Iterable[tuple[str, int]]) -> list[str]:
        """What names a track that was not seen, in words, such as `track 7 of b.mp4`."""
        tracks = {(place, track) for source, track in seen for place in (source, Path(source).name, "")}
        left = [key for key in self.names if key not in tracks]
        return [f"track {track}{f' of {source}' if source else ''}" for source, track in left]


def read_people(path: str | Path) -> People:
    """Names from a CSV with the columns `track` and `person`, and, if there are several videos, `source`.

    Raises:
        InputError: the file cannot be read, lacks a column, has a track that is no number, no name, or two for one.
    """
    path = Path(path)
    names: dict[tuple[str, int], str] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in ("track", COLUMN) if name not in (reader.fieldnames or ())]
            if missing:
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise InputError(f"{path}: the first line must name the columns track and person, but names {found}")
            for row in reader:
                key, name = _line(path, reader.line_num, row)
                if names.setdefault(key, name) != name:
                    raise InputError(f"{path}, line {reader.line_num}: track {key[1]} is {names[key]!r} above already")
    except OSError as error:
        raise InputError(f"{path}: the names cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the names are no CSV file in UTF-8; save them as one") from error
    if not names:
        raise InputError(f"{path}: names nobody below its first line")
    return People(names, path)


def _line(path: Path, number: int, row: dict[str, Any]) -> tuple[tuple[str, int], str]:
    track = (row["track"] or "").strip().lstrip("#")
    name = (row[COLUMN] or "").strip()
    if not track.isdecimal() or len(track) > MOST_DIGITS:
        raise InputError(f"{path}, line {number}: track is {track!r}; expected a whole number, such as 0")
    if not name or name.isdecimal():
        raise InputError(f"{path}, line {number}: person is {name!r}; expected a name, which is no number")
    return ((row.get("source") or "").strip(), int(track)), name
