"""Model: face crops in, calibrated scores out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.errors import WeightsError
from mien.pipeline.session import choose_device, open_session
from mien.pipeline.store import DEFAULT, find_file, sha256
from mien.spec import KEY, Spec


class Model:
    """A classifier of face crops, as `load` returns it.

    Attributes:
        spec: labels, input size and everything else that the file says of itself.
        path: the file.
        device: that it runs on.
    """

    def __init__(self, path: Path, threads: int = 0, device: str = "cpu") -> None:
        self.path = path
        content = path.read_bytes()
        self.device = choose_device(device, content)
        self._session = open_session(content, threads, self.device)
        try:
            text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        except UnicodeDecodeError as error:
            raise WeightsError(f"{path.name} is damaged: its metadata are no text ({error})") from error
        if text is None:
            raise WeightsError(f"{path.name} has no {KEY} metadata; export it with `mien export`")
        self.spec = Spec.from_json(text)
        self._input = self._session.get_inputs()[0].name
        channels = len(self.spec.mean)
        self._mean = np.array(self.spec.mean, np.float32).reshape(1, channels, 1, 1)
        self._std = np.array(self.spec.std, np.float32).reshape(1, channels, 1, 1)

    @property
    def sha256(self) -> str:
        """SHA-256 of the weight file, in hex."""
        return sha256(self.path)

    def __call__(self, crops: Sequence[np.ndarray] | np.ndarray, batch: int = 64) -> np.ndarray:
        """Scores of face crops.

        Args:
            crops: N pictures, uint8 RGB [h, w, 3] or grey [h, w], of any size.
            batch: crops per run of the network.

        Returns:
            float32 [N, K]; each row sums to 1, in the order of `spec.labels`.

        Raises:
            ValueError: a crop has another shape or type.
            WeightsError: the network cannot run, or gives anything but K finite numbers a face.
        """
        parts = [self._checked(self.prepare(crops[i : i + batch])) for i in range(0, len(crops), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.spec.labels)), np.float32)

    def _checked(self, x: np.ndarray) -> np.ndarray:
        """Scores of some faces, as the spec promises them."""
        try:
            scores = self.run(x)
        except Exception as error:  # ONNX Runtime has many kinds
            raise WeightsError(f"{self.path.name} cannot be run on faces of {list(x.shape[1:])}: {error}") from error
        return checked(scores, len(x), self.spec.labels, self.path.name)

    def prepare(self, crops: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """The network's input [N, C, S, S] for crops of any size."""
        size, gray = self.spec.size, self.spec.colour == "gray"
        x = np.empty((len(crops), 1 if gray else 3, size, size), np.float32)
        for row, crop in enumerate(crops):
            x[row] = _fit(crop, size, gray)
        x /= 255
        return np.asarray((x - self._mean) / self._std)

    def run(self, x: np.ndarray) -> np.ndarray:
        """The network alone: input as `prepare` makes it, output float32 [N, ...]."""
        return np.asarray(self._session.run(None, {self._input: x})[0])

    def unsure(self, scores: np.ndarray) -> np.ndarray:
        """bool [N]: the top score is below the stated threshold."""
        return np.asarray(scores.max(1, initial=0.0) < self.spec.unsure_below)

    def __repr__(self) -> str:
        return f"Model({self.spec.name!r}, labels={len(self.spec.labels)}, size={self.spec.size})"


def checked(scores: np.ndarray, rows: int, labels: Sequence[str], name: str) -> np.ndarray:
    """What a network gave, as float32 [rows, K].

    Raises:
        WeightsError: it is of another shape or kind, or holds NaN or infinity.
    """
    scores = np.asarray(scores)
    if scores.shape != (rows, len(labels)) or scores.dtype.kind != "f":
        raise WeightsError(
            f"{name} gives {scores.dtype} {list(scores.shape)} for {rows} inputs, but its spec names {len(labels)} "
            "labels; export it again"
        )
    if not np.isfinite(scores).all():
        raise WeightsError(f"{name} gives scores that are no numbers (NaN or infinite); export it again")
    return scores.astype(np.float32, copy=False)


def _fit(crop: np.ndarray, size: int, gray: bool) -> np.ndarray:
    """One crop as [C, S, S], 0..255."""
    if crop.dtype != np.uint8 or crop.ndim not in (2, 3) or (crop.ndim == 3 and crop.shape[2] != 3) or not crop.size:
        raise ValueError(f"crop: expected uint8 [h, w, 3] RGB or [h, w], got {crop.dtype} {list(crop.shape)}")
    if gray and crop.ndim == 3:
        crop = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    elif not gray and crop.ndim == 2:
        crop = cv2.cvtColor(crop, cv2.COLOR_GRAY2RGB)
    if crop.shape[:2] != (size, size):
        shrinks = crop.shape[0] >= size and crop.shape[1] >= size
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return crop[None] if gray else crop.transpose(2, 0, 1)


def load(name: str | Path = DEFAULT, *, threads: int = 0, device: str = "cpu") -> Model:
    """Load a classifier.

    Args:
        name: weights in the package (`mien list weights`) or a path to an .onnx file with a Spec.
        threads: threads for one run; 0 uses all cores.
        device: `cpu`, `cuda`, `directml`, `coreml`, `openvino`; `auto`: the first accelerator that is there and starts.

    Raises:
        UnknownName: no weights, or no device, have that name.
        WeightsError: the file is missing, damaged or has no Spec.
        MienError: the device is not there, or does not start.

    >>> load("mien-s").spec.labels[0]
    'anger'
    """
    model = Model(find_file(str(name)), threads, device)
    if model.spec.task != "expression":
        raise WeightsError(f"{name} is for {model.spec.task}, not for expressions")
    return model
