"""8-bit integer files: weights and activations quantised after training, on training faces, then checked."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.shape_inference

from mien.errors import WeightsError
from mien.pipeline.session import open_session

LEAST_AGREEMENT = 0.97


def to_input(pixels: np.ndarray) -> np.ndarray:
    """uint8 faces [N, S, S] or [N, S, S, 3] as a network takes them: float32 [N, C, S, S] in [0, 1]."""
    planes = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(planes, np.float32) / 255


class Calibration:
    """Feeds training faces to ONNX Runtime's calibration, in batches."""

    def __init__(self, pixels: np.ndarray, batch: int = 64) -> None:
        self._batches: Iterator[np.ndarray] = iter(
            [to_input(pixels[i : i + batch]) for i in range(0, len(pixels), batch)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"face": batch}


def quantise(content: bytes, faces: np.ndarray) -> bytes:
    """A float ONNX file as one with 8-bit weights (a scale for each channel) and activations where that gains time.

    Paper: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
        CVPR 2018; the ranges are the least and largest values seen.
    Differs: only convolutions over many channels, and the sums and rectifiers between them, are in 8 bits: the first
        layer, squeeze-and-excitation and the head take longer in 8 bits than in 32, and cost accuracy there.

    Args:
        faces: uint8 [N, S, S] from the training split; a few hundred are enough.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    # the library asks for its own base class
    class Reader(Calibration, CalibrationDataReader):  # type: ignore[misc]
        pass

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        model = prepared(content)
        source.write_bytes(model.SerializeToString())
        logger = logging.getLogger()
        level = logger.level
        logger.setLevel(logging.ERROR)  # it advises a preparation that these files do not need
        try:
            quantize_static(
                str(source),
                str(target),
                Reader(faces),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
                op_types_to_quantize=["Conv", "Add", "Relu", "Clip"],
                nodes_to_quantize=gaining(model),
            )
        finally:
            logger.setLevel(level)
        return target.read_bytes()


def prepared(content: bytes) -> onnx.ModelProto:
    """The same network, ready to be quantised: 16-bit weights in 32 bits, and averages of 2x2 pixels before a 1x1
    convolution made part of it (a 2x2 convolution of stride 2), for they are slow in 8 bits."""
    model = onnx.load_from_string(content)
    graph = model.graph
    stored = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    gone, new = [], {}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            new[node.output[0]] = stored[node.output[0]] = stored[node.input[0]].astype(np.float32)
            gone.append(node)
    for node in graph.node:
        pool = made.get(node.input[0]) if node.op_type == "Conv" else None
        if pool is None or not _halves(pool) or node.input[1] not in stored:
            continue
        sides = shapes.get(pool.input[0], [])[2:]
        # at the edge of an odd map fewer pixels are averaged
        if stored[node.input[1]].shape[2:] != (1, 1) or not sides or any(side < 2 or side % 2 for side in sides):
            continue
        name = f"{node.input[1]}.pooled"
        new[name] = np.tile(stored[node.input[1]] / 4, (1, 1, 2, 2))
        node.input[0], node.input[1] = pool.input[0], name
        del node.attribute[:]
        node.attribute.extend([onnx.helper.make_attribute(key, [2, 2]) for key in ("kernel_shape", "strides")])
        gone.append(pool)
    for node in gone:
        graph.node.remove(node)
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in new.items())
    used = {name for node in graph.node for name in node.input}
    kept = [entry for entry in graph.initializer if entry.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


def _halves(node: onnx.NodeProto) -> bool:
    """Whether it takes the mean of 2x2 pixels, side by side."""
    facts = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    return (
        node.op_type == "AveragePool"
        and facts.get("kernel_shape") == facts.get("strides") == [2, 2]
        and not any(facts.get("pads", []))
    )


def gaining(model: onnx.ModelProto, least: int = 16) -> list[str]:
    """Names of the nodes that are quicker in 8 bits: convolutions over `least` channels and more, on maps, and the sums
    and rectifiers that follow them; all nodes get names."""
    stored = {entry.name: list(entry.dims) for entry in model.graph.initializer}
    found: set[str] = set()
    # of each tensor, whether it is a map that a chosen node, or the scaling of such a map, has made
    maps: set[str] = set()
    squeezed: set[str] = set()
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
        inputs, output = list(node.input), node.output[0]
        if node.op_type in ("ReduceMean", "GlobalAveragePool") or any(name in squeezed for name in inputs[:1]):
            squeezed.add(output)
        elif node.op_type == "Conv":
            if stored.get(inputs[1], [0, 0])[1] >= least:
                found.add(node.name)
                maps.add(output)
        elif any(name in maps for name in inputs):
            maps.add(output)
            if node.op_type in ("Add", "Relu", "Clip"):
                found.add(node.name)
    return sorted(found)


def compare(content: bytes, other: bytes, faces: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """How an 8-bit file's answers differ from the float file's on the same labelled faces.

    Raises:
        WeightsError: they agree on fewer than 97 % of the faces.
    """
    scores = [_scores(c, faces) for c in (content, other)]
    best = [s.argmax(1) for s in scores]
    agreement = float((best[0] == best[1]).mean())
    if agreement < LEAST_AGREEMENT:
        raise WeightsError(
            f"the 8-bit file agrees with the float file on {agreement:.1%} of the faces, less than "
            f"{LEAST_AGREEMENT:.0%}; export with --half instead"
        )
    return {
        "agreement": round(agreement, 4),
        "val_accuracy_float": round(float((best[0] == truth).mean()), 4),
        "val_accuracy_int8": round(float((best[1] == truth).mean()), 4),
        "largest_gap": round(float(np.abs(scores[0] - scores[1]).max()), 4),
    }


def _scores(content: bytes, faces: np.ndarray) -> np.ndarray:
    session = open_session(content, os.cpu_count() or 1)
    parts = [session.run(None, {"face": to_input(faces[i : i + 256])})[0] for i in range(0, len(faces), 256)]
    return np.concatenate(parts)
