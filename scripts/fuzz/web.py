"""`mien serve` without its processes: whole requests, and messages of the live connection."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from kit import harness, scratch

WORDS = (
    b"multipart/form-data; boundary=b",
    b"Content-Length: -1",
    b"filename=",
    b"%00",
    b"\r\n\r\n",
    b"..%2f",
    b"Range: bytes=",
)
ROUTES = (
    b"POST /v1/analyze?min_face=24\nContent-Type: image/jpeg\n\n",
    b'POST /v1/jobs?every=2&smooth=0.2\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: '
    b'form-data; name="file"; filename="../a.jpg"\r\n\r\nxyz\r\n--b--\r\n',
    b"GET /v1/jobs/AAAAAAAAAAAAAAAAAAAAAA/result/..%2ffaces.csv\n\n", b"DELETE /v1/jobs/AAAAAAAAAAAAAAAAAAAAAA\n\n",
    b"GET /v1/models\nOrigin: http://evil.example\n\n", b"GET /metrics\nHost: evil.example\n\n",
    b"GET /openapi.json\n\n", b"GET /healthz\n\n", b"GET /\n\n", b"GET /models/mien-s.onnx\nRange: bytes=0-10\n\n",
)  # fmt: skip


class Desk:
    """Stands in for the pool of processes: a worker's own code, in this process."""

    waiting = busy = 0
    size = 1

    def __init__(self, facts: dict[str, Any]) -> None:
        from mien.server.picture_worker import Desk as Worker

        self._worker = Worker(facts)

    async def start(self) -> dict[str, Any]:
        return self._worker.hello()

    async def close(self) -> None:
        return None

    def check(self) -> None:
        return None

    async def ask(self, fields: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        from mien.errors import MienError
        from mien.server.refusal import Refusal

        try:
            return self._worker.answer(fields, payload)
        except MienError as error:
            raise Refusal(422, str(error)) from error


def _application(folder: Path) -> tuple[asyncio.AbstractEventLoop, Any, Any]:
    from mien.server.app import create_app, make_context
    from mien.server.settings import Settings

    jobs = folder / "jobs"
    jobs.mkdir()
    context = make_context(Settings(jobs=jobs, max_upload_mb=0.1, max_pixels=100_000, timeout_s=2, queue=10**6))
    context.pool = Desk(  # type: ignore[assignment]
        {"max_pixels": 100_000, "threads": 1, "model": "mien-s"}
    )
    loop = asyncio.new_event_loop()
    context.spool.mkdir()
    context.runner.folder.mkdir()
    context.models = loop.run_until_complete(context.pool.start())
    return loop, create_app(context), context


def _picture() -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((48, 48, 3), 90, np.uint8))[1].tobytes())


@harness("http", "requests to mien serve: path, options, headers, bodies and forms", words=WORDS)
def http() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    loop, app, context = _application(scratch())

    async def ask(data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        method, _, target = first.partition(b" ")
        path, _, query = target.partition(b"?")
        headers = [(b"host", b"localhost")] + [
            (name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines) if name
        ]
        pieces = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if pieces:
                return pieces.pop()
            await asyncio.sleep(3)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        from urllib.parse import unquote

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "method": method.decode("latin1").upper() or "GET", "path": unquote(path.decode("latin1")) or "/",
            "raw_path": path, "query_string": query, "headers": headers, "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8642),
        }  # fmt: skip
        await app(scope, receive, send)
        status = next((message["status"] for message in sent if message["type"] == "http.response.start"), None)
        if status is None or status >= 500:
            raise AssertionError(f"answered with {status}")

    count = [0]

    def run(data: bytes) -> object:
        count[0] += 1
        if count[0] % 500 == 0:  # jobs that were put into the queue
            for place in context.runner.folder.iterdir():
                context.store.remove([place.name])
                shutil.rmtree(place, True)
        return loop.run_until_complete(ask(data))

    return [*ROUTES, ROUTES[0] + _picture()], run


@harness("websocket", "frames and options of /v1/live")
def websocket() -> tuple[Iterable[bytes], Callable[[bytes], object]]:
    loop, app, _ = _application(scratch())

    async def ask(data: bytes) -> None:
        query, _, body = data.partition(b"\n\n")
        kind = {"text": body.decode("latin1")} if body[:1] == b"T" else {"bytes": body}
        messages = [{"type": "websocket.disconnect", "code": 1000}, {"type": "websocket.receive", **kind}]
        messages.append({"type": "websocket.connect"})
        answers: list[Any] = []
        answered = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if len(messages) == 1:  # it goes away once it was answered
                await asyncio.wait([asyncio.ensure_future(answered.wait())], timeout=1)
            return messages.pop() if messages else {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Any) -> None:
            answers.append(message)
            if message["type"] in ("websocket.send", "websocket.close"):
                answered.set()

        scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "root_path": "",
            "path": "/v1/live", "raw_path": b"/v1/live", "query_string": query, "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8642), "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        await app(scope, receive, send)
        if not answers:
            raise AssertionError("no answer at all")

    def run(data: bytes) -> object:
        return loop.run_until_complete(ask(data))

    return [b"min_face=24\n\n" + _picture(), b"model=mien-m\n\n" + _picture(), b"\n\nTtext", b"min_face=x\n\n"], run
