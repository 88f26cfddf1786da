"""Stimulus markers: what was shown when, drawn on the timeline and joined to the events."""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.events.event import Event

COLUMNS = ("marker", "since_marker_s")
"""Columns that markers add at the end of events.csv."""


@dataclass(frozen=True)
class Marker:
    """Something that happened at a time of the video, seconds."""

    time_s: float
    label: str


def read_markers(path: str | Path, offset_s: float = 0.0) -> list[Marker]:
    """Markers from a CSV file with the columns `time_s` and `label`; other columns are passed over.

    Args:
        offset_s: added to each time: the video's clock minus the markers' clock, seconds.

    Returns:
        The markers by time.

    Raises:
        InputError: the file cannot be read, lacks a column, has a time that is no number, or holds no marker.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in ("time_s", "label") if name not in (reader.fieldnames or ())]
            if missing:
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise InputError(f"{path}: the first line must name the columns time_s and label, but names {found}")
            markers = [_marker(path, reader.line_num, row, offset_s) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: the markers cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the markers are no CSV file in UTF-8; save them as one") from error
    if not markers:
        raise InputError(f"{path}: holds no marker below its first line")
    return sorted(markers, key=lambda marker: marker.time_s)


def _marker(path: str | Path, line: int, row: dict[str, Any], offset_s: float) -> Marker:
    text = row["time_s"] or ""
    try:
        time_s = float(text)
    except ValueError:
        time_s = math.nan
    if not math.isfinite(time_s):
        raise InputError(f"{path}, line {line}: time_s is {text!r}; expected seconds, such as 12.5")
    return Marker(round(time_s + offset_s, 6), (row["label"] or "").strip())


def joined(events: Sequence[Event], markers: Sequence[Marker]) -> list[dict[str, Any]]:
    """Rows of events.csv with the last marker at or before each onset, and the time since; None before the first."""
    times = [marker.time_s for marker in markers]
    rows = []
    for event in events:
        before = bisect_right(times, event.onset_s) - 1
        label = markers[before].label if before >= 0 else None
        since = round(event.onset_s - times[before], 6) if before >= 0 else None
        rows.append({**asdict(event), "marker": label, "since_marker_s": since})
    return rows
