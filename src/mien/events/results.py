"""A finished analysis read back as one person's coding: its events as bouts, its top label frame by frame."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.events.coding import Bout, read_coding
from mien.events.event import NEUTRAL
from mien.table import read_rows


@dataclass(frozen=True)
class Results:
    """What mien saw of one person.

    Attributes:
        source: as in the table.
        person: name or number of the track, as text.
        labels: of the model.
        bouts: the events.
        times: float64 [T] rising, of the frames with this face, seconds.
        top: int64 [T], index of the top label.
    """

    source: str
    person: str
    labels: tuple[str, ...]
    bouts: tuple[Bout, ...]
    times: np.ndarray
    top: np.ndarray


def open_results(folder: Path, source: str | None, person: str | None, media: Sequence[str] = ()) -> Results:
    """One person of one video from a folder that `mien analyze` has written.

    Args:
        source: path, file name or stem of the video; None where there is one, or `media` names it.
        person: number of the track, or a name; None where there is just one.
        media: names of files that the other coding is about.

    Raises:
        InputError: the folder holds no finished analysis of a video, or what was asked for is not there.
    """
    summary = _summary(folder)
    labels = tuple(summary["labels"])
    if NEUTRAL not in labels:
        raise InputError(f"{folder}: the model has no label {NEUTRAL}, which stands for times without an event")
    name = _source(folder, summary, source, media)
    tracks, names = _tracks(folder, name, labels)
    key = _person(folder, name, tracks, names, person)
    times, top = (np.asarray(part) for part in tracks[key])
    bouts = [b for b in _events(folder / "events.csv") if b.media == name]
    mine = tuple(b for b in bouts if b.tier == key or (b.tier == f"track {key}"))
    order = np.argsort(times, kind="stable")
    return Results(name, key, labels, mine, np.asarray(times[order], np.float64), top[order].astype(np.int64))


def _events(path: Path) -> tuple[Bout, ...]:
    """Bouts of an events.csv; none where it holds only its first line."""
    try:
        lines = len(path.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is damaged (no UTF-8); analyse again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); analyse a video first") from error
    return read_coding(path).bouts if lines > 1 else ()


def _summary(folder: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        summary["labels"], summary["sources"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{folder}: holds no summary.json of `mien analyze`; name its --out folder") from error
    return summary


def _source(folder: Path, summary: dict[str, Any], wanted: str | None, media: Sequence[str]) -> str:
    videos = [str(entry["source"]) for entry in summary["sources"] if "seconds" in entry]
    if not videos:
        raise InputError(f"{folder}: no video was analysed there; events and times need one")
    known = ", ".join(repr(Path(name).name) for name in videos)
    if wanted is not None:
        found = [v for v in videos if wanted in (v, Path(v).name, Path(v).stem)]
        if len(found) != 1:
            raise InputError(f"--source {wanted!r}: {'several' if found else 'none'} of the videos there: {known}")
        return found[0]
    if len(videos) == 1:
        return videos[0]
    named = {Path(name).stem for name in media if name}
    found = [v for v in videos if Path(v).stem in named]
    if len(found) != 1:
        raise InputError(f"{folder}: several videos were analysed there ({known}); say which with --source")
    return found[0]


Tracks = dict[str, tuple["array[float]", "array[int]"]]


def _tracks(folder: Path, source: str, labels: Sequence[str]) -> tuple[Tracks, set[str]]:
    """Times and top labels of each person or unnamed track of a source, and the names."""
    path = next((p for form in ("csv", "jsonl", "parquet") if (p := folder / f"faces.{form}").is_file()), None)
    if path is None:
        raise InputError(f"{folder}: holds no faces.csv; finish the analysis with --resume")
    index = {label: k for k, label in enumerate(labels)}
    tracks: Tracks = {}
    names: set[str] = set()
    try:
        for row in read_rows(path):
            if row["source"] != source or row["time_s"] is None or row["track"] is None:
                continue
            name = row.get("person")
            key = str(name if name else row["track"])
            if name:
                names.add(key)
            times, top = tracks.setdefault(key, (array("d"), array("b")))
            times.append(row["time_s"])
            top.append(index[row["label"]])
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error, OSError) as error:
        raise InputError(f"{path}: is damaged ({type(error).__name__}: {error}); analyse again") from error
    if not tracks:
        raise InputError(f"{folder}: mien saw no face in {Path(source).name}")
    return tracks, names


def _person(folder: Path, source: str, tracks: Tracks, names: set[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted in tracks:
            return wanted
        raise InputError(f"--track {wanted!r}: {Path(source).name} has {_known(tracks, names)}")
    if len(tracks) == 1:
        return next(iter(tracks))
    raise InputError(
        f"{folder}: {len(tracks)} people were followed in {Path(source).name} ({_known(tracks, names)}); say with "
        "--track whom the coder watched"
    )


def _known(tracks: Tracks, names: set[str], most: int = 8) -> str:
    order = sorted(tracks, key=lambda key: -len(tracks[key][0]))
    texts = [f"{key if key in names else f'track {key}'}, {len(tracks[key][0])} frames" for key in order[:most]]
    return "; ".join(texts) + (f"; and {len(order) - most} more" if len(order) > most else "")
