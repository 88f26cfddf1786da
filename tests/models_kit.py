"""What the tests of the networks share: tiny ones, away from where they start; counts; the ONNX file beside torch."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from mien.models import MODELS  # noqa: E402


def tiny(name: str, classes: int = 8, seed: int = 0, **arguments: Any) -> nn.Module:
    """A registered network with few channels, the same for the same seed."""
    torch.manual_seed(seed)
    return MODELS.create(name, classes=classes, tiny=True, **arguments)


def stirred(network: nn.Module) -> nn.Module:
    """The network or layer with all norms, statistics and small or zero weights away from where they start."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        if isinstance(getattr(network, "head", None), nn.Linear):
            network.head.weight.normal_(0, 0.5)
    return network


def settled(network: nn.Module, x: Tensor) -> nn.Module:
    """The network with batch norms that have seen x, so that deep narrow ones tell faces apart."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 0.9
    with torch.no_grad():
        network.train()(x)
    return network


def count(name: str, **arguments: Any) -> int:
    """Parameters of a registered network in full size, without making room for them."""
    with torch.device("meta"):
        return sum(p.numel() for p in MODELS.create(name, **arguments).parameters())


class Logits(nn.Module):
    """The logits of a network alone."""

    def __init__(self, network: nn.Module, modality: str) -> None:
        super().__init__()
        self.network, self.modality = network, modality

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network({self.modality: x}).logits
        return logits


def export_gap(network: nn.Module, example: Tensor, x: Tensor, modality: str = "face") -> float:
    """How far the logits of the ONNX file, traced with `example`, lie from torch's at most, over another batch x.

    Fails where the logits of the batch hardly differ, for then a small gap would say nothing.
    """
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, buffer = Logits(network, modality).eval(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age
        torch.onnx.export(
            model,
            (example,),
            buffer,
            input_names=[modality],
            output_names=["logits"],
            dynamic_axes={modality: {0: "n"}, "logits": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    with torch.no_grad():
        expected = model(x).numpy()
    assert expected.std(0).max() > 1e-3
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])
    return float(np.abs(session.run(None, {modality: x.numpy()})[0] - expected).max())
