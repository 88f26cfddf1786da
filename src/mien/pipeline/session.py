"""ONNX Runtime sessions."""

from __future__ import annotations

import onnxruntime as ort

from mien.errors import WeightsError


def open_session(file: bytes, threads: int = 0) -> ort.InferenceSession:
    """Open an ONNX model held in memory on the CPU.

    Args:
        threads: threads for one run; 0 leaves it to ONNX Runtime.

    Raises:
        WeightsError: the bytes are no model that this ONNX Runtime can run.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # idle threads that spin take the core that decoding and detection need
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise WeightsError(f"not a model that ONNX Runtime {ort.__version__} can run: {error}") from error
