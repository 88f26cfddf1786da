"""`mien serve`: the same analysis over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Model = Annotated[str, typer.Option(help="Weights for requests that name none, or a path to an .onnx file.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, directml, coreml, openvino, or auto (docs/speed.md).")]
Jobs = Annotated[Path | None, typer.Option(help="Folder of uploads, results and the queue.", show_default="yours")]
Database = Annotated[str, typer.Option(envvar="MIEN_DATABASE", help="postgresql://... for the queue.")]
Retain = Annotated[float, typer.Option(help="Hours for which a finished job is kept.")]
TokenFile = Annotated[Path | None, typer.Option(help="Ask for a bearer token, one of this file's lines.")]
MaxUpload = Annotated[float, typer.Option(help="Largest body, MB.")]
MaxPixels = Annotated[int, typer.Option(help="Largest picture or frame, width times height.")]
MaxDuration = Annotated[float, typer.Option(help="Longest video, seconds.")]
Queue = Annotated[int, typer.Option(help="Pictures that may wait, and jobs; then 429.")]
Workers = Annotated[int, typer.Option(help="Pictures analysed at a time, and jobs.")]
Timeout = Annotated[float, typer.Option(help="Longest wait for an answer or a sign of life, seconds.")]
Pages = Annotated[Path | None, typer.Option(help="Folder of static pages for /.")]
Origin = Annotated[list[str] | None, typer.Option(help="A site whose pages may call this server; may be repeated.")]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8642,
    model: Model = "mien-s",
    device: Device = "cpu",
    jobs: Jobs = None,
    database: Database = "",
    retain: Retain = 24,
    token_file: TokenFile = None,
    max_upload: MaxUpload = 500,
    max_pixels: MaxPixels = 40_000_000,
    max_duration: MaxDuration = 3600,
    queue: Queue = 16,
    workers: Workers = 1,
    timeout: Timeout = 60,
    pages: Pages = None,
    origin: Origin = None,
) -> None:
    """Analyse pictures, videos and live cameras for other programs and for the browser (docs/server.md)."""
    import logging

    from mien.errors import require

    for package in ("fastapi", "uvicorn", "websockets", "python_multipart", "sqlalchemy", "prometheus_client", "PIL"):
        require(package, "serve")
    from mien.pipeline.model import load
    from mien.pipeline.store import find_file
    from mien.server.app import serve as run
    from mien.server.settings import Settings, default_folder, read_tokens

    find_file(model)  # a wrong name is told now, and not by a worker
    device = device if device == "cpu" else load(model, device=device).device
    settings = Settings(
        host=host,
        port=port,
        model=model,
        device=device,
        jobs=jobs or default_folder(),
        database=database,
        retain_h=retain,
        tokens=read_tokens(token_file) if token_file else (),
        max_upload_mb=max_upload,
        max_pixels=max_pixels,
        max_duration_s=max_duration,
        queue=queue,
        workers=workers,
        timeout_s=timeout,
        pages=pages,
        origins=tuple(origin or ()),
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(settings, lambda address: typer.echo(f"mien serves on {address}"))
