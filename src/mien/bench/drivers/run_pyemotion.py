"""The `PyEmotion` package: MTCNN and its network, frame by frame as its page shows; it gives one label a frame."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

from common import Calls, drive  # type: ignore[import-not-found]  # it lies beside this file


def start() -> Calls:
    """Both networks are loaded, torch on one thread."""
    torch: Any = importlib.import_module("torch")
    cv2: Any = importlib.import_module("cv2")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    detector = importlib.import_module("PyEmotion").DetectFace(device="cpu", gpu_id=0)
    crop = torch.rand(1, 1, 48, 48)

    def network() -> Any:
        with torch.no_grad():
            return detector.network(crop)

    def clip(name: str) -> tuple[int, int]:
        capture, rows = cv2.VideoCapture(name), []
        while True:
            right, frame = capture.read()
            if not right:
                break
            with torch.no_grad():
                rows.append(detector.predict_emotion(frame)[1])
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "table.csv").write_text("\n".join(rows), encoding="utf-8")
        return len(rows), sum(row != "NoFace" for row in rows)

    return network, clip


if __name__ == "__main__":
    drive(start)
