"""Read a face detector of the npm package `@mediapipe/face_detection` into an ONNX file.

    npm pack @mediapipe/face_detection@0.4.1657300184 && tar xzf mediapipe-face_detection-0.4.1657300184.tgz
    pip install ai-edge-litert       (knows the layout of .tflite files, and is the oracle)
    python scripts/read_blazeface.py package/face_detection_full_range.tflite src/mien/weights/blazeface.onnx

The networks are BlazeFace (Bazarevsky et al., "BlazeFace: sub-millisecond neural face detection on mobile GPUs", CVPR
workshop 2019) and its larger sister for faces up to five metres away. Package and files are Apache-2.0.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as tflite
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

from mien.spec import KEY, Spec

OPSET = 17
KINDS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
TYPES = {
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.INT32: np.int32,
}


class Graph:
    """One .tflite graph turned into ONNX nodes; maps are [N, C, H, W] instead of [N, H, W, C].

    Args:
        content: of the file.
    """

    def __init__(self, content: bytes) -> None:
        self.model = tflite.Model.GetRootAsModel(content, 0)
        self.graph = self.model.Subgraphs(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        self.constants: dict[int, np.ndarray] = {}

    def shape(self, index: int) -> list[int]:
        return [int(n) for n in self.graph.Tensors(index).ShapeAsNumpy()]

    def constant(self, index: int) -> np.ndarray:
        """A tensor that the file holds; 16-bit floats come as 32."""
        if index not in self.constants:
            tensor = self.graph.Tensors(index)
            raw = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
            values = np.frombuffer(raw.tobytes(), TYPES[tensor.Type()]).reshape(self.shape(index))
            self.constants[index] = values.astype(np.float32) if values.dtype == np.float16 else values
        return self.constants[index]

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def weight(self, name: str, values: np.ndarray) -> str:
        """A tensor of the new file; numbers that were 16-bit floats in the source are stored as such again."""
        if values.dtype == np.float32 and np.array_equal(values, values.astype(np.float16).astype(np.float32)):
            self.weights[f"{name}/half"] = np.ascontiguousarray(values, np.float16)
            return self.add("Cast", [f"{name}/half"], name, to=TensorProto.FLOAT)
        self.weights[name] = np.ascontiguousarray(values)
        return name

    def read(self) -> onnx.ModelProto:
        """The whole graph."""
        for number in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(number)
            code = self.model.OperatorCodes(operator.OpcodeIndex())
            kind = KINDS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            inputs = [int(i) for i in operator.InputsAsNumpy()]
            getattr(self, "add_" if kind == "ADD" else kind.lower())(
                operator, inputs, int(operator.OutputsAsNumpy()[0])
            )
        return self._model()

    def _model(self) -> onnx.ModelProto:
        entry = int(self.graph.InputsAsNumpy()[0])
        side = self.shape(entry)[1]
        outputs = []
        for index in (int(i) for i in self.graph.OutputsAsNumpy()):
            shape = self.shape(index)
            name = "regressors" if shape[-1] == 16 else "scores"
            self.add("Identity", [str(index)], name)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        graph = helper.make_graph(
            [helper.make_node("Identity", ["input"], [str(entry)]), *self.nodes],
            "blazeface",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
            outputs,
            [numpy_helper.from_array(values, name) for name, values in self.weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model

    def options(self, operator: Any, kind: Any) -> Any:
        found = kind()
        table = operator.BuiltinOptions()
        found.Init(table.Bytes, table.Pos)
        return found

    def pads(self, options: Any, source: int, kernel: tuple[int, int]) -> dict[str, Any]:
        """Strides and pads; where the framework keeps the size, an odd pixel is added below and on the right."""
        strides = [options.StrideH(), options.StrideW()]
        pads = [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:
            for axis in (0, 1):
                size = self.shape(source)[1 + axis]
                needed = max((-(-size // strides[axis]) - 1) * strides[axis] + kernel[axis] - size, 0)
                pads[axis], pads[axis + 2] = needed // 2, needed - needed // 2
        return {"strides": strides, "pads": pads}

    def activated(self, options: Any, output: int) -> tuple[str, bool]:
        relu = options.FusedActivationFunction() == tflite.ActivationFunctionType.RELU
        if not relu and options.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
            raise SystemExit(f"an activation of kind {options.FusedActivationFunction()} is not known here")
        return (f"{output}/linear" if relu else str(output)), relu

    def dequantize(self, operator: Any, inputs: list[int], output: int) -> None:
        self.constants[output] = self.constant(inputs[0])

    def conv_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self.options(operator, tflite.Conv2DOptions)
        self._conv(options, inputs, output, self.constant(inputs[1]).transpose(0, 3, 1, 2), 1)

    def depthwise_conv_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self.options(operator, tflite.DepthwiseConv2DOptions)
        self._conv(options, inputs, output, self.constant(inputs[1]).transpose(3, 0, 1, 2), self.shape(inputs[0])[3])

    def _conv(self, options: Any, inputs: list[int], output: int, kernel: np.ndarray, group: int) -> None:
        name, relu = self.activated(options, output)
        given = [str(inputs[0]), self.weight(f"{output}/kernel", kernel)]
        if len(inputs) > 2:
            given.append(self.weight(f"{output}/bias", self.constant(inputs[2])))
        self.add("Conv", given, name, group=group, **self.pads(options, inputs[0], kernel.shape[2:]))
        if relu:
            self.add("Relu", [name], str(output))

    def max_pool_2d(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self.options(operator, tflite.Pool2DOptions)
        kernel = (options.FilterHeight(), options.FilterWidth())
        given = self.pads(options, inputs[0], kernel)
        self.add("MaxPool", [str(inputs[0])], str(output), kernel_shape=list(kernel), **given)

    def pad(self, operator: Any, inputs: list[int], output: int) -> None:
        before, after = self.constant(inputs[1])[[0, 3, 1, 2]].T
        pads = self.weight(f"{output}/pads", np.concatenate([before, after]).astype(np.int64))
        self.add("Pad", [str(inputs[0]), pads], str(output))

    def add_(self, operator: Any, inputs: list[int], output: int) -> None:
        name, relu = self.activated(self.options(operator, tflite.AddOptions), output)
        self.add("Add", [str(i) for i in inputs], name)
        if relu:
            self.add("Relu", [name], str(output))

    def relu(self, operator: Any, inputs: list[int], output: int) -> None:
        self.add("Relu", [str(inputs[0])], str(output))

    def resize_bilinear(self, operator: Any, inputs: list[int], output: int) -> None:
        options = self.options(operator, tflite.ResizeBilinearOptions)
        modes = {(False, True): "half_pixel", (True, False): "align_corners", (False, False): "asymmetric"}
        mode = modes[options.AlignCorners(), options.HalfPixelCenters()]
        height, width = self.shape(output)[1:3]
        sizes = self.weight(f"{output}/sizes", np.array([1, self.shape(output)[3], height, width], np.int64))
        given = [str(inputs[0]), "", "", sizes]
        self.add("Resize", given, str(output), mode="linear", coordinate_transformation_mode=mode)

    def reshape(self, operator: Any, inputs: list[int], output: int) -> None:
        # anchors follow the rows of the framework's own [N, H, W, C]
        last = self.add("Transpose", [str(inputs[0])], f"{output}/last", perm=[0, 2, 3, 1])
        shape = self.weight(f"{output}/shape", np.array(self.shape(output), np.int64))
        self.add("Reshape", [last, shape], str(output))

    def concatenation(self, operator: Any, inputs: list[int], output: int) -> None:
        axis = self.options(operator, tflite.ConcatenationOptions).Axis()
        self.add("Concat", [str(i) for i in inputs], str(output), axis=axis)


def compare(source: Path, made: Path) -> float:
    """Largest difference between the source's outputs and those of the file made, over pictures of noise."""
    import onnxruntime

    theirs = Interpreter(str(source))
    theirs.allocate_tensors()
    ours = onnxruntime.InferenceSession(str(made), providers=["CPUExecutionProvider"])
    random, worst = np.random.default_rng(0), 0.0
    side = int(theirs.get_input_details()[0]["shape"][1])
    for _ in range(5):
        x = random.uniform(-1, 1, (1, side, side, 3)).astype(np.float32)
        theirs.set_tensor(theirs.get_input_details()[0]["index"], x)
        theirs.invoke()
        found = {d["shape"][-1]: theirs.get_tensor(d["index"]) for d in theirs.get_output_details()}
        regressors, scores = ours.run(["regressors", "scores"], {"input": x.transpose(0, 3, 1, 2)})
        worst = max(worst, float(np.abs(found[16] - regressors).max()), float(np.abs(found[1] - scores).max()))
    return worst


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    graph = Graph(source.read_bytes())
    model = graph.read()
    parameters = sum(v.size for n, v in graph.weights.items() if "/kernel" in n or "/bias" in n)
    side = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    spec = Spec(
        target.stem,
        task="detection",
        size=side,
        colour="rgb",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        architecture="blazeface",
        parameters=parameters,
        trained_on=("pictures of its authors, not published",),
        licence="Apache-2.0",
        command=f"python scripts/read_blazeface.py {source.name} {target.name}",
    )
    helper.set_model_props(model, {KEY: spec.to_json()})
    onnx.save(model, str(target))
    print(f"{target}: {parameters:,} parameters, {target.stat().st_size / 1e6:.2f} MB")
    print(f"largest difference from the source on noise: {compare(source, target):.2g}")


if __name__ == "__main__":
    main()
