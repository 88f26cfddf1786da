"""Write docs/figures/degradations.png and normalisations.png: one face spoilt, and what pre-processing makes of it.

python scripts/make_robust_figure.py [FOLDER]

The face is scikit-image's astronaut: Eileen Collins, NASA, public domain. Needs scikit-image.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from mien.bench.robust import spoil
from mien.faces.align import cut, squares
from mien.faces.degrade import HARMS
from mien.faces.frontal import POSES, pose
from mien.faces.landmarks import Landmarks
from mien.faces.light import LIGHTS, light
from mien.pipeline.flow import Flow
from mien.report.figures import new_axes

SIDE, SEED = 96, 3


def face() -> np.ndarray:
    """The astronaut's face cut as FER2013's are, uint8 [96, 96, 3]."""
    image, flow = np.ascontiguousarray(data.astronaut()), Flow()
    found = flow.find(image)
    return cut(image, squares(found, flow.model.spec.geometry, flow.detector.name)[0], SIDE)


def sheet(rows: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]], path: Path, head: Sequence[str] = ()) -> None:
    """Rows of named faces as one PNG; each face's own name below it."""
    columns, high = max(len(cells) for _, cells in rows), SIDE + 16
    page = np.full((high * len(rows), (SIDE + 6) * columns, 3), 255, np.uint8)
    figure, axes = new_axes(1.6 + page.shape[1] / 110, 0.2 + page.shape[0] / 110)
    for i, (_, cells) in enumerate(rows):
        for j, (name, picture) in enumerate(cells):
            page[i * high : i * high + SIDE, j * (SIDE + 6) : j * (SIDE + 6) + SIDE] = picture
            axes.text(j * (SIDE + 6) + SIDE / 2, i * high + SIDE + 8, name, ha="center", va="center", fontsize=6)
    axes.imshow(page)
    axes.set_yticks([i * high + SIDE / 2 for i in range(len(rows))], [name for name, _ in rows], fontsize=6)
    axes.xaxis.tick_top()
    axes.set_xticks([j * (SIDE + 6) + SIDE / 2 for j in range(len(head))], head, fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=110)
    image = cv2.imread(str(path))
    cv2.imwrite(str(path), image // 8 * 8 + 4, [cv2.IMWRITE_PNG_COMPRESSION, 9])  # five bits a channel: a small file


def main(folder: str = "docs/figures") -> None:
    one = face()[None]
    rows = []
    for name, harm in HARMS.items():
        unit = harm.unit.replace(" of the ", "\nof the ").replace(" across", "\nacross", 1)
        rows.append((f"{name}\n({unit})", [(f"{s:g}", spoil(one, name, s, SEED)[0]) for s in harm.strengths]))
    sheet(rows, Path(folder) / "degradations.png")
    lights = []
    for name, strength in (("clean", 0), ("dark", 5), ("bright", 1), ("side-light", 6)):
        spoilt = spoil(one, name, strength, SEED)
        lights.append((f"{name} {strength:g}" if strength else name, [("", spoilt[0])]))
        lights[-1][1].extend(("", light(way)(spoilt)[0]) for way in LIGHTS)
    sheet(lights, Path(folder) / "normalisations.png", ("as it is", *LIGHTS))
    finder, poses = Landmarks(), []
    for name, strength in (("roll", 30), ("yaw", 30), ("yaw", 50)):
        spoilt = spoil(one, name, strength, SEED)
        poses.append((f"{name} {strength}", [("", spoilt[0])]))
        poses[-1][1].extend(("", pose(way, finder)(spoilt)[0]) for way in POSES)
    sheet(poses, Path(folder) / "poses.png", ("as it is", *POSES))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
