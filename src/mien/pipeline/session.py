"""ONNX Runtime sessions."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from mien.errors import MienError, UnknownName, WeightsError
from mien.pipeline.devices import AUTO, DEVICES, ORDER, check_there, there

_works: set[str] = set()


def open_session(file: bytes, threads: int = 0, device: str = "cpu") -> ort.InferenceSession:
    """Open an ONNX model held in memory.

    Args:
        threads: threads for one run; 0 leaves it to ONNX Runtime.
        device: one of `mien.pipeline.devices.DEVICES`; not `auto`, which `choose_device` turns into one.

    Raises:
        WeightsError: the bytes are no model that this ONNX Runtime can run.
        UnknownName: no device has that name.
        MienError: the device is not there, does not start, or leaves the whole network to the processor.
    """
    check_there(device)
    if device == "cpu":
        return _open_on_cpu(file, threads)
    try:
        session = ort.InferenceSession(file, _options(threads, device), _providers(device, threads), enable_fallback=0)
    except Exception as error:
        _open_on_cpu(file, threads)  # a damaged file is told as such
        raise _refusal(device, f"does not start ({_first_line(error)})") from error
    provider = DEVICES.facts(device)["provider"]
    if provider not in session.get_providers():
        # a library that is missing makes ONNX Runtime go on without the provider
        raise _refusal(device, f"does not start: ONNX Runtime kept only {', '.join(session.get_providers())}")
    if device not in _works:
        if provider not in providers_used(file, threads, device):
            raise _refusal(device, "starts, but runs no part of the network: all of it was left to the processor")
        _works.add(device)
    return session


def choose_device(name: str, probe: bytes) -> str:
    """The device that runs; `auto` takes the first of `ORDER` that is there and starts.

    Args:
        probe: an ONNX model to try it with.

    Raises:
        UnknownName: no device has that name.
        MienError: the device was asked for by name and is not there or does not start.
    """
    if name != AUTO:
        if name not in DEVICES.names():
            raise UnknownName("device", name, [AUTO, *DEVICES.names()])
        check_there(name)
        return name
    for device in ORDER:
        if device == "cpu" or not there(device):
            continue
        try:
            open_session(probe, 1, device)
            return device
        except WeightsError:
            raise
        except MienError as error:
            warnings.warn(f"device auto passes over one: {error}", RuntimeWarning, stacklevel=2)
    return "cpu"


def providers_used(file: bytes, threads: int = 0, device: str = "cpu") -> dict[str, int]:
    """Nodes of the network that each provider ran, in one run on zeros."""
    with tempfile.TemporaryDirectory() as folder:
        options = _options(threads, device)
        options.enable_profiling, options.profile_file_prefix = True, os.path.join(folder, "run")
        session = ort.InferenceSession(file, options, _providers(device, threads), enable_fallback=0)
        given = {
            entry.name: np.zeros([side if isinstance(side, int) else 1 for side in entry.shape], np.float32)
            for entry in session.get_inputs()
        }
        session.run(None, given)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    used: dict[str, int] = {}
    for event in events:
        provider = event.get("args", {}).get("provider")
        if event.get("cat") == "Node" and provider:
            used[provider] = used.get(provider, 0) + 1
    return used


def _open_on_cpu(file: bytes, threads: int) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(file, _options(threads, "cpu"), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError(f"not a model that ONNX Runtime {ort.__version__} can run: {error}") from error


def _options(threads: int, device: str) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3 if device == "cpu" else 4  # what goes wrong with a device is raised
    # idle threads that spin take the core that decoding and detection need
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device == "directml":
        options.enable_mem_pattern = False  # DirectML asks for that
    return options


def _providers(device: str, threads: int) -> list[Any]:
    found: list[Any] = [(DEVICES.facts(device)["provider"], DEVICES.create(device, threads=threads))]
    return found if device == "cpu" else [*found, "CPUExecutionProvider"]


def _refusal(device: str, what: str) -> MienError:
    facts = DEVICES.facts(device)
    return MienError(
        f"device {device}: {facts['provider']} {what}. It needs {facts['platforms']}, with the maker's driver and "
        f"libraries ({facts['package']}); `mien doctor` tries all devices, and --device cpu works everywhere"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
