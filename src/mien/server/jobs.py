"""`/v1/jobs`: videos, and many pictures, analysed one job after another."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, JSONResponse

from mien.server.context import Context, context_of
from mien.server.job_worker import INPUT, RESULT
from mien.server.refusal import Refusal
from mien.server.schemas import JobChoice, JobId, JobView, ResultFile, body, refusals
from mien.server.store import DONE, OVER, QUEUED, Job
from mien.server.uploads import drain, save

router = APIRouter()
VIDEO_TYPES = ("video/mp4", "video/webm", "video/quicktime")
RESULT_TYPES = {
    ".csv": "text/csv", ".json": "application/json", ".jsonl": "application/jsonl",
    ".html": "text/html", ".png": "image/png", ".mp4": "video/mp4",
}  # fmt: skip
Key = Annotated[
    str, Header(max_length=200, description="Your own name for the job: sent again under it, it is not done again.")
]


@router.post(
    "/v1/jobs",
    summary="Send a video, or several files",
    status_code=202,
    response_model=JobView,
    response_model_exclude_none=True,
    responses=refusals(400, 401, 403, 408, 413, 415, 422, 429, 503, 507),
    openapi_extra=body(VIDEO_TYPES, many=True),
)
async def send(
    request: Request, response: Response, choice: Annotated[JobChoice, Query()], idempotency_key: Key = ""
) -> JobView:
    """Put a job into the queue. The answer names it; `GET /v1/jobs/{id}` says how it stands."""
    context, owner = context_of(request), request.scope["mien.owner"]
    chosen = context.choose(choice)
    if chosen["anonymous"] and not chosen["overlay"]:
        raise Refusal(422, "anonymous: hides faces in annotated copies; give overlay=true too")
    job = await asyncio.to_thread(context.store.sent, owner, idempotency_key)
    if job is not None:
        await drain(request)
    elif await asyncio.to_thread(context.store.active) >= _most(context):
        raise _full(context)
    else:
        async with context.arriving() as folder:
            (folder / INPUT).mkdir()
            settings = context.settings
            upload = await save(request, folder / INPUT, max_bytes=settings.max_bytes, timeout_s=settings.timeout_s)
            context.metrics.received.inc(upload.bytes)
            async with context.adding:
                job = await asyncio.to_thread(_add, context, folder, owner, chosen, idempotency_key)
        await context.runner.wake()
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return await _view(context, job)


def _add(context: Context, folder: Path, owner: str, chosen: dict[str, Any], key: str) -> Job:
    """Make a job of an upload, unless the same was sent twice at once.

    Raises:
        Refusal: 429, the queue has become full.
    """
    if (twin := context.store.sent(owner, key)) is not None:
        return twin
    id = secrets.token_urlsafe(16)
    place, job = context.runner.place(id), None
    try:
        shutil.move(folder, place)
        if context.store.add(id, owner, chosen, _most(context), key):
            job = context.store.get(id)
    finally:
        if job is None:
            shutil.rmtree(place, ignore_errors=True)
    if job is None:
        raise _full(context)
    return job


@router.get(
    "/v1/jobs/{id}",
    summary="How a job stands",
    response_model=JobView,
    response_model_exclude_none=True,
    responses=refusals(401, 403, 404, 422, 503),
)
async def look(request: Request, id: JobId) -> JobView:
    """State and progress of a job and, once it is done, the names of its results."""
    return await _view(context_of(request), await _job(request, id))


@router.delete(
    "/v1/jobs/{id}",
    summary="Cancel a job, or remove its results",
    response_model=JobView,
    response_model_exclude_none=True,
    responses={204: {"description": "It was over; nothing of it is kept."}, **refusals(401, 403, 404, 422, 503)},
)
async def remove(request: Request, id: JobId) -> Response:
    """A job that waits or runs is cancelled; one that is over is removed. Its files go either way."""
    context = context_of(request)
    job = await _job(request, id)
    if job.state not in OVER and await asyncio.to_thread(context.store.cancel, id):
        await context.runner.cancel(id)
        view = await _view(context, await _job(request, id))
        return JSONResponse(view.model_dump(exclude_none=True))
    await asyncio.to_thread(shutil.rmtree, context.runner.place(id), True)
    await asyncio.to_thread(context.store.remove, [id])
    return Response(status_code=204)


@router.get(
    "/v1/jobs/{id}/result/{file}",
    summary="Fetch a result",
    response_class=FileResponse,
    responses={
        200: {"content": {kind: {} for kind in sorted(set(RESULT_TYPES.values()))}},
        **refusals(401, 403, 404, 409, 422, 503),
    },
)
async def fetch(
    request: Request, id: JobId, file: Annotated[str, PathParameter(max_length=200, examples=["faces.csv"])]
) -> Response:
    """One of the files that `GET /v1/jobs/{id}` names: faces.csv, events.csv, summary.json, annotated copies, plots."""
    context = context_of(request)
    job = await _job(request, id)
    if job.state != DONE:
        raise Refusal(409, f"the job is {job.state}, so there are no results")
    found = {path.name: path for path in _results(context, id)}
    if file not in found:
        raise Refusal(404, f"there is no such result; there are: {', '.join(found)}")
    return FileResponse(found[file], media_type=RESULT_TYPES[found[file].suffix], filename=file)


async def _job(request: Request, id: str) -> Job:
    job = await asyncio.to_thread(context_of(request).store.get, id)
    # another's job is as good as none: whoever guesses a name learns nothing
    if job is None or job.owner != request.scope["mien.owner"]:
        raise Refusal(404, "there is no such job; it may have been removed, for results are kept for a limited time")
    return job


def _most(context: Context) -> int:
    """Jobs that may wait or run."""
    return context.settings.queue + context.settings.workers


def _full(context: Context) -> Refusal:
    retry = context.runner.pace.wait(1, context.settings.workers)
    return Refusal(429, f"{_most(context)} jobs wait or run already; try later", retry_s=retry, reason="full")


def _results(context: Context, id: str) -> list[Path]:
    folder = context.runner.place(id) / RESULT
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in RESULT_TYPES and not path.name.startswith("."))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _view(context: Context, job: Job) -> JobView:
    view = JobView(id=job.id, state=job.state, created=_time(job.created), error=job.error)  # type: ignore[arg-type]
    if job.finished is not None:
        view.finished = _time(job.finished)
        view.removed = _time(job.finished + context.settings.retain_h * 3600)
    if job.state == QUEUED:
        view.ahead = await asyncio.to_thread(context.store.ahead, job)
    if job.state == DONE:
        files = await asyncio.to_thread(_results, context, job.id)
        view.files = [ResultFile(name=path.name, bytes=path.stat().st_size) for path in files]
    news = context.runner.progress.get(job.id, {})
    view.stage, view.frames = news.get("stage"), news.get("frames")
    view.frames_expected = news.get("frames_expected")
    return view
