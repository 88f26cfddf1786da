"""BORIS: its projects (.boris), its aggregated events and its plain ("tabular") events.

Friard and Gamba, "BORIS: a free, versatile open-source event-logging software for video/audio coding and live
observations", Methods in Ecology and Evolution 2016.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.events.coding import Bout, Line

NO_SUBJECT = "No focal subject"


def is_aggregated(names: Sequence[str]) -> bool:
    """These columns are those of aggregated events."""
    return {"Behavior", "Start (s)", "Stop (s)"} <= set(names)


def is_tabular(names: Sequence[str]) -> bool:
    """These columns are those of plain events, START and STOP on lines of their own."""
    return {"Behavior", "Time"} <= set(names) and bool({"Status", "Behavior type"} & set(names))


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def aggregated(row: Line) -> Bout:
    """One line of aggregated events."""
    onset = row.seconds("Start (s)")
    point = row.text("Behavior type").upper().startswith("POINT") or row.text("Stop (s)") in ("", "NA")
    offset = onset if point else max(onset, row.seconds("Stop (s)"))
    tier = row.text("Subject").replace(NO_SUBJECT, "")
    media = _name(row.text("Media file name", "Media file", "Source"))
    return Bout(_behaviour(row), onset, offset, None, tier, media, row.text("Observation id"))


def _behaviour(row: Line) -> str:
    label = row.text("Behavior")
    if not label:
        raise InputError(f"{row.path}, line {row.number}: has no behavior")
    return label


def tabular(rows: Iterable[Line], above: Sequence[Sequence[str]]) -> tuple[list[Bout], list[str]]:
    """Plain events; `above` are the lines over the names of the columns, where older versions name the observation."""
    facts = {line[0]: line[1] for line in above if len(line) > 1 and line[0]}
    pairs = Pairs()
    for row in rows:
        tier = row.text("Subject").replace(NO_SUBJECT, "")
        media = _name(row.text("Media file name", "Media file path", "Media file") or facts.get("Player #1", ""))
        key = (_behaviour(row), tier, media, row.text("Observation id") or facts.get("Observation id", ""))
        pairs.add(key, row.seconds("Time"), row.text("Status", "Behavior type").upper())
    return pairs.close()


class Pairs:
    """Puts START and STOP together; an event without its other half is left out, and said."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, ...], float] = {}
        self._bouts: list[Bout] = []
        self._odd: list[str] = []

    def add(self, key: tuple[str, str, str, str], time_s: float, status: str) -> None:
        """Take an event: behaviour, subject, medium, observation; its time; START, STOP, POINT, or empty to toggle."""
        label, tier, media, observation = key
        if status == "POINT":
            self._bouts.append(Bout(label, time_s, time_s, None, tier, media, observation))
        elif key in self._open and status != "START":
            onset = self._open.pop(key)
            self._bouts.append(Bout(label, onset, max(onset, time_s), None, tier, media, observation))
        elif status == "STOP":
            self._odd.append(f"{label} stops at {time_s:g} s without a start")
        else:
            if key in self._open:
                self._odd.append(f"{label} starts at {self._open[key]:g} s and again at {time_s:g} s")
            self._open[key] = time_s

    def close(self) -> tuple[list[Bout], list[str]]:
        """The bouts, and what was left out."""
        self._odd += [f"{key[0]} starts at {time_s:g} s and never stops" for key, time_s in self._open.items()]
        more = f", and {len(self._odd) - 3} more" if len(self._odd) > 3 else ""
        return self._bouts, [f"left out: {'; '.join(self._odd[:3])}{more}"] if self._odd else []


def boris_project(path: Path, data: bytes) -> tuple[list[Bout], list[str]]:
    """All observations of a .boris project; state events toggle, modifiers do not tell bouts apart.

    Raises:
        InputError: the file is no such project, or an event has no time.
    """
    try:
        project = json.loads(data)
        ethogram = project["behaviors_conf"].values()
        points = {str(b["code"]) for b in ethogram if str(b.get("type", "")).lower().startswith("point")}
        observations = dict(project["observations"])
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no BORIS project: it lacks behaviors_conf or observations") from error
    pairs, offsets = Pairs(), []
    for name, observation in observations.items():
        try:
            media = _first_file(observation.get("file"))
            offsets += [float(observation.get("time offset") or 0)]
            events = [(_seconds(e[0]), str(e[1]), str(e[2])) for e in observation["events"]]
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise InputError(f"{path}: the observation {name!r} cannot be read; save the project again") from error
        for time_s, subject, code in sorted(events, key=lambda event: event[0]):
            tier = subject.replace(NO_SUBJECT, "")
            pairs.add((code, tier, media, str(name)), round(time_s, 6), "POINT" if code in points else "")
    bouts, notes = pairs.close()
    if any(offsets):
        notes.append("the project has time offsets, which are not added; if the bars look shifted, give --clock-offset")
    return bouts, notes


def _seconds(value: Any) -> float:
    time_s = float(value)
    if not math.isfinite(time_s):
        raise ValueError(value)
    return time_s


def _first_file(players: Any) -> str:
    """The first medium of the first player that has one."""
    lists = players.values() if isinstance(players, dict) else [players or []]
    return next((_name(str(files[0])) for files in lists if files), "")
