"""Write the sample inputs of scripts/try.sh: a portrait and a five-second clip made from it.

python scripts/make_sample.py FOLDER
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage.data import astronaut


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.ascontiguousarray(astronaut())
    cv2.imwrite(str(folder / "astronaut.jpg"), picture[:, :, ::-1])
    with av.open(str(folder / "astronaut.mp4"), "w") as container:
        # x264's macroblock tree reads memory that was never written: without it, the same bytes everywhere
        stream = container.add_stream("libx264", rate=25, options={"threads": "1", "x264-params": "mbtree=0"})
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
        for index in range(125):
            # the camera drifts, comes nearer and turns a little
            zoom, angle = 1.15 + 0.35 * np.sin(index / 40), 6 * np.sin(index / 15)
            matrix = cv2.getRotationMatrix2D((225, 130), angle, zoom)
            matrix[:, 2] += (240 - 225 + 30 * np.sin(index / 20), 170 - 130)
            view = cv2.warpAffine(picture, matrix, (480, 360), borderMode=cv2.BORDER_REFLECT)
            frame = av.VideoFrame.from_ndarray(view, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
