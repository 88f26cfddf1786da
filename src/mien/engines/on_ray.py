"""Units on Ray Data: a table of units, mapped by a pool of actors that each hold a `Worker`.

Ray starts an actor again when its process dies and gives it the same units again; what keeps a unit from being done
twice, or for ever, stands in `ledger.py`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import ModuleType, TracebackType
from typing import Any

from mien.engines.units import Unit
from mien.engines.worker import Job, Result, Worker
from mien.errors import InputError, require

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_raylet_start_wait_time_s": "120"}
"""No telemetry; nothing of its inner life on the terminal; patience with a busy machine."""
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Makes a Ray of this machine alone listen on 127.0.0.1: on Linux that is else the address for the outside."""
STORE_BYTES = 100 << 20
"""Only names and notes pass through Ray's store."""
RESULT_BYTES = 1 << 20
"""More than a task gives back: Ray Data starts no more tasks than the store could hold results of."""
MANY = 20
"""Units a worker from which on each worker gets one in advance."""
PATIENCE_S = 10.0
"""How long a cluster's address may take to answer."""
MOST_TASKS = 10_000
"""Of more units, several are one task, so that Ray does not keep books of millions."""


class RayEngine:
    """A Ray that units are carried by: that of `address`, the one this process is connected to, or a new local one.

    It is started, or connected to, with the first unit.

    Args:
        address: of a cluster, as `ray start` prints it; empty: of this machine, closed at the end.
        cpus: how many cores to use at most; 0: all that there are.
        threads: cores for each worker.

    Attributes:
        facts: for summary.json.

    Raises:
        MissingExtra: Ray is not installed.
    """

    def __init__(self, address: str = "", cpus: int = 0, threads: int = 1) -> None:
        self._ray = import_ray(local=not address)
        self._address, self._cpus, self._threads = address, cpus, threads
        self._own, self._workers = False, 0
        self.facts: dict[str, Any] = {"name": "ray", "version": self._ray.__version__}

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        """Find out how many workers there can be.

        Raises:
            InputError: no Ray answers, or it has too few cores.
        """
        if not self._ray.is_initialized():
            self._own = True
            self._connect()
        there = int(self._ray.cluster_resources().get("CPU", 0))
        cpus = min(self._cpus or there, there)
        self._workers = cpus // self._threads
        if not self._workers:
            raise InputError(f"{self._threads} threads a worker, but Ray gives {cpus} cores; lower --threads")
        self.facts |= {"workers": self._workers, "threads": self._threads}

    def _connect(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        local = {
            "num_cpus": self._cpus or cores(), "include_dashboard": False, "object_store_memory": STORE_BYTES
        }  # fmt: skip
        address = self._address
        try:
            _reach(address)
            with _silent():
                self._ray.init(address=address or "local", **quiet, **({} if address else local))
        except (OSError, RuntimeError, ValueError) as error:
            where = f"no Ray answers at {address}" if address else "Ray does not start on this machine"
            raise InputError(f"{where} ({(str(error) or type(error).__name__).splitlines()[0]})") from error

    def carry(self, units: Sequence[Unit], job: Job) -> Iterator[tuple[Unit, Result]]:
        """Units to workers; what comes back as it comes.

        Raises:
            InputError: no Ray answers, or it has too few cores.
        """
        if not self._workers:
            self._start()
        data = require("ray.data", "cluster")
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.target_max_block_size = RESULT_BYTES
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # one in waiting at each worker saves 0.1 s a unit; where units are few it might wait behind a long one
        ahead = 2 if len(units) >= MANY * self._workers else 1
        pool = data.ActorPoolStrategy(size=min(self._workers, len(units)), max_tasks_in_flight_per_actor=ahead)
        table = data.from_items(
            [{"unit": unit.to_json()} for unit in units], override_num_blocks=min(len(units), MOST_TASKS)
        )
        answers = table.map_batches(
            Carrier, fn_constructor_args=(job,), batch_size=1, compute=pool, num_cpus=self._threads
        )
        for row in answers.iter_rows():
            yield Unit.from_json(row["unit"]), Result.from_json(row["result"])

    def close(self) -> None:
        """Let go of Ray; end it if it was started here."""
        if self._own:
            self._own = False
            with suppress(Exception):
                self._ray.shutdown()


class Carrier:
    """A worker as Ray Data calls it: columns in, columns out."""

    def __init__(self, job: Job) -> None:
        self._worker = Worker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Do the units of a batch."""
        texts = [str(text) for text in batch["unit"]]
        return {"unit": texts, "result": [self._worker.do(Unit.from_json(text)).to_json() for text in texts]}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _reach(address: str) -> None:
    """Knock at a cluster's port: Ray itself would wait for minutes where nobody is.

    Raises:
        OSError, ValueError: nobody answers there, or it is no address.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S).close()


@contextmanager
def _silent() -> Iterator[None]:
    """Without what Ray's C++ writes to stderr past Python as it starts: how it was told to be quiet."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def import_ray(*, local: bool) -> ModuleType:
    """Ray, told what it reads from the environment when it is imported: it must not have been imported before.

    Raises:
        MissingExtra: it is not installed.
    """
    for name, value in {**QUIET, **(LOOPBACK if local else {})}.items():
        os.environ.setdefault(name, value)
    return require("ray", "cluster")
