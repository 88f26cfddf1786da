"""How far a network's time is from what its multiplications and bytes cost on this machine at the least."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from mien.bench.speed import interleaved


@dataclass(frozen=True)
class Work:
    """What one run must do.

    Attributes:
        macs: multiply-accumulates of convolutions and matrix products.
        bytes: that must be read and written once: weights, and each layer's input and output, in 32 bits.
    """

    macs: int
    bytes: int


@dataclass(frozen=True)
class Machine:
    """What so many threads reach here.

    Attributes:
        gflops: 10**9 floating-point operations a second, of float32 matrix products.
        gigabytes: 10**9 bytes a second, read and written by a copy of 256 MB.
    """

    gflops: float
    gigabytes: float


def work(file: bytes, batch: int = 1) -> Work:
    """Counted from the shapes in one run of the graph as it is stored, on zeros."""
    macs = moved = 0
    for event in _nodes(file, batch):
        facts = event["args"]
        shapes = [next(iter(shape.values())) for shape in facts["input_type_shape"]]
        output = next(iter(facts["output_type_shape"][0].values()))
        if facts["op_name"] == "Conv":
            macs += int(np.prod(output)) * int(np.prod(shapes[1][1:]))
        elif facts["op_name"] in ("Gemm", "MatMul"):
            macs += int(np.prod(output)) * int(shapes[0][-1])
        else:
            continue
        moved += 4 * sum(int(np.prod(shape)) for shape in [*shapes, output])
    return Work(macs, moved)


def nodes(file: bytes, batch: int = 1, rounds: int = 100) -> list[tuple[str, float, int]]:
    """Where the time goes once ONNX Runtime has optimised the graph: kind of node, microseconds a run, nodes; the
    longest first. Measuring adds about two microseconds a node."""
    times: dict[str, dict[str, list[float]]] = {}
    for event in _nodes(file, batch, optimise=True, rounds=rounds):
        kind, name = event["args"]["op_name"], event["name"]
        times.setdefault(kind, {}).setdefault(name, []).append(event["dur"])
    found = [(kind, sum(float(np.median(t)) for t in named.values()), len(named)) for kind, named in times.items()]
    return sorted(found, key=lambda row: -row[1])


def _nodes(file: bytes, batch: int, *, optimise: bool = False, rounds: int = 1) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        if not optimise:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling, options.profile_file_prefix = True, os.path.join(folder, "run")
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        shape = [batch, *(side if isinstance(side, int) else 1 for side in entry.shape[1:])]
        for _ in range(rounds):
            session.run(None, {entry.name: np.zeros(shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]


def machine(threads: int = 1, sides: tuple[int, ...] = (256, 512, 1024), rounds: int = 10) -> Machine:
    """Measured now: the best of numpy's and ONNX Runtime's matrix products, and of a copy."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    best = 0.0
    for side in sides:
        a, b = (np.random.default_rng(seed).random((side, side), np.float32) for seed in range(2))
        session = ort.InferenceSession(matrix_product(side), options, providers=["CPUExecutionProvider"])
        given = {"a": a, "b": b}
        calls: list[Callable[[], Any]] = [lambda s=session, g=given: s.run(None, g)]  # type: ignore[misc]
        if threads == int(os.environ.get("OMP_NUM_THREADS", "0") or 0):
            calls.append(lambda a=a, b=b: a @ b)  # type: ignore[misc]  # its threads are set before it is loaded
        best = max(best, 2 * side**3 / min(_fastest(call, rounds) for call in calls) / 1e9)
    source, target = np.ones(32_000_000), np.empty(32_000_000)
    copied = _fastest(lambda: np.copyto(target, source), rounds)
    return Machine(best, 2 * source.nbytes / copied / 1e9)


def _fastest(call: Callable[[], Any], rounds: int) -> float:
    call()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def matrix_product(side: int) -> bytes:
    """An ONNX file that multiplies two float32 matrices `a` and `b` [side, side] into `c`, written by hand, so that no
    further package is needed."""

    def field(number: int, content: bytes | int) -> bytes:
        if isinstance(content, int):
            return _varint(number << 3) + _varint(content)
        return _varint(number << 3 | 2) + _varint(len(content)) + content

    dimension = field(1, field(1, side))
    kind = field(2, field(1, field(1, 1) + field(2, dimension * 2)))
    node = field(1, b"a") + field(1, b"b") + field(2, b"c") + field(4, b"MatMul")
    graph = field(1, node) + field(2, b"g")
    graph += b"".join(field(11, field(1, name) + kind) for name in (b"a", b"b")) + field(12, field(1, b"c") + kind)
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 17))


def _varint(value: int) -> bytes:
    """A whole number as Protocol Buffers write it.

    >>> _varint(300).hex()
    'ac02'
    """
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


@dataclass(frozen=True)
class Standing:
    """A network against its floor: milliseconds of a run, the 10th percentile, hardly disturbed by other programs."""

    name: str
    batch: int
    threads: int
    work: Work
    ms: float
    floor: float

    @property
    def gflops(self) -> float:
        """Reached: 10**9 operations a second."""
        return 2 * self.work.macs / self.ms / 1e6


def floor_ms(asked: Work, has: Machine) -> float:
    """The longer of what the operations and what the bytes take, if both overlap.

    >>> floor_ms(Work(50_000_000, 8_000_000), Machine(100, 10))
    1.0
    """
    return max(2 * asked.macs / has.gflops / 1e6, asked.bytes / has.gigabytes / 1e6)


def compare(
    files: dict[str, Path], batches: tuple[int, ...], threads: int, rounds: int = 40
) -> tuple[Machine, list[Standing]]:
    """Several files in turn, on so many threads, each against the floor of its own work done in 32 bits."""
    from mien.pipeline.session import open_session

    has = machine(threads)
    sessions = {name: (path.read_bytes(), open_session(path.read_bytes(), threads)) for name, path in files.items()}
    found = []
    for batch in batches:
        asked = {name: work(content, batch) for name, (content, _) in sessions.items()}
        calls: dict[tuple[str, int], Callable[[], Any]] = {}
        for name, (_, session) in sessions.items():
            entry = session.get_inputs()[0]
            shape = [batch, *(side if isinstance(side, int) else 1 for side in entry.shape[1:])]
            x = np.random.default_rng(0).random(shape, np.float32)
            calls[(name, batch)] = lambda s=session, n=entry.name, x=x: s.run(None, {n: x})  # type: ignore[misc]
        for row in interleaved(calls, rounds if batch == 1 else max(3, rounds // 10)):
            floor = floor_ms(asked[row.name], has)
            found.append(Standing(row.name, batch, threads, asked[row.name], row.low * batch, floor))
    return has, found
