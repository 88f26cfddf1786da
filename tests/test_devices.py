"""Devices: one that is absent, that fails, or that leaves all the work to the processor is told, never passed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import mien
from mien.cli import main
from mien.errors import MienError, UnknownName, WeightsError
from mien.pipeline import session
from mien.pipeline.devices import DEVICES, ORDER, there
from mien.pipeline.flow import Flow, Options
from mien.pipeline.session import choose_device, open_session, providers_used
from mien.pipeline.store import find_file

IDLE = "AzureExecutionProvider"  # in every wheel of onnxruntime, and runs no network of ours
ABSENT = next(name for name in ORDER if not there(name))


@pytest.fixture
def weights() -> bytes:
    return find_file("mien-s").read_bytes()


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A device whose provider is there."""
    if IDLE not in ort.get_available_providers():
        pytest.skip(f"this onnxruntime has no {IDLE}")
    DEVICES.register("idle", provider=IDLE, package="idle-wheel", platforms="nowhere", tried=False)(lambda threads: {})
    monkeypatch.setattr(session, "ORDER", ("idle", "cpu"))
    yield "idle"
    del DEVICES._factories["idle"], DEVICES._facts["idle"]


def test_every_device_states_what_it_needs() -> None:
    assert set(ORDER) == set(DEVICES.names())
    for name in DEVICES.names():
        facts = DEVICES.facts(name)
        assert facts["provider"].endswith("ExecutionProvider")
        assert facts["package"].startswith("onnxruntime")
        assert facts["platforms"]
        assert DEVICES.create(name, threads=1).keys() <= {"device_type", "num_of_threads", "cudnn_conv_algo_search"}


def test_an_absent_device_names_its_package(weights: bytes) -> None:
    facts = DEVICES.facts(ABSENT)
    for call in (lambda: open_session(weights, 1, ABSENT), lambda: mien.load(device=ABSENT)):
        with pytest.raises(MienError) as caught:
            call()
        text = str(caught.value)
        assert text.startswith(f"device {ABSENT}: ")
        assert facts["provider"] in text
        assert facts["platforms"] in text
        assert "Here there is: cpu" in text
        if facts["package"] != "onnxruntime":
            assert f"pip install '{facts['package']}'" in text


def test_an_unknown_device_lists_the_known(weights: bytes) -> None:
    with pytest.raises(UnknownName, match=r"no device is called 'gpu'; there are: auto, coreml, cpu, cuda"):
        choose_device("gpu", weights)
    with pytest.raises(UnknownName, match="no device is called 'gpu'"):
        Flow(Options(device="gpu"))


def test_a_provider_that_runs_nothing_is_an_error(idle: str, weights: bytes) -> None:
    with pytest.raises(MienError, match="device idle: AzureExecutionProvider starts, but runs no part"):
        open_session(weights, 1, idle)
    with pytest.raises(MienError, match="runs no part"):
        mien.load(device=idle)


def test_a_provider_that_is_dropped_is_an_error(idle: str, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ort.InferenceSession

    def dropping(file: bytes, options: Any, providers: Any, **_: Any) -> Any:
        return real(file, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(session.ort, "InferenceSession", dropping)
    with pytest.raises(MienError, match="does not start: ONNX Runtime kept only CPUExecutionProvider"):
        open_session(weights, 1, idle)


def test_a_provider_that_raises_is_an_error(idle: str, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ort.InferenceSession

    def failing(file: bytes, options: Any, providers: Any, **more: Any) -> Any:
        if providers[0] != "CPUExecutionProvider":
            assert more == {"enable_fallback": 0}, "ONNX Runtime would print and go on with the processor"
            raise RuntimeError("no such driver\nat line 7")
        return real(file, options, providers=providers)

    monkeypatch.setattr(session.ort, "InferenceSession", failing)
    with pytest.raises(MienError, match=r"does not start \(no such driver\)"):
        open_session(weights, 1, idle)
    with pytest.raises(WeightsError, match="not a model"):
        open_session(b"not an onnx file", 1, idle)
    with pytest.warns(RuntimeWarning, match="device auto passes over one: device idle"):
        assert choose_device("auto", weights) == "cpu"


def test_a_device_that_works_is_tried_once(idle: str, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def used(file: bytes, threads: int, device: str) -> dict[str, int]:
        tries.append(device)
        return {IDLE: 3}

    monkeypatch.setattr(session, "providers_used", used)
    monkeypatch.setattr(session, "_works", set())
    x = np.zeros((1, 1, 48, 48), np.float32)
    first = open_session(weights, 1, idle).run(None, {"face": x})[0]
    assert np.allclose(first, open_session(weights, 1).run(None, {"face": x})[0])
    assert choose_device("auto", weights) == idle
    assert tries == [idle]


def test_nodes_are_counted_by_provider(weights: bytes) -> None:
    used = providers_used(weights, 1, "cpu")
    assert used.keys() == {"CPUExecutionProvider"}
    assert used["CPUExecutionProvider"] > 20


def test_results_name_the_device_that_ran() -> None:
    flow = Flow(Options(device="cpu", detector="none", threads=1))
    assert flow.options.device == flow.model.device == "cpu"
    if not any(there(name) for name in ORDER if name != "cpu"):
        assert Flow(Options(device="auto", detector="none", threads=1)).options.device == "cpu"


@pytest.mark.parametrize("verb", [["analyze", "PICTURE", "-o", "OUT"], ["serve", "--port", "0"]])
def test_the_command_line_says_it_in_one_sentence(
    verb: list[str], portrait_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    if verb[0] == "serve":
        pytest.importorskip("fastapi")
    places = {"PICTURE": str(portrait_file), "OUT": str(tmp_path / "out")}
    monkeypatch.setattr("sys.argv", ["mien", *(places.get(word, word) for word in verb), "--device", ABSENT])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"mien: device {ABSENT}: ")
    assert "\n" not in told
    assert not (tmp_path / "out").exists()


def test_openvino_agrees_with_the_processor(weights: bytes) -> None:
    if not there("openvino"):
        pytest.skip("this onnxruntime has no OpenVINO")
    x = np.random.default_rng(0).random((4, 1, 48, 48), np.float32)
    scores = [open_session(weights, 1, device).run(None, {"face": x})[0] for device in ("cpu", "openvino")]
    assert np.abs(scores[0] - scores[1]).max() < 1e-4
