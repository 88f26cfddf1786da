"""What driver and workers know of each other, in the folder of results: parts, notes of what is whole, tries.

    faces/part-<id>.parquet, events/part-<id>.parquet    rows of the sources of a unit, always whole
    .cluster/job.json                                    options and token of the run
    .cluster/done/<id>.json                              a unit is whole: its sources, summary entries and problems
    .cluster/tries/<unit>.json                           which source a worker is at, and how often one died of which
    .cluster/chunks/<id>/<number>.jsonl, .json           rows and note of a stretch, until all are there
    .cluster/scratch/                                    half-written things

All is written under another name and moved into place, so that a task that runs again, or twice at the same time,
overwrites and never doubles.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.pipeline.sources import Problem
from mien.pipeline.writers import write_whole

FACES, EVENTS, HOME = "faces", "events", ".cluster"


@dataclass
class Note:
    """What a unit gave.

    Attributes:
        sources: names of those that it has dealt with.
        entries: of summary.json.
        given_up: names of those that workers died of or hung at; a resumed run tries them again.
    """

    unit: str
    sources: list[str]
    frames: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)


class Ledger:
    """The files of one run.

    Args:
        folder: of the results, seen by driver and workers alike.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / HOME

    def part(self, id: str) -> Path:
        """Rows of a unit."""
        return self.folder / FACES / f"part-{id}.parquet"

    def events(self, id: str) -> Path:
        """Events of a unit's video."""
        return self.folder / EVENTS / f"part-{id}.parquet"

    def chunks(self, id: str) -> Path:
        """Folder of a video's stretches."""
        return self.home / "chunks" / id

    def begin(self, token: str, identity: dict[str, Any], *, resume: bool) -> None:
        """Make the folders; without `resume` remove what an earlier run left.

        Raises:
            InputError: the folder cannot be written to, or `resume` finds a run with other options.
        """
        old = self._job().get("identity") if resume else None
        if old is not None and old != json.loads(json.dumps(identity)):
            raise InputError(
                f"{self.folder}: the run there had other options ({old}); give the same ones, or another --out"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if old is None:
                shutil.rmtree(self.home, ignore_errors=True)
                for kind in (FACES, EVENTS):
                    for part in (self.folder / kind).glob("part-*.parquet"):
                        part.unlink()
            for name in ("tries", "scratch"):
                shutil.rmtree(self.home / name, ignore_errors=True)  # of workers that are gone
            for place in (self.home / "tries", self.home / "done", self.home / "scratch", self.folder / FACES):
                place.mkdir(parents=True, exist_ok=True)
            write_whole(self.home / "job.json", json.dumps({"token": token, "identity": identity}))
        except OSError as error:
            raise InputError(f"{self.folder}: results cannot be written there ({error.strerror})") from error

    def token(self) -> str:
        """Of the run that is going on in the folder; empty where there is none to be seen."""
        return str(self._job().get("token", ""))

    def _job(self) -> dict[str, Any]:
        return _read(self.home / "job.json") or {}

    def note(self, id: str) -> Note | None:
        """What a unit gave, if it is whole."""
        facts = _read(self.home / "done" / f"{id}.json")
        if facts is None:
            return None
        note = Note(**{**facts, "problems": [Problem(**problem) for problem in facts["problems"]]})
        gone = set(note.sources) - set(note.given_up) and not self.part(id).is_file()
        return None if gone else note

    def write_note(self, note: Note) -> None:
        """A unit is whole."""
        _write(self.home / "done" / f"{note.unit}.json", asdict(note))

    def notes(self) -> list[Note]:
        """All units that are whole."""
        found = (self.note(path.stem) for path in sorted((self.home / "done").glob("*.json")))
        return [note for note in found if note is not None]

    def forgive(self) -> None:
        """Forget which sources were given up, so that they are tried again."""
        for note in self.notes():
            if note.given_up:
                bad = set(note.given_up)
                note.sources = [name for name in note.sources if name not in bad]
                note.problems = [problem for problem in note.problems if problem.source not in bad]
                note.given_up = []
                self.write_note(note)
                shutil.rmtree(self.chunks(note.unit), ignore_errors=True)
                if not note.sources:
                    (self.home / "done" / f"{note.unit}.json").unlink()

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A new folder on the same disk as the results, removed afterwards."""
        place = self.home / "scratch" / f"{name}-{uuid.uuid4().hex}"
        place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def clear(self) -> None:
        """All is whole: keep only what a later `--resume` with more sources needs."""
        for name in ("tries", "scratch", "chunks"):
            shutil.rmtree(self.home / name, ignore_errors=True)

    def chunk_note(self, id: str, number: int) -> dict[str, Any] | None:
        """What a stretch gave, if it is whole."""
        return _read(self.chunks(id) / f"{number}.json")

    def write_chunk(self, id: str, number: int, rows: Path, facts: dict[str, Any]) -> None:
        """A stretch is whole."""
        self.chunks(id).mkdir(parents=True, exist_ok=True)
        os.replace(rows, self.chunks(id) / f"{number}.jsonl")
        _write(self.chunks(id) / f"{number}.json", facts)


class Tries:
    """How often a worker has died of which source of a unit: written before each source, read by whoever comes next.

    Attributes:
        deaths: source -> times.
        hung: sources that were given no frame for the whole time limit.
    """

    def __init__(self, ledger: Ledger, unit: str) -> None:
        self._path = ledger.home / "tries" / f"{unit}.json"
        self.trace = self._path.with_suffix(".trace")
        facts = _read(self._path) or {}
        self.deaths: dict[str, int] = facts.get("deaths", {})
        self.hung: list[str] = facts.get("hung", [])
        if (name := facts.get("at")) is not None:
            self.deaths[name] = self.deaths.get(name, 0) + 1
            if _timed_out(self.trace):
                self.hung.append(name)
        self.at(None)

    def at(self, name: str | None) -> None:
        """Which source this worker is at now."""
        _write(self._path, {"at": name, "pid": os.getpid(), "deaths": self.deaths, "hung": self.hung})

    def over(self) -> None:
        """The unit is whole."""
        for path in (self._path, self.trace):
            with suppress(OSError):
                path.unlink()


def _timed_out(trace: Path) -> bool:
    """Whether the watchdog (`faulthandler`) ended the worker."""
    try:
        return trace.read_text(encoding="utf-8", errors="replace").startswith("Timeout (")
    except OSError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts


def _write(path: Path, facts: dict[str, Any]) -> None:
    """As `write_whole`, and safe where two processes write the same file."""
    scratch = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    scratch.write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    os.replace(scratch, path)
