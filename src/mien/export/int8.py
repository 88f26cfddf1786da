"""8-bit integer files: weights and activations quantised after training, on training faces, then checked."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

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
    """A float ONNX file as one with 8-bit weights (a scale for each channel) and activations.

    Paper: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
        CVPR 2018; the ranges are the least and largest values seen.

    Args:
        faces: uint8 [N, S, S] from the training split; a few hundred are enough.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    # the library asks for its own base class
    class Reader(Calibration, CalibrationDataReader):  # type: ignore[misc]
        pass

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(content)
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
                op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "Relu", "Clip"],
            )
        finally:
            logger.setLevel(level)
        return target.read_bytes()


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
