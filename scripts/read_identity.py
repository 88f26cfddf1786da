"""Read the face-recognition network of the npm package `@vladmandic/face-api` as `identity.onnx`.

    npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
    python scripts/read_identity.py package/model src/mien/weights/identity.onnx [RUNS]        (needs mien[train])

With RUNS, also a run to start others from (RUNS/identity, for `face-resnet`).

It is dlib's ResNet of 29 convolutions (King, "High quality face recognition with deep metric learning", 2017), whose
weights dlib gives to the public domain (CC0). The package (MIT) stores all kernels but one in 8 bits; the file made
here has all in 8, with a step for each output channel, and they are unpacked when it is loaded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from read_faceres import DEVIATION, read_arrays

from mien.faces.identity import GEOMETRY, SIDE
from mien.spec import KEY, Spec

MEAN = (122.782, 117.001, 104.298)  # of red, green and blue, in dlib's training
NAME = "face_recognition_model"
LAYERS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)


class Graph:
    """The network as ONNX."""

    def __init__(self, folder: Path) -> None:
        entries = json.loads((folder / f"{NAME}-weights_manifest.json").read_text())[0]["weights"]
        self.arrays = read_arrays(entries, (folder / f"{NAME}.bin").read_bytes())
        self.parameters = sum(values.size for values in self.arrays.values())
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []

    def joined(self, place: str) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [K, C, H, W] and bias [K] of a convolution and the scale after it."""
        scale = self.arrays[f"{place}/scale/weights"]
        kernel = self.arrays[f"{place}/conv/filters"].transpose(3, 2, 0, 1) * scale[:, None, None, None]
        return kernel, self.arrays[f"{place}/conv/bias"] * scale + self.arrays[f"{place}/scale/biases"]

    def constant(self, name: str, values: np.ndarray) -> str:
        self.stored.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, place: str, source: str, stride: int, pad: int) -> str:
        """A convolution and the scale after it: one convolution with a kernel that is unpacked when loaded."""
        kernel, bias = self.joined(place)
        step = np.abs(kernel).max((1, 2, 3), keepdims=True) / 127
        packed = self.constant(f"{place}/packed", np.round(kernel / step).astype(np.int8))
        packed = self.node("Cast", [packed], f"{place}/cast", to=TensorProto.FLOAT)
        kernel = self.node("Mul", [packed, self.constant(f"{place}/step", step)], f"{place}/kernel")
        inputs = [source, kernel, self.constant(f"{place}/bias", bias)]
        return self.node("Conv", inputs, f"{place}/out", strides=[stride] * 2, pads=[pad] * 4)

    def residual(self, name: str, source: str, side: int, channels: int) -> tuple[str, int, int]:
        """A residual block: its output, side and channels."""
        down = "down" in name
        stride, pad = (2, 0) if down else (1, 1)
        x = self.node("Relu", [self.conv(f"{name}/conv1", source, stride, pad)], f"{name}/relu1")
        x = self.conv(f"{name}/conv2", x, 1, 1)
        outputs = self.arrays[f"{name}/conv2/conv/filters"].shape[-1]
        if not down:
            skip = source
        else:
            conv_side, side = (side - 3) // 2 + 1, side // 2
            skip = self.node("AveragePool", [source], f"{name}/pool", kernel_shape=[2, 2], strides=[2, 2])
            skip = self.pad(skip, f"{name}/skip", 0, outputs - channels)
            x = self.pad(x, f"{name}/room", side - conv_side, 0)
        return self.node("Relu", [self.node("Add", [x, skip], f"{name}/sum")], f"{name}/relu2"), side, outputs

    def pad(self, source: str, name: str, room: int, channels: int) -> str:
        """Zeros on the right, below, and as further channels."""
        if not room and not channels:
            return source
        pads = np.array([0, 0, 0, 0, 0, channels, room, room], np.int64)
        return self.node("Pad", [source, self.constant(f"{name}/pads", pads)], name)

    def model(self) -> onnx.ModelProto:
        x = self.node("Relu", [self.conv("conv32_down", "input", 2, 0)], "stem")
        x = self.node("MaxPool", [x], "stem/pool", kernel_shape=[3, 3], strides=[2, 2])
        side, channels = ((SIDE - 7) // 2 + 1 - 3) // 2 + 1, 32
        for name in LAYERS:
            x, side, channels = self.residual(name, x, side, channels)
        mean = self.node("Flatten", [self.node("GlobalAveragePool", [x], "mean")], "flat")
        self.node("MatMul", [mean, self.constant("fc", self.arrays["fc"])], "descriptor")
        graph = helper.make_graph(
            self.nodes,
            "identity",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, ["N", self.arrays["fc"].shape[1]])],
            self.stored,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def write_run(graph: Graph, runs: Path) -> None:
    """The convolutions as weights of `face-resnet`, for grey faces that are standardised."""
    from mien.models.face_resnet import FaceResNet
    from mien.train.checkpoint import save_state

    kernel, bias = graph.joined("conv32_down")
    # a grey picture has three equal channels, so that their kernels add up
    arrays = {"layers.0.0": (kernel.sum(1, keepdims=True) * DEVIATION / 255, bias)}
    for number, name in enumerate(LAYERS, 1):
        for conv in ("conv1", "conv2"):
            arrays[f"layers.{number}.{conv}"] = graph.joined(f"{name}/{conv}")
    state = {}
    for name, (kernel, bias) in arrays.items():
        state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel))
        state[f"{name}.bias"] = torch.from_numpy(np.ascontiguousarray(bias))
    unmatched = set(FaceResNet().state_dict()) ^ set(state)
    if unmatched != {"head.weight", "head.bias"}:
        sys.exit(f"this is another release of the network; {sorted(unmatched)} do not match")
    folder = runs / "identity"
    folder.mkdir(parents=True, exist_ok=True)
    save_state(folder / "last.pt", {"ema": state})
    print(f"{folder}/last.pt written")


def main(source: Path, target: Path, runs: Path | None) -> None:
    graph = Graph(source)
    model = graph.model()
    spec = Spec(
        target.stem,
        task="identity",
        size=SIDE,
        colour="rgb",
        mean=tuple(value / 255 for value in MEAN),
        std=(1.0,) * 3,
        geometry=GEOMETRY,
        architecture="dlib ResNet-29",
        parameters=graph.parameters,
        trained_on=("about three million faces of 7,485 people: FaceScrub, VGG Face and pictures of the web",),
        licence="CC0-1.0",
        command=f"python scripts/read_identity.py package/model {target.name}",
    )
    helper.set_model_props(model, {KEY: spec.to_json()})
    onnx.save(model, str(target))
    print(f"{target}: {graph.parameters:,} parameters, {target.stat().st_size / 1e6:.2f} MB")
    if runs is not None:
        write_run(graph, runs)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) == 4 else None)
