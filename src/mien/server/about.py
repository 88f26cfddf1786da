"""`/v1/models`, `/healthz`, `/metrics`: what there is and how it goes."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from mien import __version__
from mien.server.context import context_of
from mien.server.schemas import Models, refusals

router = APIRouter()


class Health(BaseModel):
    """The server answers."""

    status: str
    mien: str


@router.get("/v1/models", summary="Models and detectors", response_model=Models, responses=refusals(401, 403))
async def models(request: Request) -> object:
    """What a request may name, with labels, training data, licence and measured accuracy."""
    return context_of(request).models


@router.get("/healthz", summary="Is it well", response_model=Health, responses=refusals(403, 503))
async def health(request: Request) -> Health:
    """200 if the server and its database answer. Needs no token."""
    await asyncio.to_thread(context_of(request).store.counts)
    return Health(status="ok", mien=__version__)


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **refusals(401, 403, 503)},
)
async def metrics(request: Request) -> Response:
    """Requests, times, queues, workers that were lost. Nothing in it tells who sent what."""
    context = context_of(request)
    counted = context.metrics
    counted.busy.set(context.pool.busy)
    counted.waiting.set(context.pool.waiting)
    counted.live.set(context.cameras)
    for state, count in (await asyncio.to_thread(context.store.counts)).items():
        counted.jobs.labels(state).set(count)
    return Response(counted.text(), media_type=CONTENT_TYPE_LATEST)
