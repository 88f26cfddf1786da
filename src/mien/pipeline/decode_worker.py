"""A process that decodes for another: requests in as lines of JSON, frames out as they are asked for.

A codec that breaks down takes this process with it and no other (`mien.pipeline.decoding` is the other side). It ends
when its standard input does, even in the middle of a codec that hangs.
"""

from __future__ import annotations

import json
import math
import os
import queue
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

FRAME, ALIVE, END, ERROR, LENGTH = range(1, 6)
HEAD = struct.Struct("<BIIQdQ")
"""Kind, height, width, index, seconds (NaN: none), and the length of what follows, bytes."""
ALIVE_S = 0.5

Send = Callable[..., None]


def _sender(out: BinaryIO) -> Send:
    def send(
        kind: int, payload: Any = b"", *, size: tuple[int, int] = (0, 0), index: int = 0, time_s: float = math.nan
    ) -> None:
        data = memoryview(payload).cast("B")
        out.write(HEAD.pack(kind, *size, index, time_s, len(data)))
        out.write(data)
        out.flush()

    return send


class _Pulse:
    """Says now and then that frames which nobody wants are being passed over."""

    def __init__(self, send: Send) -> None:
        self._send, self._last = send, time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._last > ALIVE_S:
            self._last = time.monotonic()
            self._send(ALIVE)


def _answer(asked: dict[str, Any], send: Send) -> None:
    from mien.pipeline.sources import Source, frames, length

    source = Source(asked["name"], asked["kind"])
    count, seconds = length(source)
    send(LENGTH, index=count, time_s=seconds)
    pulse = _Pulse(send)
    found = frames(source, every=asked["every"], start=asked["start"], threads=asked["threads"], alive=pulse)
    for frame in found:
        height, width = frame.image.shape[:2]
        time_s = math.nan if frame.time_s is None else frame.time_s
        send(FRAME, frame.image, size=(height, width), index=frame.index, time_s=time_s)
    send(END)


def _listen(inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        inbox.put(json.loads(line))
    os._exit(0)


def main() -> None:
    """Answer until nobody asks any more."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    # what a library prints must not stand between the frames
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # the largest picture that OpenCV decodes, should a header have deceived `mien.media`
    from mien.errors import MienError
    from mien.media import MOST_PIXELS

    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
    import av

    av.logging.set_level(None)
    import mien.pipeline.sources  # noqa: F401  (loaded before the first request)

    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    send = _sender(out)
    while True:
        asked = inbox.get()
        try:
            _answer(asked, send)
        except MienError as error:
            send(ERROR, str(error).encode())
        except BrokenPipeError:
            os._exit(0)
        except MemoryError:
            send(ERROR, f"{asked['name']}: takes more memory than there is; make it smaller".encode())
        except Exception as error:
            text = f"{asked['name']}: cannot be decoded ({type(error).__name__}: {error}); please report this"
            send(ERROR, text.encode("utf-8", "backslashreplace"))
