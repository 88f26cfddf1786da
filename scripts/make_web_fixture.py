"""What the page must answer, by the Python package: written to web/tests/fixture.json, and checked against it by both.

python scripts/make_web_fixture.py [web/tests/fixture.json]
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage.data import astronaut

from mien.faces.detectors.blazeface import tiles
from mien.faces.track import describe
from mien.pipeline.flow import Flow, Options
from mien.pipeline.model import load
from mien.types import Frame

TARGET = Path(__file__).parent.parent / "web" / "tests" / "fixture.json"


def packed(pixels: np.ndarray) -> dict[str, Any]:
    """A picture as JSON: its shape and its bytes in base 64."""
    return {"shape": list(pixels.shape), "bytes": base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()}


def crops() -> np.ndarray:
    """Five views of a face, uint8 RGB [5, 48, 48, 3] (NASA's astronaut, public domain)."""
    face = cv2.resize(astronaut()[40:200, 150:310], (48, 48), interpolation=cv2.INTER_AREA)
    dark = (face * 0.5).astype(np.uint8)
    return np.stack([face, face[:, ::-1], dark, np.roll(face, 5, axis=0), cv2.GaussianBlur(face, (5, 5), 0)])


def fixture() -> dict[str, Any]:
    """Crops and their scores; a picture and what is found in it; helpers that have no rounding to hide behind."""
    views = crops()
    # seven tenths of the size, so that every step that resamples has something to do
    picture = cv2.resize(astronaut()[:360], (360, 253), interpolation=cv2.INTER_AREA)
    flow = Flow(Options(detector="blazeface", threads=1))
    (result,) = flow.run([Frame(picture)])
    face = result.faces[[0]]
    return {
        "labels": list(result.labels),
        "crops": packed(views),
        "scores": {name: load(name, threads=1)(views).round(6).tolist() for name in ("mien-s", "mien-m")},
        "picture": packed(picture),
        "found": {
            "box": face.box[0].round(2).tolist(),
            "detection": round(float(face.detection[0]), 4),
            "scores": face.scores[0].round(6).tolist(),
            "points": face.landmarks[0].round(2).tolist(),
            "quality": {name: round(float(values[0]), 4) for name, values in face.quality.items()},
            "looks": describe(picture, face.box[0]).round(4).tolist(),
        },
        "tiles": [{"size": [w, h], "squares": tiles(h, w)} for w, h in ((640, 360), (1920, 1080), (90, 900))],
    }


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(json.dumps(fixture()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
