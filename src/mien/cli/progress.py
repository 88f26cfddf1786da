"""Progress on the terminal: one bar per source with frames per second and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from mien.cli.console import printable
from mien.pipeline.sources import Source, length
from mien.types import FrameResult

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


class Live(Protocol):
    """Takes a camera's results while they come."""

    def add(self, source: Source, result: FrameResult) -> None: ...

    def close(self) -> None: ...


def bars(*, quiet: bool) -> Bars:
    """Bars on stderr with a count, frames per second (the field `rate`) and time left; none where nobody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>6.1f} frames/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
        transient=True,
    )


class Progress:
    """Shows progress on stderr; silent where that is no terminal or `quiet` is set.

    Attributes:
        live: takes each camera result, for the overlay that is written while the camera runs.
    """

    def __init__(
        self, *, quiet: bool, seconds: float = 0, length: Callable[[Source], tuple[int, float]] = length
    ) -> None:
        self._seconds, self._length = seconds, length
        self.live: Live | None = None
        self._bars = bars(quiet=quiet)
        self._task: Any = None
        self._source: Source | None = None
        self._begin = 0.0
        self._count = 0

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def watch(self, source: Source, result: FrameResult) -> None:
        """Called for each result of the run."""
        if source != self._source:
            self._open(source)
        self._count += 1
        passed = max(time.monotonic() - self._begin, 1e-6)
        self._bars.update(self._task, completed=result.frame.index + 1, rate=self._count / passed)
        if source.kind == "camera":
            if self.live is not None:
                self.live.add(source, result)
            if self._seconds and (result.time_s or 0) >= self._seconds:
                raise KeyboardInterrupt

    def _open(self, source: Source) -> None:
        from rich.markup import escape

        if self._task is not None and self._source is not None and self._source.kind == "picture":
            self._bars.remove_task(self._task)
        total = self._length(source)[0] or None
        self._task = self._bars.add_task(escape(printable(source.stem)[:32]), total=total, rate=0.0)
        self._source, self._begin, self._count = source, time.monotonic(), 0
