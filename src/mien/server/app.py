"""The application: routes, errors, start and stop; and `serve`, which runs it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Receive, Scope, Send

from mien import __version__
from mien.errors import InputError
from mien.export.web import MODELS
from mien.pipeline.store import find_file
from mien.server import about, home, jobs, live, pictures
from mien.server.context import Context, context_of
from mien.server.guard import Guard
from mien.server.locks import FolderLock
from mien.server.metrics import Metrics
from mien.server.pool import Pool
from mien.server.refusal import Refusal
from mien.server.runner import Runner, home_name
from mien.server.settings import PAGE, Settings
from mien.server.store import Store, open_engine

LOG = logging.getLogger("mien.server")
FRAME_BYTES, CLOSE_S = 8_000_000, 10
ABOUT = """Reads facial expressions in pictures, videos and live cameras, on this machine alone.

Nothing is kept longer than `--retain` says; a picture that was sent to `/v1/analyze` is gone once it is answered. Every
refusal is one sentence: `{"error": "..."}`."""


def make_context(settings: Settings) -> Context:
    """Open the database and prepare the workers; nothing runs yet.

    Raises:
        InputError: the folder or the database cannot be used.
    """
    metrics = Metrics()
    store = Store(open_engine(settings.database, settings.jobs), home_name(settings.jobs))
    facts = {
        "max_pixels": settings.max_pixels,
        "threads": settings.threads,
        "device": settings.device,
        "model": settings.weights(settings.model_name),
        "memory_bytes": settings.memory_bytes,
        "timeout_s": settings.timeout_s,
    }
    pool = Pool(
        facts, settings.workers, settings.queue, settings.timeout_s, lambda how: metrics.workers_lost.labels(how).inc()
    )
    return Context(settings, metrics, store, pool, Runner(store, settings, metrics))


def create_app(context: Context, started: Callable[[], None] = lambda: None) -> FastAPI:
    """The application.

    Args:
        context: from `make_context`.
        started: called when requests can be answered.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        shutil.rmtree(context.spool, ignore_errors=True)  # uploads that a dead server had not finished
        context.spool.mkdir(mode=0o700)
        try:
            context.models = await context.pool.start()
            await context.runner.start()
        except Refusal as error:
            context.failure = error.sentence
            raise
        started()
        try:
            yield
        finally:
            await asyncio.gather(context.runner.close(), context.pool.close())
            shutil.rmtree(context.spool, ignore_errors=True)
            await asyncio.to_thread(context.store.close)

    app = FastAPI(
        title="mien", version=__version__, description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    app.state.context = context
    # the guard asks for the token; this tells OpenAPI so
    token = [Security(HTTPBearer(auto_error=False))] if context.settings.tokens else []
    for routes in (pictures, jobs, about):
        app.include_router(routes.router, dependencies=token)
    app.include_router(live.router)
    app.openapi = lambda: _describe(app, context)  # type: ignore[method-assign]
    _add_pages(app, context.settings.pages or (PAGE if (PAGE / "index.html").is_file() else None))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(SQLAlchemyError, _no_database)
    app.add_middleware(Guard, settings=context.settings, metrics=context.metrics)
    if context.settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(context.settings.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "Location"],
        )
    return app


class _Pages(StaticFiles):
    """Static files under `/` that leave a route's wrong methods to the route, which answers 405."""

    def __init__(self, folder: Path, routes: Sequence[BaseRoute]) -> None:
        super().__init__(directory=folder, html=True)
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for route in self._routes:
            if not isinstance(route, Mount) and route.matches(scope)[0] is Match.PARTIAL:
                await route.handle(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def _describe(app: FastAPI, context: Context) -> dict[str, Any]:
    """OpenAPI, with the names of the models and detectors that are here."""
    document = FastAPI.openapi(app)
    names = {"model": [m["name"] for m in context.models.get("models", ())], "detector": context.models["detectors"]}
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in names:
                    parameter["schema"]["enum"] = ["", *names[parameter["name"]]]
    return document


def _add_pages(app: FastAPI, folder: Path | None) -> None:
    if folder is not None:

        @app.get("/models/{name}.onnx", include_in_schema=False)
        async def weights(name: str) -> FileResponse:
            """Weights that the page runs in the browser."""
            if name not in MODELS:
                raise HTTPException(404)
            return FileResponse(find_file(name), media_type="application/octet-stream")

        app.mount("/", _Pages(folder, app.routes), name="pages")
        return

    @app.get("/", include_in_schema=False)
    async def plain_page() -> HTMLResponse:
        return HTMLResponse(home.page())


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    context_of(request).metrics.refused.labels(error.reason or "other").inc()
    return JSONResponse({"error": error.sentence}, error.status, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    name = ".".join(str(part) for part in fault["loc"][1:])
    return await _refused(request, Refusal(422, f"{name}: {fault['msg']}", reason="options"))


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "there is nothing here; / names the routes", 405: f"not with {request.method}; see /openapi.json"}
    headers = dict(error.headers or {})
    if error.status_code == 405:  # FastAPI knows one method per route; the path may have more
        path = getattr(request.scope.get("route"), "path", "")
        headers["Allow"] = ", ".join(method.upper() for method in request.app.openapi()["paths"].get(path, ()))
    return JSONResponse({"error": sentences.get(error.status_code, error.detail)}, error.status_code, headers)


async def _no_database(request: Request, error: Exception) -> Response:
    LOG.error("the database does not answer (%s)", type(error).__name__)
    return await _refused(request, Refusal(503, "the database does not answer; try again later", retry_s=5))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        raise InputError(
            f"{settings.host} port {settings.port}: cannot listen there ({error.strerror}); give another --port"
        ) from error


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run until Ctrl-C or SIGTERM.

    Args:
        say: called with the address once requests can be answered.

    Raises:
        InputError: the port, the folder or the database cannot be used.
        WeightsError, UnknownName: there is no such model.
    """
    try:
        settings.jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FolderLock(settings.jobs / "server.lock")
    except BlockingIOError as error:
        raise InputError(f"{settings.jobs}: another server uses this folder; give another --jobs") from error
    except OSError as error:
        raise InputError(f"{settings.jobs}: cannot be used for jobs ({error.strerror}); give another --jobs") from error
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    with lock, _listen(settings) as listening:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{listening.getsockname()[1]}"
        context = make_context(settings)
        app = create_app(context, lambda: say(address))
        config = uvicorn.Config(
            app, ws="websockets-sansio", ws_max_size=FRAME_BYTES, ws_per_message_deflate=False, log_level="critical",
            access_log=False, server_header=False, timeout_keep_alive=5, timeout_graceful_shutdown=CLOSE_S,
            lifespan="on",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])
    if context.failure:
        raise InputError(f"the server could not start: {context.failure}")
