"""8-bit files: what is rewritten before quantising answers the same, and only what gains is quantised."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")
from onnx import helper, numpy_helper  # noqa: E402

from mien.export.int8 import gaining, prepared, quantise  # noqa: E402
from mien.pipeline.model import load  # noqa: E402
from mien.pipeline.session import open_session  # noqa: E402
from mien.pipeline.store import find_file  # noqa: E402


@pytest.fixture(scope="module")
def weights() -> bytes:
    return find_file("mien-s").read_bytes()


def pooled(side: int) -> bytes:
    """A mean of 2x2 pixels, as torch writes it with ceil_mode, and a 1x1 convolution stored in 16 bits."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Cast", ["w16"], ["w"], to=1),
        helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        helper.make_node("Conv", ["p", "w"], ["y"], kernel_shape=[1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 3, side, side])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(random.normal(size=(5, 3, 1, 1)).astype(np.float16), "w16")],
    )
    # the pooled map's own input must be known by its shape: a copy of x stands in between
    graph.node.insert(0, helper.make_node("Relu", ["x"], ["r"]))
    graph.node[2].input[0] = "r"
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


@pytest.mark.parametrize(("side", "folds"), [(8, True), (7, False)])
def test_means_before_a_1x1_convolution_become_part_of_it(side: int, folds: bool) -> None:
    content = pooled(side)
    model = prepared(content)
    kinds = [node.op_type for node in model.graph.node]
    assert ("AveragePool" in kinds) is not folds
    assert "Cast" not in kinds
    x = np.random.default_rng(1).random((1, 3, side, side), np.float32)
    expected = open_session(content, 1).run(None, {"x": x})[0]
    found = open_session(model.SerializeToString(), 1).run(None, {"x": x})[0]
    assert np.abs(found - expected).max() < 1e-6


def test_prepared_weights_answer_the_same(weights: bytes) -> None:
    x = np.random.default_rng(2).random((3, 1, 48, 48), np.float32)
    expected = open_session(weights, 1).run(None, {"face": x})[0]
    model = prepared(weights)
    assert np.abs(open_session(model.SerializeToString(), 1).run(None, {"face": x})[0] - expected).max() < 1e-5
    assert not [node for node in model.graph.node if node.op_type in ("Cast", "AveragePool")]


def test_only_large_convolutions_and_what_joins_them_are_in_8_bits(weights: bytes) -> None:
    model = prepared(weights)
    names = gaining(model)
    nodes = {node.name: node for node in model.graph.node}
    kinds = [nodes[name].op_type for name in names]
    assert kinds.count("Conv") == 13  # one of the stem, ten of the stages, two shortcuts
    assert kinds.count("Add") == 5
    assert not [name for name in names if "/se/" in name or "/head" in name or "stem.0" in name]


def test_the_file_is_in_8_bits_and_agrees(weights: bytes) -> None:
    faces = np.random.default_rng(3).integers(0, 255, (16, 6, 6), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    content = quantise(weights, faces)
    assert len(content) < 0.65 * len(weights)
    kinds = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert kinds.count("QuantizeLinear") > 13
    x = faces[:, None].astype(np.float32) / 255
    found, expected = (open_session(file, 1).run(None, {"face": x})[0] for file in (content, weights))
    assert np.abs(found - expected).mean() < 0.02
    assert np.allclose(found.sum(1), 1, atol=1e-4)


def test_the_packaged_file_says_what_mien_s_says() -> None:
    patches = np.random.default_rng(4).integers(0, 255, (128, 6, 6, 3), dtype=np.uint8)
    faces = [cv2.resize(patch, (48, 48), interpolation=cv2.INTER_CUBIC) for patch in patches]
    small, large = load("mien-s-int8"), load("mien-s")
    assert small.spec.labels == large.spec.labels
    assert small.spec.geometry == large.spec.geometry
    assert small.path.stat().st_size < 0.65 * large.path.stat().st_size
    found, expected = small(faces), large(faces)
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.9
    assert np.abs(found - expected).mean() < 0.01
