"""A worker: does whole units, one after another, and leaves parts and notes in the folder of results."""

from __future__ import annotations

import faulthandler
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from mien import __version__
from mien.analysis import Done, Run
from mien.engines.chunks import chunk_frames, cut, join
from mien.engines.ledger import Ledger, Note, Tries
from mien.engines.units import CHUNK, PLAN, Chunk, Unit, unit_of
from mien.errors import MienError, require
from mien.events.event import Event
from mien.events.second_pass import Timing
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import Problem, Source
from mien.table import Row, json_line, read_rows, rows_of

TRIES = 3
"""A source of which so many workers have died is given up."""
EVENT_TYPES = {
    "source": "string", "track": "int64", "label": "string", "onset_s": "float64", "apex_s": "float64",
    "offset_s": "float64", "onset_frame": "int64", "apex_frame": "int64", "offset_frame": "int64", "peak": "float64",
    "duration_s": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What all workers of a run must know.

    Attributes:
        out: folder of results, absolute.
        base: folder that relative names of sources start from.
        token: of the run, to see that `out` is the same folder here and there.
        timeout_s: a source that gives no frame for so long is given up, seconds.
        chunk_s: videos are cut into stretches of about so many seconds; 0 cuts none.
    """

    out: str
    base: str
    token: str
    options: Options = field(default_factory=Options)
    timing: Timing = field(default_factory=Timing)
    timeout_s: float = 300.0
    chunk_s: float = 0.0
    version: str = __version__


@dataclass(frozen=True)
class Result:
    """What a worker tells of a unit.

    Attributes:
        files: sources that are over with it.
        frames: how many it analysed just now.
        chunks: of a plan: where the video is to be cut; none: do it whole.
        fatal: why no worker can go on, in one sentence; else empty.
    """

    files: int = 0
    frames: int = 0
    chunks: tuple[Chunk, ...] = ()
    fatal: str = ""

    def to_json(self) -> str:
        """As text, for carriers that know tables only."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Result:
        """What `to_json` gave."""
        facts = json.loads(text)
        return cls(**{**facts, "chunks": tuple(Chunk(**chunk) for chunk in facts["chunks"])})


class Worker:
    """Holds the networks and does units.

    A source that crashes the process or hangs it past the time limit takes the worker with it; whoever does the unit
    again reads in `Tries` what happened, and gives the source up after `TRIES` deaths, or once it hung.
    """

    def __init__(self, job: Job) -> None:
        self.job, self._ledger = job, Ledger(Path(job.out))
        self._flow: Flow | None = None

    def do(self, unit: Unit) -> Result:
        """Do a unit, or nothing if it is whole already; what cannot be analysed becomes a problem in its note."""
        if trouble := self._trouble():
            return Result(fatal=trouble)
        tries = Tries(self._ledger, unit.name)
        try:
            if unit.kind == PLAN:
                result = self._plan(unit, tries)
            elif unit.kind == CHUNK:
                result = self._chunk(unit, tries)
            else:
                result = self._files(unit, tries)
        except OSError as error:
            return Result(fatal=f"{self.job.out}: results cannot be written there ({error.strerror})")
        except MienError as error:
            return Result(fatal=str(error))
        except Exception as error:
            # a fault of ours: Ray would print it from every worker
            return Result(fatal=f"{unit.sources[0].name}: {type(error).__name__}: {error}; please report this")
        tries.over()
        return result

    def _trouble(self) -> str:
        """Why this machine cannot take part."""
        if self.job.version != __version__:
            return f"{platform.node()} has mien {__version__}, but the run was started by {self.job.version}"
        if self._ledger.token() != self.job.token:
            return f"{platform.node()} does not see {self.job.out}; --out must be a folder that all machines share"
        try:
            os.chdir(self.job.base)
        except OSError:
            return f"{platform.node()} does not see {self.job.base}, where the names of the sources start"
        return ""

    @property
    def flow(self) -> Flow:
        """Networks, loaded with the first unit."""
        if self._flow is None:
            self._flow = Flow(self.job.options)
        return self._flow

    def _plan(self, unit: Unit, tries: Tries) -> Result:
        (source,) = unit.sources
        if _given_up(tries, source.name, self.job.timeout_s):
            return Result()  # the unit of the whole file says so
        with self._watched(tries) as watch, watch.over(source):
            return Result(chunks=tuple(cut(source.name, self.job.chunk_s)))

    def _files(self, unit: Unit, tries: Tries) -> Result:
        if self._ledger.note(unit.id) is not None:
            return Result(len(unit.sources))
        bad = [p for s in unit.sources if (p := _given_up(tries, s.name, self.job.timeout_s))]
        lost = {problem.source for problem in bad}
        with self._ledger.scratch(unit.name) as place, self._watched(tries) as watch:
            run = Run(self.flow, place, "parquet", watch=watch.frame, timing=self.job.timing, around=watch.over)
            if names := [source.name for source in unit.sources if source.name not in lost]:
                run.analyze(names)
            run.problems += bad
            return self._keep(unit, run, sorted(lost))

    def _keep(self, unit: Unit, run: Run, given_up: list[str]) -> Result:
        """Move what a run has written into the results, and then say that the unit is whole."""
        frames = sum(state.frames for state in run.state.values())
        note = Note(unit.id, [source.name for source in unit.sources], frames)
        note.problems, note.given_up = run.problems, given_up
        part, events = self._ledger.part(unit.id), self._ledger.events(unit.id)
        if run.sources:
            note.entries = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))["sources"]
            if any(source.kind != "picture" for source in run.sources):
                events.parent.mkdir(exist_ok=True)
                os.replace(write_events(run.events, run.folder / "events.parquet"), events)
            os.replace(run.rows_path, part)
        else:
            part.unlink(missing_ok=True)
            events.unlink(missing_ok=True)
        self._ledger.write_note(note)
        return Result(len(unit.sources), frames)

    def _chunk(self, unit: Unit, tries: Tries) -> Result:
        """Do a stretch; whoever does the last one joins them all."""
        assert unit.chunk is not None
        (source,), chunk, frames = unit.sources, unit.chunk, 0
        if self._ledger.note(unit.id) is not None:
            return Result()
        if self._ledger.chunk_note(unit.id, chunk.number) is None:
            problem = _given_up(tries, source.name, self.job.timeout_s)
            frames = self._stretch(unit.id, source, chunk, tries, problem)
        facts = [self._ledger.chunk_note(unit.id, number) for number in range(chunk.of)]
        whole = [fact for fact in facts if fact is not None]
        if len(whole) < chunk.of:
            return Result(frames=frames)
        files = self._join(unit_of([source]), whole).files
        return Result(files, frames)

    def _stretch(self, id: str, source: Source, chunk: Chunk, tries: Tries, problem: Problem | None) -> int:
        """Rows of a stretch; returns the number of frames that count."""
        options, seen, last_s, error = self.job.options, 0, None, problem.reason if problem else None
        with self._ledger.scratch(f"{id}-{chunk.number}") as place:
            path = place / "rows.jsonl"
            with open(path, "w", encoding="utf-8") as file, self._watched(tries) as watch, watch.over(source):
                pictures = chunk_frames(source, chunk, every=options.every, threads=options.threads)
                try:
                    for result in self.flow.run(pictures, self.flow.tracker()) if problem is None else ():
                        watch.frame(source, result)
                        file.writelines(json_line(row, tuple(row)) for row in rows_of(result))
                        if result.frame.index >= chunk.begin:
                            seen, last_s = seen + 1, result.time_s
                except MienError as failure:
                    error = str(failure).removeprefix(f"{source.name}: ")
                except OSError:
                    raise  # the results cannot be written
                except Exception as failure:
                    error = f"could not be analysed ({type(failure).__name__}: {failure}); please report this"
            facts = {"chunk": asdict(chunk), "frames": seen, "seconds": last_s, "error": error}
            self._ledger.write_chunk(id, chunk.number, path, {**facts, "given_up": problem is not None})
        return seen

    def _join(self, unit: Unit, facts: Sequence[dict[str, Any]]) -> Result:
        (source,) = unit.sources
        chunks = [Chunk(**fact["chunk"]) for fact in facts]
        errors = [fact["error"] for fact in facts if fact["error"]]
        times = [fact["seconds"] for fact in facts if fact["seconds"] is not None]
        done = Done(sum(fact["frames"] for fact in facts), chunks[-1].end, times[-1] if times else None, True)
        done.error = "; ".join(errors) or None

        def rows_of_chunk(chunk: Chunk) -> Iterator[Row]:
            return read_rows(self._ledger.chunks(unit.id) / f"{chunk.number}.jsonl")

        with self._ledger.scratch(unit.name) as place:
            run = Run(self.flow, place, "parquet", timing=self.job.timing)
            run.take_over(source, join(chunks, rows_of_chunk), done)
            run.analyze([source.name], resume=True)
            return self._keep(unit, run, [source.name] if any(fact["given_up"] for fact in facts) else [])

    @contextmanager
    def _watched(self, tries: Tries) -> Iterator[_Watch]:
        with open(tries.trace, "w", encoding="utf-8") as file:
            yield _Watch(tries, file, self.job.timeout_s)


class _Watch:
    """Ends this process when a source hangs, also where C code holds the interpreter: faulthandler's own thread."""

    def __init__(self, tries: Tries, file: TextIO, timeout_s: float) -> None:
        self._tries, self._file, self._timeout_s, self._seen = tries, file, timeout_s, 0.0

    @contextmanager
    def over(self, source: Source) -> Iterator[None]:
        """While a source is read."""
        self._tries.at(source.name)
        self._wind()
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
        self._tries.at(None)

    def frame(self, source: Source, result: object) -> None:
        """A sign of life."""
        del source, result
        if time.monotonic() - self._seen > min(1.0, self._timeout_s / 4):
            self._wind()

    def _wind(self) -> None:
        self._seen = time.monotonic()
        faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=self._file)


def _given_up(tries: Tries, name: str, timeout_s: float) -> Problem | None:
    """Why a source is not tried any more."""
    if name in tries.hung:
        return Problem(name, f"given up: no frame for {timeout_s:g} s, the decoder hangs; save the file anew as MP4")
    deaths = tries.deaths.get(name, 0)
    if deaths >= TRIES:
        return Problem(name, f"given up: {deaths} workers died of it; save the file anew as MP4 or JPEG")
    return None


def write_events(events: Sequence[Event], path: Path) -> Path:
    """A table with the columns of events.csv."""
    arrow, parquet = require("pyarrow", "table"), require("pyarrow.parquet", "table")
    schema = arrow.schema([(name, getattr(arrow, kind)()) for name, kind in EVENT_TYPES.items()])
    rows = [asdict(event) for event in events]
    parquet.write_table(arrow.Table.from_pylist(rows, schema=schema), str(path))
    return path


def carry_here(units: Sequence[Unit], job: Job) -> Iterator[tuple[Unit, Result]]:
    """One worker, in this process: what a cluster does, without one."""
    worker = Worker(job)
    for unit in units:
        yield unit, worker.do(unit)


Carry = Callable[[Sequence[Unit], Job], Iterator[tuple[Unit, Result]]]
"""Brings units to workers and gives each with what came back, in any order."""
