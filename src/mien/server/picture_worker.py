"""A process that analyses pictures and frames, one after another: `python -m mien.server.picture_worker`."""

from __future__ import annotations

import functools
import io
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mien.errors import InputError, MienError, WeightsError
from mien.server import channel
from mien.server.channel import Message

if TYPE_CHECKING:
    import numpy as np

    from mien.pipeline.flow import Flow
    from mien.pipeline.model import Model
    from mien.types import FrameResult

MOST_FLOWS = 4


class Desk:
    """Answers requests; keeps the models that were asked for last.

    Args:
        facts: `max_pixels`, `threads`, `model` (the default one) and, if it is not `cpu`, `device`.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._flows: dict[tuple[str, str], Flow] = {}

    def answer(self, fields: dict[str, Any], payload: bytes) -> Message:
        """The answer to one request.

        Raises:
            MienError: the sender can mend it.
        """
        return self._picture(fields) if fields["kind"] == "picture" else self._frame(fields, payload)

    def _flow(self, fields: dict[str, Any]) -> Flow:
        from mien.pipeline.flow import Flow, Options

        key = (fields["model"], fields["detector"])
        if key not in self._flows:
            while len(self._flows) >= MOST_FLOWS:
                self._flows.pop(next(iter(self._flows)))
            self._flows[key] = Flow(
                Options(*key, threads=self._facts["threads"], device=self._facts.get("device", "cpu"))
            )
        flow = self._flows[key] = self._flows.pop(key)  # the last one used goes last
        flow.options = replace(flow.options, min_face=fields["min_face"])
        return flow

    def _picture(self, fields: dict[str, Any]) -> Message:
        from mien.pipeline.sources import read_picture
        from mien.server.limits import check_picture
        from mien.types import Frame

        path = fields["path"]
        check_picture(path, self._facts["max_pixels"])
        try:
            image = read_picture(path)
        except InputError as error:
            raise InputError(str(error).removeprefix(f"{path}: ")) from error
        flow = self._flow(fields)
        [result] = flow.run([Frame(image)])
        return _described(flow, result), self._drawn(result, fields) if fields["png"] else b""

    def _drawn(self, result: FrameResult, fields: dict[str, Any]) -> bytes:
        import cv2

        from mien.report.draw import draw

        image = draw(result.frame.image, result.faces, result.labels, result.unsure, anonymous=fields["anonymous"])
        return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])

    def _frame(self, fields: dict[str, Any], payload: bytes) -> Message:
        from mien.faces.track import Tracker
        from mien.types import Frame

        image = _decoded(payload, self._facts["max_pixels"])
        flow = self._flow(fields)
        tracker = Tracker(flow.options.remember)  # of faces nothing is kept from one frame to the next
        if fields["tracker"]:
            tracker.restore(fields["tracker"])
        [result] = flow.run([Frame(image, fields["frame"], fields["time_s"])], tracker)
        return {**_described(flow, result), "tracker": tracker.state()}, b""

    def hello(self) -> dict[str, Any]:
        """Facts of the weights that may be asked for, and the detectors that are here."""
        from mien.faces import DETECTORS
        from mien.pipeline.flow import Options
        from mien.pipeline.model import load
        from mien.pipeline.store import packaged

        default = self._facts["model"]
        models = []
        for name in dict.fromkeys([default, *packaged()]):
            try:
                models.append(_facts(load(name, threads=1), Path(name).name))
            except WeightsError:  # a detector, or for something else than expressions
                if name == default:
                    raise
        detectors = []
        for detector in DETECTORS.names():
            try:
                DETECTORS.create(detector, threads=1)
            except (MienError, ImportError):
                continue
            detectors.append(detector)
        self._flow({"model": default, "detector": Options.detector, "min_face": 24})  # ready for the first request
        detectors = [Options.detector, *(name for name in detectors if name != Options.detector)]
        return {"default": Path(default).name, "detectors": detectors, "models": models}


def _facts(model: Model, name: str) -> dict[str, Any]:
    spec = model.spec
    return {
        "name": name,
        "parameters": spec.parameters,
        "megabytes": round(model.path.stat().st_size / 1e6, 2),
        "labels": list(spec.labels),
        "trained_on": list(spec.trained_on),
        "licence": spec.licence,
        "figures": spec.figures,
    }


def _decoded(data: bytes, max_pixels: int) -> np.ndarray:
    """A frame as uint8 RGB [H, W, 3], without a file in between."""
    import cv2
    import numpy as np

    from mien.server.limits import check_picture

    check_picture(io.BytesIO(data), max_pixels)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError("the picture cannot be decoded") from error
    if image is None:
        raise InputError("the picture cannot be decoded")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _described(flow: Flow, result: FrameResult) -> dict[str, Any]:
    from mien.table import rows_of

    height, width = result.frame.image.shape[:2]
    faces = [{key: value for key, value in row.items() if key not in ("source", "frame")} for row in rows_of(result)]
    return {
        "model": flow.model.spec.name,
        "labels": list(result.labels),
        "width": width,
        "height": height,
        "faces": faces,
    }


def _listen(file: BinaryIO, inbox: queue.Queue[Message | None], grace_s: float) -> None:
    """Read requests; once the server has gone, end this process even if a codec hangs."""
    while (message := channel.read(file)) is not None:
        inbox.put(message)
    inbox.put(None)
    time.sleep(grace_s)
    os._exit(1)


class _Sender:
    """Sends what a call returns, or why it returned nothing."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def __call__(self, work: Callable[[], Message]) -> None:
        try:
            fields, payload = work()
            fields["ok"] = True
        except MienError as error:
            fields, payload = {"ok": False, "error": str(error)}, b""
        except MemoryError:
            fields, payload = {"ok": False, "error": "this takes more memory than the server gives one request"}, b""
        except Exception as error:  # a fault of ours or of a codec: the next request must still be answered
            sentence = f"could not be analysed ({type(error).__name__}); please report this"
            fields, payload = {"ok": False, "fault": True, "error": sentence}, b""
        self._out.write(channel.pack(fields, payload))
        self._out.flush()


def main() -> None:
    """Answer until the server has gone."""
    facts = json.loads(sys.argv[1])
    out = channel.take_stdout()
    from mien.server.limits import confine

    confine(facts["memory_bytes"], facts["max_pixels"])
    desk = Desk(facts)
    inbox: queue.Queue[Message | None] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, inbox, facts["timeout_s"]), daemon=True).start()
    send = _Sender(out)
    send(lambda: (desk.hello(), b""))
    while (message := inbox.get()) is not None:
        send(functools.partial(desk.answer, *message))


if __name__ == "__main__":
    main()
