"""`/v1/live`: frames of a camera in, faces out, over a WebSocket."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect, WebSocketState

from mien.server.context import Context, context_of
from mien.server.guard import PROTOCOL
from mien.server.refusal import Refusal
from mien.server.schemas import Choice

router = APIRouter()
PER_WORKER = 4
TRY_LATER, REFUSED = 1013, 1008


@dataclass
class Newest:
    """Holds one frame: a newer one takes the place of one that nobody has taken yet."""

    frame: tuple[int, float, bytes] | None = None
    dropped: int = 0
    gone: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, number: int, time_s: float, data: bytes) -> None:
        """A frame came."""
        self.dropped += self.frame is not None
        self.frame = (number, time_s, data)
        self._news.set()

    def end(self) -> None:
        """No more will come."""
        self.gone = True
        self._news.set()

    async def take(self) -> tuple[int, float, bytes] | None:
        """The newest frame; None once the sender has gone."""
        await self._news.wait()
        self._news.clear()
        frame, self.frame = self.frame, None
        return None if self.gone else frame


@router.websocket("/v1/live")
async def live(socket: WebSocket) -> None:
    """Each binary message is a JPEG (or PNG, WebP) frame; the answer to the newest one comes as JSON.

    Frames that come while another is analysed are dropped but for the newest. Tracks are stable within a connection.
    """
    context = context_of(socket)
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(PROTOCOL if PROTOCOL in offered else None)
    if context.cameras >= PER_WORKER * context.settings.workers:
        context.metrics.refused.labels("full").inc()
        await socket.close(TRY_LATER, "too many cameras; try again later")
        return
    try:
        chosen = context.choose(Choice(**socket.query_params))  # type: ignore[arg-type]
    except (Refusal, ValidationError) as error:
        reason = error.sentence if isinstance(error, Refusal) else _first(error)
        await socket.close(REFUSED, reason[:120])
        return
    chosen["model"] = context.settings.weights(chosen["model"])
    newest = Newest()
    context.cameras += 1
    reading = asyncio.create_task(_read(socket, newest, context.settings.timeout_s))
    try:
        await _answer(socket, context, chosen, newest)
    except (WebSocketDisconnect, RuntimeError):
        pass  # it went away while an answer was on its way
    finally:
        context.cameras -= 1
        context.metrics.frames.labels("dropped").inc(newest.dropped)
        reading.cancel()
        if socket.application_state is WebSocketState.CONNECTED and socket.client_state is WebSocketState.CONNECTED:
            await socket.close(REFUSED, "frames are binary messages, and one must come before the time is out")


def _first(error: ValidationError) -> str:
    fault = error.errors()[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"


async def _read(socket: WebSocket, newest: Newest, timeout_s: float) -> None:
    begin, number = time.monotonic(), 0
    try:
        while True:
            message = await asyncio.wait_for(socket.receive(), timeout_s)
            data = message.get("bytes")
            if message["type"] == "websocket.disconnect" or data is None:
                return
            newest.put(number, time.monotonic() - begin, data)
            number += 1
    except (TimeoutError, RuntimeError):
        return
    finally:
        newest.end()


async def _answer(socket: WebSocket, context: Context, chosen: dict[str, Any], newest: Newest) -> None:
    tracker: dict[str, Any] | None = None
    while (taken := await newest.take()) is not None:
        number, time_s, data = taken
        asked = {**chosen, "kind": "frame", "frame": number, "time_s": time_s, "tracker": tracker}
        try:
            answer, _ = await context.pool.ask(asked, data)
            tracker = answer.pop("tracker")
            context.metrics.frames.labels("answered").inc()
            context.metrics.faces.inc(len(answer["faces"]))
        except Refusal as refusal:
            answer = {"error": refusal.sentence}
            context.metrics.refused.labels(refusal.reason or "other").inc()
        await socket.send_json({"frame": number, "time_s": round(time_s, 3), "dropped": newest.dropped, **answer})
