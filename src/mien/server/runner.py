"""Takes jobs from the queue and gives each a process of its own; removes what is over its time."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from mien.server.job_worker import INPUT, RESULT, STOPPED
from mien.server.metrics import Metrics
from mien.server.pool import START_S
from mien.server.refusal import Pace
from mien.server.schemas import JobChoice
from mien.server.settings import Settings
from mien.server.store import CANCELLED, DONE, FAILED, OVER, Job, Store

JOB_WORKER = (sys.executable, "-P", "-m", "mien.server.job_worker")
LOG = logging.getLogger("mien.server")
LONGEST_SWEEP_S = 60.0
RETRY_S = 5.0


def home_name(folder: Path) -> str:
    """Name of a jobs folder, kept in it: which jobs of a database are its own."""
    path = folder / "home"
    if not path.is_file():
        path.write_text(secrets.token_hex(8), encoding="ascii")
    return path.read_text(encoding="ascii").strip()


class Runner:
    """As many jobs at a time as there are workers.

    Attributes:
        progress: the last news of each running job.
        pace: how long a job takes.
    """

    def __init__(self, store: Store, settings: Settings, metrics: Metrics) -> None:
        self._store, self._settings, self._metrics = store, settings, metrics
        self.folder = settings.jobs / "jobs"
        self.progress: dict[str, dict[str, Any]] = {}
        self.pace = Pace(20.0)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._news, self._wakes, self._closing = asyncio.Condition(), 0, False
        self._tasks: list[asyncio.Task[None]] = []

    def place(self, id: str) -> Path:
        """Folder of a job."""
        return self.folder / id

    async def start(self) -> None:
        """Put back what an earlier server left running, and begin."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        back, lost = await asyncio.to_thread(self._store.recover)
        if back or lost:
            LOG.warning("the last server ended in the middle: %d jobs go on, %d were given up", back, lost)
        await self.sweep()
        await self._remove_strays()
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(self._settings.workers)]
        self._tasks.append(asyncio.create_task(self._sweep_always()))

    async def close(self) -> None:
        """Stop running jobs at their last whole frame; they go on when a server starts again."""
        self._closing = True
        await self.wake()
        for process in list(self._processes.values()):
            _ask_to_stop(process)
        *serving, sweeping = self._tasks
        sweeping.cancel()
        await asyncio.gather(*serving, sweeping, return_exceptions=True)

    async def wake(self) -> None:
        """There is something new in the queue."""
        async with self._news:
            self._wakes += 1
            self._news.notify_all()

    async def cancel(self, id: str) -> None:
        """A job was cancelled: stop its process if it has one, and remove its files."""
        process = self._processes.get(id)
        if process is None:
            await asyncio.to_thread(shutil.rmtree, self.place(id), True)
        else:
            _ask_to_stop(process)

    async def _serve(self) -> None:
        while not self._closing:
            seen = self._wakes  # what comes between the look into the queue and the wait is not slept over
            try:
                job = await asyncio.to_thread(self._store.claim)
                if job is not None:
                    await self._do(job)
                    continue
            except SQLAlchemyError as error:
                LOG.error("the database does not answer (%s)", type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken(seen), RETRY_S)

    async def _woken(self, seen: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: self._wakes != seen)

    async def _do(self, job: Job) -> None:
        begin = time.monotonic()
        if self._closing:
            await asyncio.to_thread(self._store.put_back, job.id)
            return
        if not (self.place(job.id) / INPUT).is_dir():
            await asyncio.to_thread(self._store.finish, job.id, FAILED, "its files are gone; send them again")
            return
        try:
            process = await self._begin(job)
        except OSError as error:
            sentence = f"no process could be started for it ({error.strerror}); send it again later"
            await asyncio.to_thread(self._store.finish, job.id, FAILED, sentence)
            return
        self._processes[job.id] = process
        if self._closing:
            _ask_to_stop(process)
        last, hung = await self._follow(job, process)
        code = await process.wait()
        del self._processes[job.id]
        self.progress.pop(job.id, None)
        state = await self._settle(job, last, code, hung)
        if state in OVER:
            self.pace.note(time.monotonic() - begin)
            self._metrics.jobs_over.labels(state).inc()
            LOG.info("job %s: %s after %.1f s", job.id, state, time.monotonic() - begin)

    async def _begin(self, job: Job) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *JOB_WORKER,
            json.dumps(self._facts(job)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self.place(job.id),
            start_new_session=True,
        )

    def _facts(self, job: Job) -> dict[str, Any]:
        settings = self._settings
        return {
            # a job of an older server may lack options that came since
            "options": {
                **JobChoice.model_validate({}).model_dump(),
                **job.options,
                "model": settings.weights(job.options["model"]),
            },
            "max_pixels": settings.max_pixels,
            "max_duration_s": settings.max_duration_s,
            "memory_bytes": settings.memory_bytes,
            "patience_s": settings.timeout_s / 2,  # a file is given up before its job is
            "threads": settings.threads,
            "device": settings.device,
        }

    async def _follow(self, job: Job, process: asyncio.subprocess.Process) -> tuple[dict[str, Any], bool]:
        """The last news of a process, and whether it had to be ended because none came any more."""
        assert process.stdout is not None
        last: dict[str, Any] = {}
        # the clock of the machine may be set while a job runs, the monotonic one may not
        alive, changed = time.monotonic(), 0.0
        while True:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), 1.0)
            except TimeoutError:
                # an annotated copy tells nothing while it is drawn, but its file grows
                if (change := await asyncio.to_thread(_last_change, self.place(job.id) / RESULT)) != changed:
                    alive, changed = time.monotonic(), change
                patience = self._settings.timeout_s if last else max(START_S, self._settings.timeout_s)
                if time.monotonic() - alive > patience:
                    process.kill()
                    self._metrics.workers_lost.labels("hung").inc()
                    return last, True
                continue
            if not line:
                return last, False
            alive, last = time.monotonic(), json.loads(line)
            self.progress[job.id] = last

    async def _settle(self, job: Job, last: dict[str, Any], code: int, hung: bool) -> str:
        """Write down how a job ended; returns its state."""
        place, problems = self.place(job.id), list(last.get("problems", ()))
        state, error = DONE if last.get("usable") else FAILED, "; ".join(problems)
        if hung:
            state = FAILED
            error = f"no sign of life for {self._settings.timeout_s:g} s: the decoder hangs; save the file anew as MP4"
        elif last.get("stage") != "over":
            if code == STOPPED and await asyncio.to_thread(self._store.put_back, job.id):
                LOG.info("job %s: stopped, and goes on after the next start", job.id)
                return job.state
            self._metrics.workers_lost.labels("crashed").inc(code != STOPPED)
            state, error = FAILED, f"the decoder broke down (exit {code}); save the file anew as MP4 or JPEG"
        if await self._insist(job.id, state, error):
            gone = place / INPUT if state == DONE else place
        else:
            state, gone = CANCELLED, place
        await asyncio.to_thread(shutil.rmtree, gone, True)
        return state

    async def _insist(self, id: str, state: str, error: str) -> bool:
        """Write the end of a job down, however long the database is away; false if it was cancelled meanwhile."""
        while True:
            try:
                return await asyncio.to_thread(self._store.finish, id, state, error)
            except SQLAlchemyError:
                if self._closing:
                    raise
                LOG.error("job %s: its end cannot be written down, the database does not answer", id)
                await asyncio.sleep(RETRY_S)

    async def _sweep_always(self) -> None:
        while True:
            await asyncio.sleep(min(LONGEST_SWEEP_S, self._settings.retain_h * 3600 / 4))
            try:
                await self.sweep()
            except (SQLAlchemyError, OSError) as error:
                LOG.error("old jobs could not be removed (%s)", type(error).__name__)

    async def sweep(self) -> None:
        """Remove jobs that are over their time."""
        before = time.time() - self._settings.retain_h * 3600
        old = await asyncio.to_thread(self._store.expired, before)
        for id in old:
            await asyncio.to_thread(shutil.rmtree, self.place(id), True)
        if old:
            await asyncio.to_thread(self._store.remove, old)
            LOG.info("%d jobs were over their time and are removed", len(old))

    async def _remove_strays(self) -> None:
        """Folders that belong to no job: a server died between a file and its row. Only before the first upload."""
        here = {path.name for path in self.folder.iterdir()}
        for id in here - await asyncio.to_thread(self._store.ids):
            await asyncio.to_thread(shutil.rmtree, self.place(id), True)


def _ask_to_stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.close()


def _last_change(folder: Path) -> float:
    """When anything in a folder was last written to, seconds since 1970; 0 where there is nothing."""
    times = [0.0]
    with suppress(OSError):
        times += [entry.stat().st_mtime for entry in os.scandir(folder)]
    return max(times)
