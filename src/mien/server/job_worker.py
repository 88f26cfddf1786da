"""A process that does one job: `python -m mien.server.job_worker`, with the job's facts as its argument.

It runs in the job's folder, on the path of `mien analyze --resume`. When its standard input ends, the server has gone:
it notes how far it came and ends.
"""

from __future__ import annotations

import _thread
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import InputError
from mien.server import channel
from mien.server.locks import FolderLock

if TYPE_CHECKING:
    from mien.pipeline.sources import Source
    from mien.types import FrameResult

INPUT, RESULT, LOCK = "input", "result", "job.lock"
STOPPED, GRACE_S, NEWS_S = 130, 10.0, 0.25
Tell = Callable[[dict[str, Any]], None]


def _end_with_server() -> None:
    """Stop in good order when the server asks for it or has gone; at once if that does not work."""
    sys.stdin.buffer.read(1)
    _thread.interrupt_main()
    time.sleep(GRACE_S)
    os._exit(STOPPED)


class Watch:
    """Tells how far the job is, and stops a video that turns out larger or longer than its header said."""

    def __init__(self, tell: Tell, facts: dict[str, Any], totals: dict[str, int], already: int) -> None:
        self._tell, self._facts = tell, facts
        self._all, self._done, self._told = sum(totals.values()), already, 0.0

    def __call__(self, source: Source, result: FrameResult) -> None:
        from mien.server.limits import too_large, too_long

        height, width = result.frame.image.shape[:2]
        trouble = too_large(width, height, self._facts["max_pixels"], "a frame")
        trouble = trouble or too_long(result.time_s or 0.0, self._facts["max_duration_s"])
        if trouble:
            raise InputError(trouble)
        self._done += 1
        if time.monotonic() - self._told > NEWS_S:
            self._told = time.monotonic()
            self._tell({"stage": "analysing", "frames": self._done, "frames_expected": self._all or None})


def _work(facts: dict[str, Any], tell: Tell) -> tuple[list[str], bool]:
    """Do the job; returns what could not be analysed, one sentence each, and whether anything could."""
    from mien.analysis import Run
    from mien.events import EventOptions
    from mien.events.second_pass import Timing
    from mien.pipeline.decoding import Decoder
    from mien.pipeline.flow import Flow, Options
    from mien.pipeline.writers import read_progress
    from mien.report.copies import draw_copies
    from mien.report.page import write_report

    options, result = facts["options"], Path("..") / RESULT
    tell({"stage": "starting"})
    os.chdir(INPUT)
    names = [f"./{name}" if name.startswith("camera") else name for name in sorted(os.listdir())]
    usable, problems, totals = _looked_at(names, facts, options["every"])
    if not usable:
        return problems, False
    own = {"threads": facts["threads"], "device": facts.get("device", "cpu")}
    flow = Flow(Options(options["model"], options["detector"], options["every"], options["min_face"], **own))
    events = EventOptions(options["event_threshold"], options["event_min_seconds"])
    note = read_progress(result)
    if note and note["identity"].get("sha256") != flow.model.sha256:
        shutil.rmtree(result)  # the weights were replaced between two starts: the rows must be of one kind
        note = None
    already = sum(state["frames"] for state in note["sources"].values()) if note else 0
    timing = Timing(options["smooth"], options["baseline"], events)
    run = Run(flow, result, options["format"], timing=timing, decoder=Decoder(facts["patience_s"]))
    run.watch = Watch(tell, facts, totals, already)
    tell({"stage": "analysing", "frames": already, "frames_expected": sum(totals.values()) or None})
    run.analyze(usable, resume=True)
    tell({"stage": "drawing"})
    draw_copies(run, overlay=options["overlay"], anonymous=options["anonymous"], plot=options["plot"])
    _forget_path(result / "summary.json")
    if options["report"]:
        write_report(result)
    problems += [f"{problem.source}: {problem.reason}" for problem in run.problems]
    return problems, any(done.frames for done in run.state.values())


def _forget_path(path: Path) -> None:
    """The summary names the model, not where it lies on the server."""
    from mien.pipeline.writers import write_whole

    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["options"]["model"] = Path(summary["options"]["model"]).name
    write_whole(path, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


def _looked_at(names: list[str], facts: dict[str, Any], every: int) -> tuple[list[str], list[str], dict[str, int]]:
    """Files that are within the limits, sentences on the others, and the frames that each is expected to give."""
    from mien.pipeline.sources import find_sources, length
    from mien.server.limits import check

    usable, problems, totals = [], [], {}
    for source in find_sources(names)[0]:
        try:
            check(source, facts["max_pixels"], facts["max_duration_s"])
        except InputError as error:
            problems.append(f"{source.name}: {error}")
            continue
        usable.append(source.name)
        totals[source.name] = -(-length(source)[0] // every)
    return usable, problems, totals


def main() -> None:
    """Do the job and tell the server in lines of JSON."""
    facts = json.loads(sys.argv[1])
    out = channel.take_stdout()
    from mien.server.limits import confine

    def tell(news: dict[str, Any]) -> None:
        out.write(json.dumps(news).encode() + b"\n")
        out.flush()

    threading.Thread(target=_end_with_server, daemon=True).start()
    try:
        # one that a dead server left may still be writing its last note
        with FolderLock(Path(LOCK), wait_s=2 * GRACE_S):
            confine(facts["memory_bytes"], facts["max_pixels"])
            problems, usable = _work(facts, tell)
            tell({"stage": "over", "problems": problems, "usable": usable})
    except KeyboardInterrupt:
        os._exit(STOPPED)
    except InputError as error:
        tell({"stage": "over", "problems": [str(error)], "usable": False})
    except BrokenPipeError:
        os._exit(STOPPED)
    except MemoryError:
        sentence = "this takes more memory than the server gives one job; make the pictures or frames smaller"
        tell({"stage": "over", "problems": [sentence], "usable": False})
    except Exception as error:
        # the sentence names no file, for the server writes it into its database
        tell({"stage": "over", "problems": [f"could not be analysed ({type(error).__name__})"], "usable": False})


if __name__ == "__main__":
    main()
