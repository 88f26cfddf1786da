"""YuNet from its ONNX file, run by ONNX Runtime."""

from __future__ import annotations

import cv2
import numpy as np

from mien.faces import DETECTORS
from mien.pipeline.session import open_session
from mien.pipeline.store import find_file
from mien.types import Faces

STRIDES = (8, 16, 32)
SIDE = 640


def decode(outputs: dict[str, np.ndarray], threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes [N, 4] xyxy, scores [N] and points [N, 5, 2] of the network's maps, in its input's pixels."""
    boxes, scores, points = [], [], []
    for stride in STRIDES:
        cells = SIDE // stride
        score = np.sqrt(
            np.clip(outputs[f"cls_{stride}"].reshape(-1), 0, 1) * np.clip(outputs[f"obj_{stride}"].reshape(-1), 0, 1)
        )
        keep = np.flatnonzero(score >= threshold)
        corner = np.stack([keep % cells, keep // cells], 1).astype(np.float32)
        b = outputs[f"bbox_{stride}"].reshape(-1, 4)[keep]
        centre, size = (corner + b[:, :2]) * stride, np.exp(b[:, 2:]) * stride
        boxes.append(np.concatenate([centre - size / 2, centre + size / 2], 1))
        points.append((corner[:, None] + outputs[f"kps_{stride}"].reshape(-1, 5, 2)[keep]) * stride)
        scores.append(score[keep])
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)


@DETECTORS.register(
    "yunet",
    paper="Wu, Peng, Yu, YuNet: a tiny millisecond-level face detector, Machine Intelligence Research 2023",
    package="",
    licence="MIT (file fetched by `mien weights get yunet`)",
    platforms="all",
    points=5,
)
class YuNet:
    """YuNet 2023mar: box, confidence and five points; the file is fetched once or put into MIEN_WEIGHTS."""

    name = "yunet"

    def __init__(self, threshold: float = 0.6, threads: int = 0, device: str = "cpu") -> None:
        self._session = open_session(find_file("yunet").read_bytes(), threads, device)
        self._names = [output.name for output in self._session.get_outputs()]
        self.threshold = threshold

    def __call__(self, image: np.ndarray) -> Faces:
        height, width = image.shape[:2]
        scale = SIDE / max(height, width)
        small = cv2.resize(
            image,
            (max(1, round(width * scale)), max(1, round(height * scale))),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        )
        canvas = np.zeros((SIDE, SIDE, 3), np.float32)
        canvas[: small.shape[0], : small.shape[1]] = small[:, :, ::-1]
        maps = self._session.run(None, {"input": canvas.transpose(2, 0, 1)[None]})
        box, score, points = decode(dict(zip(self._names, maps, strict=True)), self.threshold)
        corner_size = [(float(x1), float(y1), float(x2 - x1), float(y2 - y1)) for x1, y1, x2, y2 in box]
        chosen = cv2.dnn.NMSBoxes(corner_size, score.tolist(), self.threshold, 0.3) if len(box) else []
        keep = np.array(chosen, int).reshape(-1)
        return Faces(box[keep] / scale, score[keep], (points[keep] / scale).astype(np.float32))
