"""Decoding in a process of its own, so that a codec that crashes or hangs costs one file and not the run.

Frames come through a pipe: the other process decodes the next one while this one is analysed. It is no sandbox: a codec
that was taken over may do there what the user may.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from mien.errors import InputError
from mien.pipeline.decode_worker import END, ERROR, FRAME, HEAD, LENGTH
from mien.pipeline.sources import Source, frames
from mien.types import Frame

PATIENCE_S = 60.0
START_S = 60.0
"""Time for the process to load its libraries on a busy machine, seconds."""
PIPE_BYTES = 1 << 20
# -P: modules are not looked for in the folder where mien was started, which may be a stranger's
CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from mien.pipeline.decode_worker import main; main()"
COMMAND = (sys.executable, "-P", "-c", CODE)


class DecoderDied(InputError):
    """The process that decoded a file crashed over it or hung."""


class _Message(NamedTuple):
    kind: int
    size: tuple[int, int]
    number: int
    time_s: float | None
    payload: np.ndarray


class Decoder:
    """Decodes pictures and videos one after another in a process that is started when made, and again after a loss.

    Args:
        patience_s: longest wait for the next sign of life; 0 waits for ever.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._child: _Child | None = _Child()
        self._lengths: dict[str, tuple[int, float]] = {}

    def frames(self, source: Source, *, every: int = 1, start: int = 0, threads: int = 0) -> Iterator[Frame]:
        """As `mien.pipeline.sources.frames`; cameras are read in this process.

        Raises:
            InputError: as there.
            DecoderDied: the process crashed or hung.
        """
        if source.kind == "camera":
            yield from frames(source, every=every)
            return
        asked = {"every": every, "start": start, "threads": threads}
        last, over = -1, False
        try:
            self._ask(source, asked)
            while (message := self._next(source, last)).kind != END:
                if message.kind == LENGTH:
                    self._lengths = {source.name: (message.number, message.time_s or 0.0)}
                elif message.kind == FRAME:
                    last = message.number
                    image = message.payload.reshape(*message.size, 3)
                    yield Frame(image, message.number, message.time_s, source.name)
            over = True
        except InputError as error:
            over = not isinstance(error, DecoderDied)
            raise
        finally:
            if not over:  # it may be in the middle of a file that nobody wants any more
                self.close()

    def length(self, source: Source) -> tuple[int, float]:
        """As `mien.pipeline.sources.length`, of the source whose frames are being read; of others 0."""
        return self._lengths.get(source.name, (0, 0.0))

    def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _ask(self, source: Source, asked: dict[str, Any]) -> None:
        if self._child is None or self._child.ended:
            self.close()
            self._child = _Child()
        self._child.ask({**asked, "name": source.name, "kind": source.kind})

    def _next(self, source: Source, last: int) -> _Message:
        assert self._child is not None
        patience = max(START_S, self._patience_s) if not self._child.spoke and self._patience_s else self._patience_s
        try:
            message = self._child.read(patience)
        except EOFError:
            where = f" after frame {last}" if last >= 0 else ""
            cure = "save the file anew, a video as H.264 in MP4, a picture as JPEG or PNG"
            raise DecoderDied(f"{source.name}: {self._child.why(self._patience_s)}{where}; {cure}") from None
        if message.kind == ERROR:
            raise InputError(message.payload.tobytes().decode("utf-8", "replace"))
        return message


class _Child:
    """The process, and a thread that ends it when an answer takes too long."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for this process, which then ends the other
        )
        self.spoke, self._hung = False, False
        self._until = math.inf
        _widen(self._process)
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def ask(self, asked: dict[str, Any]) -> None:
        """Send a request; that nobody reads it any more shows when the answer is read."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")

    def read(self, patience_s: float) -> _Message:
        """The next message.

        Raises:
            EOFError: the process has ended, or was ended for it took longer than `patience_s`.
        """
        self._until = time.monotonic() + patience_s if patience_s else math.inf
        try:
            kind, height, width, index, time_s, count = HEAD.unpack(self._exactly(HEAD.size).tobytes())
            if kind == FRAME and count != height * width * 3:
                raise EOFError
            payload = self._exactly(count)
        finally:
            self._until = math.inf
        self.spoke = True
        return _Message(kind, (height, width), index, None if math.isnan(time_s) else time_s, payload)

    def _exactly(self, count: int) -> np.ndarray:
        assert self._process.stdout is not None
        data = np.empty(count, np.uint8)
        view, place = data.data, 0
        while place < count:
            came = self._process.stdout.readinto(view[place:])  # type: ignore[attr-defined]
            if not came:
                raise EOFError
            place += came
        return data

    def why(self, patience_s: float) -> str:
        """What ended it, in words."""
        self.end()
        if self._hung:
            return f"the decoder gave no sign of life for {patience_s:g} s and was ended"
        code = self._process.returncode
        try:
            return f"the decoder broke down ({signal.Signals(-code).name})"
        except ValueError:
            return f"the decoder broke down (exit {code})"

    def end(self) -> None:
        """End the process and give its pipes back."""
        if self._process.stdout is None or self._process.stdout.closed:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # it ends by itself at once, unless a codec holds it
        try:
            self._process.wait(0.2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _watch(self) -> None:
        while self._process.poll() is None:
            if time.monotonic() > self._until:
                self._hung = True
                self._process.kill()
                return
            time.sleep(0.1)


def _widen(process: subprocess.Popen[bytes]) -> None:
    """A pipe that takes a whole small frame, where the system can: fewer turns between the two processes."""
    try:
        import fcntl

        assert process.stdout is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        return
