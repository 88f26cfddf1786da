"""analyze, stream and the run that the command line makes of them: one path for every caller."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mien.errors import InputError, MienError
from mien.events.event import COLUMNS as EVENT_COLUMNS
from mien.events.event import Event, EventOptions, events_csv
from mien.events.markers import COLUMNS as MARKER_COLUMNS
from mien.events.markers import Marker, joined
from mien.events.people import COLUMN as PERSON
from mien.events.people import read_people
from mien.events.second_pass import SecondPass, Survey, Timing, with_events
from mien.events.sequence import Stretches
from mien.pipeline import writers
from mien.pipeline.decoding import Decoder, DecoderDied
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sequence import SequenceModel
from mien.pipeline.sources import Problem, Source, find_sources, frames
from mien.pipeline.summary import summarise
from mien.pipeline.voice import Heard, VoiceModel, added_columns, listen, voice_columns, with_voice
from mien.table import Row, Table, columns, read_rows, rows_of
from mien.types import FrameResult

EVENTS = "events.csv"
VOICE = "voice.csv"
Names = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def _names(sources: Names) -> list[str]:
    return [os.fspath(s) for s in ([sources] if isinstance(sources, str | os.PathLike) else sources)]


def stream(source: Names, **options: Any) -> Iterator[FrameResult]:
    """Analyse lazily: one result per frame, as it comes; memory stays constant however long the video.

    Args:
        source: a picture, folder, glob, video, `camera` or `camera:1`, or several.
        options: fields of `Options`, such as `model="mien-m"`, `every=5`, `threads=1`.

    Raises:
        InputError: a source cannot be read.
    """
    flow = Flow(Options(**options))
    found, problems = find_sources(_names(source))
    if problems:
        raise InputError(f"{problems[0].source}: {problems[0].reason}")
    for item in found:
        tracker = None if item.kind == "picture" else flow.tracker()
        pictures = frames(item, every=flow.options.every, threads=flow.options.threads)
        yield from flow.run(pictures, tracker)


def analyze(
    source: Names,
    *,
    smooth: float = 0.0,
    baseline: bool = False,
    events: EventOptions | None = None,
    people: str | os.PathLike[str] | None = None,
    audio: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Table:
    """Analyse and return one table of all faces; for videos also its `events`.

    For long videos prefer `stream`, which does not hold the rows.

    Args:
        source, options: as for `stream`.
        smooth: add columns `smooth_<label>`, by a filter that reaches this far, seconds; 0 adds none.
        baseline: add columns `baseline_<label>`, corrected for how each person looks at rest.
        events: what counts as an event (`mien.events.EventOptions`).
        people: a CSV with the columns `track,person`: adds the column `person`; events, smoothing and baseline are then
            made for each person.
        audio: a voice network, as `mien export` writes it: adds columns of voice and of face and voice.

    Raises:
        InputError: a source, or the file of names, cannot be read, or one name stands for two people.
    """
    named = None if people is None else read_people(os.fspath(people))
    voice = None if audio is None else VoiceModel(os.fspath(audio))
    timing = Timing(smooth, baseline, events or EventOptions(), named)
    labels: tuple[str, ...] = ()
    rows: list[Row] = []
    for result in stream(source, **options):
        labels = result.labels
        rows.extend(rows_of(result))
    if not labels:
        return Table(())
    survey = _surveyed(rows, labels, timing)
    if named and (trouble := survey.trouble()):
        raise InputError(f"{named.path}: {trouble}")
    second = _second_pass(survey)
    rows, names = list(second.run(rows)), timing.names(labels)
    if voice is not None:
        videos = [item.name for item in find_sources(_names(source))[0] if item.kind == "video"]
        heard = {name: listen(name, voice) for name in videos}
        names = (*names, *added_columns(labels, voice.spec.labels))
        rows = [{name: row.get(name) for name in names} for row in with_voice(rows, labels, heard)]
    return Table(names, rows, second.events)


def _surveyed(rows: Iterable[Row], labels: Sequence[str], timing: Timing) -> Survey:
    survey = Survey(labels, timing)
    survey.add(rows)
    return survey


def _second_pass(survey: Survey) -> SecondPass:
    """Ready to go through the rows again."""
    return SecondPass(survey.labels, survey.timing, survey.baselines(), survey.absences())


@dataclass
class Done:
    """One source after a run: `seconds` is the last frame's time, `error` a sentence or None.

    One that is `broken` has brought a decoder down, and is not decoded again.
    """

    frames: int = 0
    next_frame: int = 0
    seconds: float | None = None
    done: bool = False
    error: str | None = None
    tracker: dict[str, Any] | None = None
    broken: bool = False

    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"frames": self.frames, "complete": self.done and self.error is None}
        if self.seconds is not None:
            facts["seconds"] = round(self.seconds, 3)
        if self.error:
            facts["error"] = self.error
        if self.broken:
            facts["broken"] = True
        return facts


@dataclass
class Run:
    """An analysis that writes into a folder and can go on after an interruption.

    Attributes:
        folder: for `faces.*` and `summary.json`.
        form: `csv`, `jsonl` or `parquet`.
        watch: called with each source and result, for progress and live overlays.
        timing: events, smoothing, baseline and names, made from the rows on disk; a run may be resumed with another.
            Names that cannot be used become a problem and are dropped.
        markers: of stimuli, joined to the events; None: no columns for them.
        events: of all videos, once the run has ended.
        sequence: reads each event as a whole and adds `sequence_<label>` to events.csv; None adds nothing.
        voice: hears each video: voice.csv, and columns of voice and of face and voice in the table; None adds nothing.
        heard: what it heard, by source, once the run has ended.
        around: what is entered before each source is opened and left after its last frame.
        decoder: decodes in a process of its own; None decodes in this one.
    """

    flow: Flow
    folder: Path
    form: str = "csv"
    watch: Callable[[Source, FrameResult], None] | None = None
    state: dict[str, Done] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    interval_s: float = 2.0
    sources: list[Source] = field(default_factory=list)
    timing: Timing = field(default_factory=Timing)
    markers: list[Marker] | None = None
    events: list[Event] = field(default_factory=list)
    sequence: SequenceModel | None = None
    voice: VoiceModel | None = None
    heard: dict[str, Heard] = field(default_factory=dict)
    around: Callable[[Source], AbstractContextManager[object]] = nullcontext
    decoder: Decoder | None = None
    _whole: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def rows_path(self) -> Path:
        """The file with the rows."""
        finished = self.folder / f"faces.{self.form}"
        return finished if finished.is_file() else self._writer.working

    def rows(self, source: Source) -> Iterator[Row]:
        """Rows of one source from the disk, in order of frames."""
        return (row for row in read_rows(self.rows_path) if row["source"] == source.name)

    def analyze(self, names: Sequence[str], *, resume: bool = False) -> None:
        """Analyse all sources; one that fails does not stop the others.

        On Ctrl-C everything up to the last whole frame is kept, and KeyboardInterrupt is raised again.

        Raises:
            InputError: the folder cannot be written to, or `resume` finds a run with other options.
        """
        self.sources, problems = find_sources(list(names))
        self.problems += problems
        offset = self._restore() if resume else None
        names_ = columns(self.flow.model.spec.labels)
        self._writer = writers.RowWriter(self.folder, names_, self.form, offset)
        self._offset, self._noted = self._writer.tell(), time.monotonic()
        try:
            for source in self.sources:
                with self.around(source):
                    self._one(source)
        finally:
            if self.decoder is not None:
                self.decoder.close()
            self._note()
            self._finish()

    def take_over(self, source: Source, rows: Iterable[Row], done: Done) -> None:
        """Write down what was found of a source elsewhere: `analyze` with `resume` goes on from there.

        Raises:
            InputError: the folder cannot be written to.
        """
        writer = writers.RowWriter(self.folder, columns(self.flow.model.spec.labels), self.form)
        for row in rows:
            writer.add([row])
        note = {"identity": self._identity(), "offset": writer.tell(), "sources": {source.name: asdict(done)}}
        writer.close()
        writers.write_whole(self.folder / writers.PROGRESS, json.dumps(note))

    def _one(self, source: Source) -> None:
        state = self.state.setdefault(source.name, Done())
        if state.done:
            return
        tracker = None if source.kind == "picture" else self.flow.tracker()
        if tracker is not None and state.tracker:
            tracker.restore(state.tracker)
        options = self.flow.options
        decode = self.decoder.frames if self.decoder is not None else frames
        pictures = decode(source, every=options.every, start=state.next_frame, threads=options.threads)
        try:
            for batch in _batches(self.flow.run(pictures, tracker), options.batch):
                self._take(source, state, batch)
                # here the tracker has seen just the frames that are written
                state.tracker = tracker.state() if tracker else None
                self._mark(source.name, state)
        except MienError as error:
            state.broken = isinstance(error, DecoderDied)
            self._failed(source, state, _reason(source.name, str(error)))
        except OSError:
            raise  # the results cannot be written: no later source would fare better
        except Exception as error:
            # a fault of ours, or of a codec, must not cost the other files
            self._failed(source, state, f"could not be analysed ({type(error).__name__}: {error}); please report this")
        state.done, state.tracker = True, None
        self._mark(source.name, state)

    def _failed(self, source: Source, state: Done, reason: str) -> None:
        state.error = reason
        self.problems.append(Problem(source.name, reason))

    def _take(self, source: Source, state: Done, batch: list[FrameResult]) -> None:
        for result in batch:
            self._writer.add(list(rows_of(result)))
            state.frames += 1
            state.next_frame = result.frame.index + 1
            state.seconds = result.time_s
            if self.watch:
                self.watch(source, result)

    def _identity(self) -> dict[str, Any]:
        """What a resumed run must share with the first one."""
        options = asdict(self.flow.options)
        kept = {name: options[name] for name in ("model", "detector", "every", "min_face", "remember", "compare_faces")}
        restorer = {"restore": self.flow.restorer.sha256} if self.flow.restorer else {}
        light = {"light": self.flow.options.light} if self.flow.options.light else {}
        return {**kept, **restorer, **light, "sha256": self.flow.model.sha256, "format": self.form}

    def _restore(self) -> int | None:
        note = writers.read_progress(self.folder)
        if note is None:
            return None
        if note.get("identity") != self._identity():
            raise InputError(
                f"{self.folder}: the run there had other options ({note.get('identity')}); give the same ones, or "
                "another --out"
            )
        self.state = {name: Done(**value) for name, value in note["sources"].items()}
        self._whole = note["sources"]
        writers.restore_rows(self.folder, columns(self.flow.model.spec.labels), self.form)
        self.problems += [Problem(name, done.error) for name, done in self.state.items() if done.error]
        return int(note["offset"])

    def _mark(self, name: str, state: Done) -> None:
        """A point from which a run can go on: rows, frames and tracker agree."""
        self._whole[name] = asdict(state)
        self._offset = self._writer.tell()
        if time.monotonic() - self._noted > self.interval_s:
            self._note()

    def _note(self) -> None:
        """Put the last such point on disk."""
        self._writer.flush()
        self._noted = time.monotonic()
        note = {"identity": self._identity(), "offset": self._offset, "sources": self._whole}
        writers.write_whole(self.folder / writers.PROGRESS, json.dumps(note))

    def _finish(self) -> None:
        from mien import __version__

        self._writer.close()
        model = self.flow.model
        second = self._follow()
        known = {s.name: self.state[s.name].facts() for s in self.sources if s.name in self.state}
        entries = summarise(read_rows(self._writer.working), model.spec.labels, known)
        if self.timing.people:
            self._add_people(entries)
        with_events(entries, model.spec.labels, second)
        self._hear(entries)
        summary = {
            "mien": __version__,
            "model": {"name": model.spec.name, "sha256": model.sha256, "unsure_below": model.spec.unsure_below},
            "options": asdict(self.flow.options),
            "events": self.timing.facts(),
            **({"sequence": self._sequence_facts(self.sequence)} if self.sequence else {}),
            **({"voice": self.voice.facts()} if self.voice else {}),
            "labels": list(model.spec.labels),
            "sources": entries,
            "problems": [asdict(problem) for problem in self.problems],
        }
        writers.write_whole(self.folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        if all(done.done for done in self.state.values()):
            self._writer.finish()

    def _follow(self) -> SecondPass:
        """Events and added columns, from the rows on disk."""
        labels, path = self.flow.model.spec.labels, self._writer.working
        survey = _surveyed(read_rows(path), labels, self.timing)
        if (people := self.timing.people) and (trouble := survey.trouble()):
            self.problems.append(Problem(str(people.path), trouble))
            self.timing = replace(self.timing, people=None)
            survey = _surveyed(read_rows(path), labels, self.timing)
        elif people and (unused := survey.unused()):
            self.problems.append(Problem(str(people.path), f"names {', '.join(unused)}, which nobody has there"))
        second = _second_pass(survey)
        rows = second.run(read_rows(path))
        names = self.timing.names(labels)
        if names != columns(labels):
            self._writer.replace(rows, names)
        else:
            deque(rows, maxlen=0)
        self.events = second.events
        self._write_events()
        return second

    def _add_people(self, entries: list[dict[str, Any]]) -> None:
        """Summaries of the named people, as those of the tracks."""
        path, labels = self._writer.working, self.flow.model.spec.labels
        tracks: dict[tuple[str, str], set[int]] = {}

        def renamed() -> Iterator[Row]:
            for row in read_rows(path):
                if name := row.get(PERSON):
                    tracks.setdefault((row["source"], name), set()).add(row["track"])
                yield {**row, "track": name}

        found = summarise(renamed(), labels, {entry["source"]: {} for entry in entries})
        for entry, named in zip(entries, found, strict=True):
            entry["people"] = [
                {PERSON: person["track"], "tracks": sorted(tracks[entry["source"], person["track"]]), **person}
                for person in named["tracks"]
            ]
            for person in entry["people"]:
                del person["track"]

    def _write_events(self) -> None:
        path = self.folder / EVENTS
        if all(source.kind == "picture" for source in self.sources):
            path.unlink(missing_ok=True)
            return
        names = EVENT_COLUMNS
        if self.timing.people:
            place = names.index("track") + 1
            names = (*names[:place], PERSON, *names[place:])
        if self.markers is None:
            rows = [asdict(event) for event in self.events]
        else:
            names, rows = (*names, *MARKER_COLUMNS), joined(self.events, self.markers)
        if self.sequence:
            read = Stretches(self.events, self.sequence.spec.frames, self.sequence.spec.reads)
            read.add(read_rows(self._writer.working))
            found = read.read(self.sequence, self.sequence.spec.labels)
            rows = [{**row, **more} for row, more in zip(rows, found, strict=True)]
            names = (*names, *(f"sequence_{label}" for label in self.sequence.spec.labels))
        writers.write_whole(path, events_csv(rows, names))

    def _hear(self, entries: list[dict[str, Any]]) -> None:
        """voice.csv, the columns of voice and of face and voice, and what the summary says of them."""
        path, voice = self.folder / VOICE, self.voice
        if voice is None:
            path.unlink(missing_ok=True)  # of another analysis
            return
        for source in self.sources:
            if source.kind == "camera":
                self.heard[source.name] = Heard(voice.spec.labels, trouble="a camera has no sound; record it first")
            elif source.kind == "video" and source.name in self.state and self.state[source.name].broken:
                self.heard[source.name] = Heard(voice.spec.labels, trouble="not heard, for it brought the decoder down")
            elif source.kind == "video" and source.name in self.state and self.state[source.name].done:
                self.heard[source.name] = listen(source.name, voice)
        labels = self.flow.model.spec.labels
        names = (*self._writer.names, *added_columns(labels, voice.spec.labels))
        self._writer.replace(with_voice(read_rows(self._writer.working), labels, self.heard), names)
        rows = [row for name, heard in self.heard.items() for row in heard.rows(name)]
        writers.write_whole(path, events_csv(rows, ("source", "time_s", *voice_columns(voice.spec.labels))))
        for entry in entries:
            if entry["source"] in self.heard:
                entry["voice"] = self.heard[entry["source"]].facts()

    def _sequence_facts(self, model: SequenceModel) -> dict[str, Any]:
        note = model.check(self.flow.model.spec.labels, self.flow.model.spec.name)
        facts = {"name": model.spec.name, "sha256": model.sha256, "labels": list(model.spec.labels)}
        return {**facts, **({"note": note} if note else {})}


def _batches(results: Iterator[FrameResult], size: int) -> Iterator[list[FrameResult]]:
    """Lists of results; the flow's own batches, so that none is held longer than it must, and none lost to an error."""
    held: list[FrameResult] = []
    trouble: InputError | None = None
    try:
        for result in results:
            held.append(result)
            if len(held) >= size or result.time_s is None:
                yield held
                held = []
    except InputError as error:
        trouble = error
    if held:
        yield held
    if trouble is not None:
        raise trouble


def _reason(source: str, sentence: str) -> str:
    """A sentence without the file's name in front."""
    return sentence.removeprefix(f"{source}: ")
