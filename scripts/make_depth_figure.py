"""Draw docs/figures/depth-maps.png: a SYNTHETIC scan and what networks read of it, plain and under noise, turns, darkness.

python scripts/make_depth_figure.py ICT_FOLDER
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mien.datasets.bu3dfe import bu3dfe_aligned
from mien.datasets.synthetic_scans import ScanSettings, synthesise
from mien.features.depth_maps import CHANNELS, maps_of

HARD = ScanSettings(people=1, seed=3, noise=1.5, holes=0.1, pose=35, dark=0.9)
LABELS = ("happiness", "surprise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    given = parser.parse_args()
    heads = ("picture", "turned upright", "depth", "normals", *CHANNELS[4:])
    made = Figure(figsize=(9.8, 6.1), layout="constrained")
    areas = made.subplots(4, 7)
    with tempfile.TemporaryDirectory() as scratch:
        for half, settings in enumerate((ScanSettings(people=1, seed=3), HARD)):
            root = Path(scratch, str(half))
            for _ in synthesise(given.model, root, settings):
                pass
            index = bu3dfe_aligned(root, size=96)
            for k, label in enumerate(LABELS):
                chosen = (index.majority == index.labels.index(label)) & (index.extra["intensity"] == 4)
                row = int(np.flatnonzero(chosen)[0])
                maps = maps_of(index.media["depth"][row])
                shown = [index.media["picture"][row], index.media["face"][row], maps[0], (maps[1:4] + 1) / 2, *maps[4:]]
                shown[3] = np.where((maps[3] != 0)[..., None], np.moveaxis(shown[3], 0, 2), 0)
                for area, image in zip(areas[2 * half + k], shown, strict=True):
                    area.imshow(image, cmap="gray", vmin=-1, vmax=1)
                    area.set_axis_off()
    for area, head in zip(areas[0], heads, strict=True):
        area.set_title(
            {"mean": "mean curvature", "gauss": "Gaussian", "shape": "shape index"}.get(head, head), fontsize=9
        )
    made.suptitle(
        "SYNTHETIC scans, plain (above) and with noise, holes, turns and a tenth of the light (below)", fontsize=10
    )
    path = Path(__file__).resolve().parent.parent / "docs" / "figures" / "depth-maps.png"
    made.savefig(path, dpi=75, metadata={"Software": None})


if __name__ == "__main__":
    main()
