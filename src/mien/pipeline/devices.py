"""Devices that networks run on: ONNX Runtime's execution providers, by short names."""

from __future__ import annotations

import platform
from typing import Any

import onnxruntime as ort

from mien.errors import MienError
from mien.registry import Registry

DEVICES: Registry[dict[str, Any]] = Registry("device")
"""Each factory takes `threads` and gives the provider's options."""
AUTO = "auto"
ORDER = ("cuda", "directml", "coreml", "openvino", "cpu")
"""In which `auto` tries them."""


@DEVICES.register("cpu", provider="CPUExecutionProvider", package="onnxruntime", platforms="all", tried=True)
def cpu(threads: int = 0) -> dict[str, Any]:
    """The processor, by ONNX Runtime's own kernels."""
    del threads  # the session's own option
    return {}


@DEVICES.register(
    "cuda",
    provider="CUDAExecutionProvider",
    package="onnxruntime-gpu[cuda,cudnn]",
    platforms="Linux and Windows with an NVIDIA GPU",
    tried=False,
)
def cuda(threads: int = 0) -> dict[str, Any]:
    """NVIDIA GPUs. The number of faces changes from run to run, so convolutions are not searched for anew each time."""
    del threads
    if hasattr(ort, "preload_dlls"):  # finds CUDA and cuDNN where pip has put them
        ort.preload_dlls()
    return {"cudnn_conv_algo_search": "HEURISTIC"}


@DEVICES.register(
    "directml",
    provider="DmlExecutionProvider",
    package="onnxruntime-directml",
    platforms="Windows with a DirectX 12 GPU",
    tried=False,
)
def directml(threads: int = 0) -> dict[str, Any]:
    """GPUs of any maker on Windows."""
    del threads
    return {}


@DEVICES.register(
    "coreml", provider="CoreMLExecutionProvider", package="onnxruntime", platforms="macOS", tried=False
)  # fmt: skip
def coreml(threads: int = 0) -> dict[str, Any]:
    """Apple's GPU and neural engine."""
    del threads
    return {}


@DEVICES.register(
    "openvino",
    provider="OpenVINOExecutionProvider",
    package="onnxruntime-openvino",
    platforms="Linux and Windows with an x86-64 processor",
    tried=True,
)
def openvino(threads: int = 0) -> dict[str, Any]:
    """The processor, by Intel's kernels."""
    return {"device_type": "CPU", **({"num_of_threads": str(threads)} if threads else {})}


def there(device: str) -> bool:
    """Whether the installed onnxruntime has the provider of a device; it may still fail to start.

    Raises:
        UnknownName: no device has that name.
    """
    return DEVICES.facts(device)["provider"] in ort.get_available_providers()


def check_there(device: str) -> None:
    """See that the installed onnxruntime has a device.

    Raises:
        UnknownName: no device has that name.
        MienError: it has not; the sentence names the package that has.
    """
    if there(device):
        return
    facts = DEVICES.facts(device)
    others = [name for name in DEVICES.names() if there(name)]
    package = facts["package"]
    cure = (
        f"needs {facts['platforms']}"
        if package == "onnxruntime"
        # the wheels hold the same folder, and the one installed last wins
        else f"on {facts['platforms']}: pip uninstall -y onnxruntime && pip install '{package}'"
    )
    raise MienError(
        f"device {device}: this onnxruntime {ort.__version__} ({platform.system()} {platform.machine()}) does not have "
        f"{facts['provider']}; {cure}. Here there is: {', '.join(others)}"
    )
