"""Where the time of a clip goes: the analysis as users run it, with a clock around each stage."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from mien import analysis
from mien.errors import InputError
from mien.faces.track import Tracker
from mien.pipeline import flow as flows
from mien.pipeline import writers

DECODE, DETECT, TRACK, POINTS, ALIGN = "decode", "detect", "track", "landmarks", "align"
CLASSIFY, QUALITY, WRITE, SECOND, REST = "classify", "quality", "rows and writing", "second pass", "all else"
STAGES = (DECODE, DETECT, TRACK, POINTS, ALIGN, CLASSIFY, QUALITY, WRITE, SECOND, REST)


class Clock:
    """Processor seconds by stage; a stage inside another is taken off the outer one."""

    def __init__(self) -> None:
        self.spent = dict.fromkeys(STAGES, 0.0)
        self._open: list[str] = [REST]
        self._since = time.process_time()

    def enter(self, stage: str) -> None:
        self._charge()
        self._open.append(stage)

    def leave(self) -> None:
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now = time.process_time()
        self.spent[self._open[-1]] += now - self._since
        self._since = now

    def stop(self) -> dict[str, float]:
        """What was spent since the clock was made."""
        self._charge()
        return self.spent

    def around(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, timed."""

        def timed(*given: Any, **named: Any) -> Any:
            self.enter(stage)
            try:
                return call(*given, **named)
            finally:
                self.leave()

        return timed

    def over(self, stage: str, call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The same generator, each step timed."""

        def timed(*given: Any, **named: Any) -> Iterator[Any]:
            items = iter(call(*given, **named))
            while True:
                self.enter(stage)
                try:
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    self.leave()
                yield item

        return timed


class _Timed:
    """An object whose call is timed; all else is its own."""

    def __init__(self, inner: Any, clock: Clock, stage: str) -> None:
        self._inner, self._call = inner, clock.around(stage, inner.__call__)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._call(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def profile(clip: Path, *, detector: str = "auto", rounds: int = 3) -> tuple[int, dict[str, float]]:
    """Frames, and processor seconds of each stage without start-up: medians over rounds, after one that warms up.

    Decoding runs in the same process and on the same core, unlike in `mien analyze`, which gives it its own.

    Raises:
        InputError: the clip cannot be read.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    flow = flows.Flow(flows.Options(detector=detector, threads=1))
    found: list[dict[str, float]] = []
    frames = 0
    for _ in range(rounds + 1):
        frames, spent = _round(flow, clip)
        found.append(spent)
    return frames, {stage: statistics.median(spent[stage] for spent in found[1:]) for stage in STAGES}


def _round(flow: flows.Flow, clip: Path) -> tuple[int, dict[str, float]]:
    clock = Clock()

    with tempfile.TemporaryDirectory() as folder, ExitStack() as patches:

        def patch(target: Any, name: str, new: Any) -> None:
            patches.enter_context(mock.patch.object(target, name, new))

        patch(Tracker, "__call__", clock.around(TRACK, Tracker.__call__))
        patch(analysis, "frames", clock.over(DECODE, vars(analysis)["frames"]))
        patch(analysis, "rows_of", clock.over(WRITE, vars(analysis)["rows_of"]))
        patch(writers.RowWriter, "add", clock.around(WRITE, writers.RowWriter.add))
        patch(flow, "detect", clock.around(DETECT, flow.detect))
        patch(flow, "landmarks", _Timed(flow.landmarks, clock, POINTS))
        patch(flow, "model", _Timed(flow.model, clock, CLASSIFY))
        patch(flow, "_crops", clock.around(ALIGN, flow._crops))
        patch(flows, "quality", clock.around(QUALITY, vars(flows)["quality"]))
        run = analysis.Run(flow, Path(folder))
        patch(run, "_finish", clock.around(SECOND, run._finish))
        run.analyze([str(clip)])
        spent = clock.stop()
    if run.problems:
        raise InputError(f"{run.problems[0].source}: {run.problems[0].reason}")
    return sum(done.frames for done in run.state.values()), spent
