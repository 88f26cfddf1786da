"""Dark photographs through the whole pipeline, with and without `denoise`: the table in docs/robust.md.

python scripts/measure_dark_photos.py PHOTOS

PHOTOS holds portraits named ID_happy.jpg and ID_neutral.jpg. They are made 160 pixels wide, so that faces have some 60,
then dark with a small sensor's noise.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.faces.degrade import degrade
from mien.faces.light import light
from mien.pipeline.flow import Flow, Options
from mien.pipeline.model import Model
from mien.pipeline.store import find_file
from mien.types import Frame

WIDE, STOPS, TRUE = 160, (0, 4, 5, 6), {"happy": "happiness", "neutral": "neutral"}


class Denoised(Model):
    """Weights that see each crop denoised."""

    def __call__(self, crops: Sequence[np.ndarray] | np.ndarray, batch: int = 64) -> np.ndarray:
        return super().__call__(light("denoise")(np.asarray(crops)), batch)


def main(folder: str) -> None:
    photos = sorted(path for path in Path(folder).glob("*_*.jpg") if path.stem.split("_")[1] in TRUE)
    flows = [Flow(Options(threads=1), model=kind(find_file("mien-s"), 1)) for kind in (Model, Denoised)]
    print("| stops less light | photos | faces found | right | right with denoise |\n| --- | --- | --- | --- | --- |")
    for stops in STOPS:
        found, right = 0, [0, 0]
        for path in photos:
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            size = WIDE, round(WIDE * image.shape[0] / image.shape[1])
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            if stops:
                image = degrade(image[None], "dark", stops, np.random.default_rng(0))[0]
            seen = [next(flow.run([Frame(image)])) for flow in flows]
            found += bool(len(seen[0].faces))
            for place, result in enumerate(seen):
                if len(result.faces):
                    right[place] += result.labels[result.faces.scores[0].argmax()] == TRUE[path.stem.split("_")[1]]
        print(f"| {stops} | {len(photos)} | {found} | {right[0]} | {right[1]} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
