"""Write docs/figures/synthetic.png: the seven SYNTHETIC expressions at three intensities, each column another person.

python scripts/make_synthetic_figure.py ICT_FOLDER [OUT.png]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from mien.datasets.ict import FaceModel
from mien.datasets.ict_paint import Painter
from mien.datasets.synthetic_scene import draw_person, still
from mien.labels import CKPLUS7
from mien.report.figures import new_axes

SIDE, INTENSITIES, SEED = 132, (0.3, 0.6, 1.0), 1


def main(folder: str, out: str = "docs/figures/synthetic.png") -> None:
    painter = Painter(FaceModel(Path(folder)))
    plain = np.full((SIDE, SIDE, 3), 225, np.uint8)
    people = [replace(draw_person(painter, SEED, k, SIDE), backdrop=plain) for k in range(len(CKPLUS7))]
    rows = [
        np.hstack(
            [
                still(painter.model, person, label, value, SIDE, zoom=1.4).image
                for person, label in zip(people, CKPLUS7, strict=True)
            ]
        )
        for value in INTENSITIES
    ]
    sheet = np.vstack(rows)
    figure, axes = new_axes(0.5 + sheet.shape[1] / 140, 0.4 + sheet.shape[0] / 140)
    axes.imshow(sheet)
    axes.xaxis.tick_top()
    axes.set_xticks([SIDE * (k + 0.5) for k in range(len(CKPLUS7))], CKPLUS7, fontsize=8)
    axes.set_yticks([SIDE * (k + 0.5) for k in range(len(INTENSITIES))], [f"{v:g}" for v in INTENSITIES], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(out, dpi=130)
    image = cv2.imread(out)
    cv2.imwrite(out, image // 4 * 4 + 2, [cv2.IMWRITE_PNG_COMPRESSION, 9])  # six bits a channel keep the file small


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
