"""The driver of an analysis by many processes: cuts it into units, has them carried to workers, gathers the summary."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mien.analysis import Run
from mien.engines.ledger import Ledger, Note
from mien.engines.units import CHUNK, PLAN, Unit, unit_of, units_of
from mien.engines.worker import Carry, Job, Result
from mien.errors import InputError
from mien.events.second_pass import Timing
from mien.pipeline.flow import Flow
from mien.pipeline.sources import Problem, Source, find_sources
from mien.pipeline.writers import write_whole

SHORTEST_CHUNK_S = 10.0
"""Shorter ones would cost more in reading before each than they give."""


@dataclass
class Cluster:
    """An analysis that writes into a folder and can go on after an interruption, as `mien.analysis.Run`.

    Attributes:
        flow: the networks, to see that they can be loaded, and for the summary; workers load their own.
        folder: seen by all workers; for `faces/`, `events/` and `summary.json`.
        timeout_s: a source that gives no frame for so long is given up, seconds.
        chunk_s: videos are cut into stretches of about so many seconds; 0 cuts none.
        facts: of the engine, for the summary.
        watch: called with files that are over, files in all, and frames of this run, whenever a unit is over.
        frames: analysed by this run.
        seconds: that it took, with starting the engine.
    """

    flow: Flow
    folder: Path
    timing: Timing = field(default_factory=Timing)
    timeout_s: float = 300.0
    chunk_s: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    watch: Callable[[int, int, int], None] | None = None
    sources: list[Source] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    frames: int = 0
    seconds: float = 0.0
    _over: int = 0

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise InputError(f"timeout {self.timeout_s:g}: expected seconds, more than zero, such as 300")
        if self.chunk_s and self.chunk_s < SHORTEST_CHUNK_S:
            raise InputError(f"chunks of {self.chunk_s:g} s: expected {SHORTEST_CHUNK_S:g} s or more, or 0 for none")

    def analyze(self, names: Sequence[str], carry: Carry, *, resume: bool = False) -> None:
        """Analyse all sources; one that fails does not stop the others.

        On Ctrl-C all units that are whole are kept and summarised, and KeyboardInterrupt is raised again.

        Raises:
            InputError: the folder cannot be written to or is not shared by all, or `resume` finds a run with other
                options.
        """
        self.folder = self.folder.absolute()
        ledger, job = Ledger(self.folder), self._job()
        self.sources, lacking = find_sources(list(names))
        lacking += [
            Problem(source.name, "a camera belongs to one machine; use --engine local")
            for source in self.sources
            if source.kind == "camera"
        ]
        self.sources = [source for source in self.sources if source.kind != "camera"]
        ledger.begin(job.token, self._identity(), resume=resume)
        head = self._head(ledger)
        ledger.forgive()
        known = ledger.notes()
        whole = {name for note in known for name in note.sources}
        self._over = sum(source.name in whole for source in self.sources)
        wanted = [source for source in self.sources if source.name not in whole]
        begin = time.monotonic()
        try:
            self._carry(wanted, job, carry, ledger)
            ledger.clear()
        finally:
            self.seconds = time.monotonic() - begin
            notes, before = ledger.notes(), {note.unit for note in known}
            # a stopped run has not been told of all that is whole
            self.frames = sum(note.frames for note in notes if note.unit not in before)
            self._summarise(notes, head, lacking)

    def _carry(self, wanted: list[Source], job: Job, carry: Carry, ledger: Ledger) -> None:
        units = units_of(wanted)
        if self.chunk_s:
            units = self._cut(units, job, carry)
        self._follow(units, job, carry)
        # two workers that did the last stretches at the same time may not have seen each other's
        self._follow([u for u in units if u.kind == CHUNK and ledger.note(u.id) is None], job, carry)

    def _cut(self, units: list[Unit], job: Job, carry: Carry) -> list[Unit]:
        """Long videos in stretches."""
        videos = {unit.id: unit for unit in units if unit.sources[0].kind == "video"}
        plans = [Unit(unit.id, unit.sources, PLAN) for unit in videos.values()]
        chunks: list[Unit] = []
        for unit, result in self._follow(plans, job, carry):
            if result.chunks:
                source = videos.pop(unit.id).sources
                chunks += [unit_of(source, CHUNK, chunk) for chunk in result.chunks]
        return chunks + [unit for unit in units if unit.id in videos or unit.sources[0].kind == "picture"]

    def _follow(self, units: list[Unit], job: Job, carry: Carry) -> list[tuple[Unit, Result]]:
        results: list[tuple[Unit, Result]] = []
        for unit, result in carry(units, job) if units else ():
            if result.fatal:
                raise InputError(result.fatal)
            self._over += result.files
            self.frames += result.frames
            if self.watch:
                self.watch(self._over, len(self.sources), self.frames)
            if unit.kind == PLAN:
                results.append((unit, result))
        return results

    def _job(self) -> Job:
        token, options = uuid.uuid4().hex, self.flow.options
        return Job(str(self.folder), os.getcwd(), token, options, self.timing, self.timeout_s, self.chunk_s)

    def _identity(self) -> dict[str, Any]:
        """What a resumed run must share with the first one: all that changes a part."""
        options = asdict(self.flow.options)
        for name in ("threads", "batch"):
            del options[name]
        restorer = {"restorer": self.flow.restorer.sha256} if self.flow.restorer else {}
        options["chunk_seconds"] = self.chunk_s
        timing = {"smooth": self.timing.smooth, "events": self.timing.facts()}
        return {**options, **restorer, **timing, "sha256": self.flow.model.sha256}

    def _head(self, ledger: Ledger) -> dict[str, Any]:
        """The summary of no source."""
        with ledger.scratch("head") as place:
            Run(self.flow, place, timing=self.timing).analyze([])
            head: dict[str, Any] = json.loads((place / "summary.json").read_text(encoding="utf-8"))
        return head

    def _summarise(self, notes: Sequence[Note], head: dict[str, Any], lacking: Sequence[Problem]) -> None:
        places = {source.name: i for i, source in enumerate(self.sources)}
        last = len(places)
        entries = [entry for note in notes for entry in note.entries]
        entries.sort(key=lambda entry: (places.get(entry["source"], last), entry["source"]))
        self.problems = [*lacking, *(problem for note in notes for problem in note.problems)]
        self.problems.sort(key=lambda problem: (places.get(problem.source, -1), problem.source))
        head["engine"] = self.facts
        head["sources"] = entries
        head["problems"] = [asdict(problem) for problem in self.problems]
        write_whole(self.folder / "summary.json", json.dumps(head, indent=1, ensure_ascii=False) + "\n")
