"""`POST /v1/analyze`: a picture in, its faces out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from mien.server.context import context_of
from mien.server.refusal import Refusal
from mien.server.schemas import Analysis, PictureChoice, body, refusals
from mien.server.uploads import save

router = APIRouter()
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp")
T = TypeVar("T")


@router.post(
    "/v1/analyze",
    summary="Analyse a picture",
    response_model=Analysis,
    responses={
        200: {
            "description": "Its faces; or, with `Accept: image/png`, an annotated copy.",
            "content": {"image/png": {}},
        },
        **refusals(400, 401, 403, 408, 413, 415, 422, 429, 500, 504, 507),
    },
    openapi_extra=body(PICTURE_TYPES, many=False),
)
async def analyze(request: Request, choice: Annotated[PictureChoice, Query()]) -> Response:
    """The faces of a picture, from left to right: where, which expression, how sure. The picture is not kept."""
    context = context_of(request)
    chosen = context.choose(choice)
    context.pool.check()
    png = _wants_png(request)
    settings = context.settings
    async with context.arriving() as folder:
        upload = await save(request, folder, max_bytes=settings.max_bytes, timeout_s=settings.timeout_s, most=1)
        context.metrics.received.inc(upload.bytes)
        asked = {
            **chosen,
            "kind": "picture",
            "path": str(upload.files[0].resolve()),
            "png": png,
            "model": settings.weights(chosen["model"]),
        }
        answer, image = await _while_there(request, context.pool.ask(asked))
    context.metrics.faces.inc(len(answer["faces"]))
    return Response(image, media_type="image/png") if png else JSONResponse(answer)


def _wants_png(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "image/png" in accepted and "application/json" not in accepted


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Wait for an answer as long as somebody does; who has gone leaves the line.

    Raises:
        Refusal: 400, which nobody reads.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Refusal(400, "the sender went away", reason="gone")
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
