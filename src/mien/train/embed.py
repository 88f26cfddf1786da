"""Embeddings of faces by a weight file: what its last linear layer reads. Needs onnx (extra `train`)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx

from mien.errors import WeightsError
from mien.pipeline.model import Model, load
from mien.pipeline.session import open_session

BATCH = 256


LEAST = 1e-4
"""Scores below this count as this, so that their logarithm says no more than they do."""


def log_scores(scores: np.ndarray) -> np.ndarray:
    """Logarithms of scores, float32, not below that of `LEAST`."""
    return np.asarray(np.log(np.maximum(scores, LEAST)), np.float32)


def last_linear(graph: onnx.GraphProto) -> onnx.NodeProto:
    """The last linear layer before the output.

    Raises:
        WeightsError: there is none on the way back.
    """
    made = {name: node for node in graph.node for name in node.output}
    known = {tensor.name for tensor in graph.initializer}
    name = graph.output[0].name
    while name in made:
        node = made[name]
        if node.op_type in ("Gemm", "MatMul"):
            return node  # type: ignore[no-any-return]
        # biases and temperatures join on the way; the path is the input that is computed from the face
        name = next((one for one in node.input if one not in known and one in made), "")
    raise WeightsError("this file has no linear layer before its scores; its embeddings cannot be read")


class Embedder:
    """Faces to embeddings, by any weights that classify faces.

    Args:
        weights: name of weights in the package, or a path to an .onnx file with a Spec.

    Raises:
        WeightsError: the file has no linear layer before its scores.
    """

    def __init__(self, weights: str) -> None:
        self.model: Model = load(weights)
        proto = onnx.shape_inference.infer_shapes(onnx.load(str(self.model.path)))
        name = last_linear(proto.graph).input[0]
        info = next(info for info in proto.graph.value_info if info.name == name)
        del proto.graph.output[:]
        proto.graph.output.append(info)
        self._session = open_session(proto.SerializeToString(), 0)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [N, D] of faces uint8 [N, h, w] or [N, h, w, 3]; of a file that averages each face with
        its mirror image, the mean of both."""
        parts = []
        for start in range(0, len(faces), BATCH):
            x = self.model.prepare(list(faces[start : start + BATCH]))
            found = np.asarray(self._session.run(None, {self._input: x})[0], np.float32)
            parts.append(found.reshape(-1, len(x), found.shape[-1]).mean(0))
        return np.concatenate(parts)


def embed_clips(clips: np.ndarray, weights: str, cache: Path | None = None, reads: str = "embeddings") -> np.ndarray:
    """What weights say of each frame of clips uint8 [N, T, S, S]; kept in the folder `cache` for other runs that ask.

    Args:
        reads: `embeddings` float32 [N, T, D], or `scores`: their logarithms float32 [N, T, K] (`log_scores`).
    """
    kept = None
    if cache is not None:
        asked = hashlib.sha256(load(weights).sha256.encode())
        asked.update(str(clips.shape).encode())
        asked.update(np.ascontiguousarray(clips).tobytes())
        kept = Path(cache) / f"{reads}-{Path(weights).stem}-{asked.hexdigest()[:16]}.npy"
        if kept.is_file():
            return np.asarray(np.load(kept))
    frames = clips.reshape(-1, *clips.shape[2:])
    found = Embedder(weights)(frames) if reads == "embeddings" else log_scores(load(weights)(frames))
    found = found.reshape(*clips.shape[:2], found.shape[1])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_suffix(".part.npy")
        np.save(scratch, found)
        os.replace(scratch, kept)
    return found
