"""Processes for pictures and frames: a fixed number, a bounded line in front of them, and a clock on each answer."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mien.server import channel
from mien.server.channel import Message
from mien.server.refusal import Pace, Refusal

START_S = 60.0
"""Time for a process to load its libraries, seconds."""
PICTURE_WORKER = (sys.executable, "-P", "-m", "mien.server.picture_worker")


class Worker:
    """One process, started when first asked and again after it was lost.

    Attributes:
        hello: what it said when it was ready.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.hello: dict[str, Any] = {}
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> asyncio.subprocess.Process:
        """The process, running and with its libraries loaded: that takes long on a busy machine.

        Raises:
            Refusal: 500, it cannot run.
        """
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the server, which then ends its workers
            )
            assert self._process.stdout is not None
            try:
                self.hello, _ = await asyncio.wait_for(channel.receive(self._process.stdout), START_S)
            except (TimeoutError, asyncio.IncompleteReadError) as error:
                await self.stop()
                raise Refusal(500, "a worker cannot be started; `mien doctor` may say why", reason="start") from error
            if not self.hello.pop("ok"):
                raise Refusal(500, self.hello["error"], reason="start")
        return self._process

    async def exchange(self, fields: dict[str, Any], payload: bytes) -> Message:
        """One request and its answer.

        Raises:
            ConnectionError, asyncio.IncompleteReadError: the process has died.
        """
        process = await self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(channel.pack(fields, payload))
        await process.stdin.drain()
        return await channel.receive(process.stdout)

    async def stop(self) -> None:
        """End the process at once: what it works on is not wanted any more."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Pool:
    """Asks whichever worker is free.

    Args:
        facts: for the workers (`picture_worker.Desk`).
        size: number of workers.
        limit: requests that may wait in front of them.
        timeout_s: longest time for one answer.
        lost: called with `crashed` or `hung` for each worker that was lost.
    """

    def __init__(
        self,
        facts: dict[str, Any],
        size: int,
        limit: int,
        timeout_s: float,
        lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.size, self._limit, self._timeout_s, self._lost = size, limit, timeout_s, lost
        self._workers = [Worker((*PICTURE_WORKER, json.dumps(facts))) for _ in range(size)]
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._exchanges: set[asyncio.Task[Message]] = set()
        self._pace = Pace(1.0)
        self.waiting = 0

    async def start(self) -> dict[str, Any]:
        """Start all processes, so that the first request need not wait for it; returns what one of them said.

        Raises:
            Refusal: 500, they cannot run.
        """
        await asyncio.gather(*(worker.start() for worker in self._workers))
        return self._workers[0].hello

    async def close(self) -> None:
        """End all processes."""
        for task in self._exchanges:
            task.cancel()
        await asyncio.gather(*self._exchanges, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    @property
    def busy(self) -> int:
        """Number of workers that are at work."""
        return self.size - self._idle.qsize()

    def check(self) -> None:
        """Refuse now what could not even wait, before its body is read.

        Raises:
            Refusal: 429.
        """
        if self._idle.empty() and self.waiting >= self._limit:
            retry = self._pace.wait(self.waiting + 1, self.size)
            raise Refusal(
                429, "all workers are busy and the line is full; try again later", retry_s=retry, reason="full"
            )

    async def ask(self, fields: dict[str, Any], payload: bytes = b"") -> Message:
        """The answer of the next free worker. A caller who goes away leaves the line.

        Raises:
            Refusal: 429 where too many wait, 422 where the input is at fault, 504 where it took too long.
        """
        self.check()
        self.waiting += 1
        try:
            worker = await self._idle.get()
        finally:
            self.waiting -= 1
        task = asyncio.create_task(self._exchange(worker, fields, payload))
        self._exchanges.add(task)
        task.add_done_callback(self._over)
        # a worker in the middle of an answer must finish it, or its next one would be that of another request
        return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Message]) -> None:
        self._exchanges.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it any more

    async def _exchange(self, worker: Worker, fields: dict[str, Any], payload: bytes) -> Message:
        begin = time.monotonic()
        try:
            await worker.start()
            answer, data = await asyncio.wait_for(worker.exchange(fields, payload), self._timeout_s)
        except TimeoutError as error:
            await worker.stop()
            self._lost("hung")
            sentence = f"no answer within {self._timeout_s:g} s; send a smaller picture, or ask for a longer --timeout"
            raise Refusal(504, sentence, reason="hung") from error
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            await worker.stop()
            self._lost("crashed")
            sentence = "the decoder broke down over this picture; save it anew as JPEG or PNG"
            raise Refusal(422, sentence, reason="crashed") from error
        finally:
            self._pace.note(time.monotonic() - begin)
            self._idle.put_nowait(worker)
        if not answer.pop("ok"):
            raise Refusal(500 if answer.get("fault") else 422, answer["error"], reason="input")
        return answer, data
