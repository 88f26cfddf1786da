"""Write docs/figures/restore.png: SYNTHETIC faces, each behind another thing, before and after restoring.

python scripts/make_restore_figure.py RESTORER.onnx SYNTHETIC_FOLDER [OUT.png]

SYNTHETIC_FOLDER is what `mien data synthetic` made. Under each face stands what mien-s says of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from mien.faces.align import cut, squares
from mien.faces.degrade import OCCLUDERS, occlude
from mien.pipeline.flow import Flow, Options
from mien.pipeline.restore import Restorer
from mien.report.figures import new_axes

SHARE, SEED, GROW = 0.3, 3, 2
LABELS = ("happiness", "surprise", "anger", "sadness", "happiness")
ROWS = ("face", "hidden", "hidden, restored", "face, restored")


def grey_crops(folder: Path, flow: Flow) -> np.ndarray:
    """A face for each of `LABELS`, of different people, cut as mien-s wants it, uint8 [N, S, S]."""
    spec = flow.model.spec
    crops: list[np.ndarray] = []
    people: set[str] = set()
    for label in LABELS:
        for path in sorted((folder / "stills").glob(f"*-{label}.png")):
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            faces = flow.find(image)
            if len(faces) == 1 and (person := path.name.split("-")[0]) not in people:
                people.add(person)
                [square] = squares(faces, spec.geometry, flow.detector.name)
                crops.append(cv2.cvtColor(cut(image, square, spec.size), cv2.COLOR_RGB2GRAY))
                break
    return np.stack(crops)


def main(restorer: str, folder: str, out: str = "docs/figures/restore.png") -> None:
    flow = Flow(Options(threads=1))
    restore, model = Restorer(restorer, 1), flow.model
    faces = grey_crops(Path(folder), flow)
    random, kinds = np.random.default_rng(SEED), list(OCCLUDERS)[: len(faces)]
    hidden = np.concatenate([occlude(faces[i : i + 1], SHARE, random, [kind])[0] for i, kind in enumerate(kinds)])
    rows = [faces, hidden, restore(hidden), restore(faces)]
    side = GROW * faces.shape[1]
    big = [[cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC) for crop in row] for row in rows]
    gap = 14
    sheet = np.full((len(rows) * (side + gap), len(kinds) * side), 255, np.uint8)
    figure, axes = new_axes(1.4 + sheet.shape[1] / 90, 0.5 + sheet.shape[0] / 90)
    for r, row in enumerate(rows):
        scores = model(list(row))
        for k, said in enumerate(scores):
            sheet[r * (side + gap) : r * (side + gap) + side, k * side : (k + 1) * side] = big[r][k]
            text = f"{model.spec.labels[said.argmax()]} {said.max():.2f}"
            axes.text((k + 0.5) * side, r * (side + gap) + side + gap / 2, text, ha="center", va="center", fontsize=6)
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    axes.xaxis.tick_top()
    axes.set_xticks([side * (k + 0.5) for k in range(len(kinds))], kinds, fontsize=8)
    axes.set_yticks([(side + gap) * r + side / 2 for r in range(len(rows))], ROWS, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(out, dpi=130, bbox_inches="tight")
    grey = cv2.imread(out, cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(out, grey // 4 * 4 + 2, [cv2.IMWRITE_PNG_COMPRESSION, 9])  # six bits keep the file small


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
