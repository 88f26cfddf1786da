"""What the routes share."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import Request, WebSocket

from mien.server.metrics import Metrics
from mien.server.pool import Pool
from mien.server.refusal import Refusal
from mien.server.runner import Runner
from mien.server.schemas import Choice
from mien.server.settings import Settings
from mien.server.store import Store


@dataclass
class Context:
    """One per server.

    Attributes:
        models: answer of `GET /v1/models`; filled at the start.
        uploads: bodies that are being read now.
        cameras: live connections.
        failure: why the server could not start.
        adding: held while a job is put into the queue, so that its limit holds.
    """

    settings: Settings
    metrics: Metrics
    store: Store
    pool: Pool
    runner: Runner
    models: dict[str, Any] = field(default_factory=dict)
    uploads: int = 0
    cameras: int = 0
    failure: str = ""
    adding: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def spool(self) -> Path:
        """Folder of uploads on their way."""
        return self.settings.jobs / "spool"

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator[Path]:
        """An empty folder for an upload, removed afterwards unless it was moved.

        Raises:
            Refusal: 429 where too many come at once.
        """
        most = self.settings.workers + self.settings.queue
        if self.uploads >= most:
            raise Refusal(429, f"{most} uploads come in at this moment; try again later", retry_s=2, reason="full")
        self.uploads += 1
        folder = Path(tempfile.mkdtemp(dir=self.spool))
        try:
            yield folder
        finally:
            self.uploads -= 1
            await asyncio.to_thread(shutil.rmtree, folder, True)

    def choose(self, choice: Choice) -> dict[str, Any]:
        """Options with the server's defaults filled in.

        Raises:
            Refusal: 422 for a model or detector that is not here.
        """
        chosen = choice.model_dump()
        known = {"model": [m["name"] for m in self.models["models"]], "detector": self.models["detectors"]}
        first = {"model": self.models["default"], "detector": self.models["detectors"][0]}
        for name, values in known.items():
            chosen[name] = chosen[name] or first[name]
            if chosen[name] not in values:
                raise Refusal(422, f"{name}: {chosen[name][:60]!r} is not one of {', '.join(values)}")
        return chosen


def context_of(request: Request | WebSocket) -> Context:
    """The context of the server that a request came to."""
    found: Context = request.app.state.context
    return found
