"""The command line: one small file per verb."""

from __future__ import annotations

import errno
import sys

import typer

from mien import __version__
from mien.cli import (
    analyze,
    bench,
    coding,
    data,
    doctor,
    evaluate,
    export,
    fairness,
    listing,
    magnify,
    report,
    serve,
    speed,
    study,
    synthetic,
    train,
    weights,
)
from mien.cli.console import printable
from mien.errors import MienError

app = typer.Typer(
    name="mien",
    help="Read facial expressions in pictures, video and live cameras, on this machine alone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    del version


app.command("analyze")(analyze.analyze)
app.command("report")(report.report)
app.command("agree")(coding.agree)
app.command("magnify")(magnify.magnify)
app.command("list")(listing.list_kind)
app.command("show")(listing.show)
app.add_typer(weights.app, name="weights")
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
data.app.command("synthesise")(synthetic.synthesise)
data.app.command("scans")(synthetic.scans)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("export")(export.export)
bench.app.command("growth")(speed.growth)
bench.app.command("speed")(speed.speed)
bench.app.command("floor")(speed.floor)
bench.app.command("profile")(speed.profile)
bench.app.command("start")(speed.start)
bench.app.command("run")(study.run)
bench.app.command("table")(study.table)
bench.app.command("events")(synthetic.events)
bench.app.command("fairness")(fairness.fairness)
app.add_typer(bench.app, name="bench")


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def _refusal(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    if error.errno in FULL:
        return f"{place}the disk is full; make room and start again, what was whole before is kept"
    return f"{place}{error.strerror}; the disk does not allow it: name another folder, or see to its rights"


def main() -> None:
    """Entry point: a MienError is one sentence and exit 1, and so is what the disk refuses; a wrong call is exit 2."""
    try:
        app()
    except MienError as error:
        print(f"mien: {printable(str(error))}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in (*FULL, *REFUSED):
            raise
        print(f"mien: {printable(_refusal(error))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("mien: stopped", file=sys.stderr)
        sys.exit(130)
