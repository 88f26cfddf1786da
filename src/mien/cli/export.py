"""`mien export`: a trained run becomes an ONNX file with its Spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Folder of a finished run; of several, the weights are averaged."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the data set; its validation split calibrates.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The .onnx file to write.")] = None,
    web: Annotated[
        Path | None, typer.Option("--web", help="Write the page for the browser as static files into this new folder.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name that the file carries; the run's by default.")] = "",
    half: Annotated[bool, typer.Option("--half/--full", help="Store weights as 16-bit floats.")] = True,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit weights and activations: smaller, faster.")] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average each face with its mirror image, inside the file; twice the work.")
    ] = False,
    prior: Annotated[
        float | None, typer.Option(help="Share put back of the class frequencies left out; chosen on validation.")
    ] = None,
    least_prior: Annotated[
        float, typer.Option(help="Rarer classes count as if they were as frequent as this; chosen on validation.")
    ] = 0.0,
    start: Annotated[str, typer.Option(help="Other data or weights that the run started from, for the record.")] = "",
    restorer: Annotated[
        bool, typer.Option("--restorer", help="Of a run of occlusion-gan, write the generator for `analyze --restore`.")
    ] = False,
    command: Annotated[str, typer.Option(help="The training command, for the record.")] = "",
) -> None:
    """Calibrate on the validation split and write one self-contained ONNX file; or write the page for the browser."""
    from mien.errors import require

    if web is not None:
        from mien.export.web import write_page

        typer.echo(f"{write_page(web)} files in {web}; serve them from any web server over https, or from localhost")
        return
    if not 0 <= least_prior < 1:
        raise typer.BadParameter(f"{least_prior} is no share of faces; name 0 to 1", param_hint="--least-prior")
    if not run or data is None or out is None:
        raise typer.BadParameter("name a run, --data and --out; or --web FOLDER for the page")
    require("torch", "train")
    require("onnx", "train")
    from mien.export.onnx import export_run
    from mien.export.sequence import reads_clips
    from mien.export.voice import reads_sound

    if restorer or reads_clips(run[-1]) or reads_sound(run[-1]):
        refused = {"--int8": int8, "--mirror": mirror, "several runs": len(run) > 1}
        refused |= {"--prior": prior is not None, "--least-prior": least_prior > 0}
        _other(run[-1], data, out, refused, restorer, name=name or run[-1].name, half=half, command=command)
        return
    facts = export_run(
        run,
        data,
        out,
        name=name or run[-1].name,
        half=half,
        int8=int8,
        mirror=mirror,
        prior_share=prior,
        least_prior=least_prior,
        start=start,
        command=command,
    )
    for key, value in facts.items():
        typer.echo(f"{key}: {value}")


def _other(
    run: Path, data: Path, out: Path, refused: dict[str, bool], restorer: bool, *, name: str, half: bool, command: str
) -> None:
    """Export what is no classifier of faces: a generator, or a network over sound or over clips."""
    from mien.export.restore import export_restorer
    from mien.export.sequence import export_sequence
    from mien.export.voice import export_voice, reads_sound

    if any(refused.values()):
        asked = ", ".join(word for word, given in refused.items() if given)
        kind = "generators" if restorer else "networks over sound" if reads_sound(run) else "networks over clips"
        raise typer.BadParameter(f"{asked}: not for {kind}", param_hint="RUN")
    export_one = export_restorer if restorer else export_voice if reads_sound(run) else export_sequence
    for key, value in export_one(run, data, out, name=name, half=half, command=command).items():
        typer.echo(f"{key}: {value}")
