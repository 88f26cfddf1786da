"""Media for the page's browser test, from scikit-image's astronaut (NASA, public domain).

    python scripts/make_web_media.py FOLDER

writes astronaut.png, clip.webm (three seconds, the face moves and goes) and camera.mjpeg (for Chromium's fake camera).
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import numpy as np
from skimage.data import astronaut


def frames(count: int) -> list[np.ndarray]:
    """The portrait [360, 480, 3], moving from side to side."""
    image = astronaut()
    shifts = (40 * np.sin(np.linspace(0, 2 * np.pi, count, endpoint=False))).round().astype(int)
    return [np.roll(image[:360], shift, axis=1)[:, :480] for shift in shifts]


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "astronaut.png"), astronaut()[:, :, ::-1])
    with av.open(str(folder / "clip.webm"), "w") as container:
        stream = container.add_stream("libvpx", rate=15)
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
        stream.bit_rate = 1_500_000
        for index, image in enumerate(frames(60)):
            shown = np.full_like(image, 110) if 40 <= index < 48 else image
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    pictures = [cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes() for image in frames(45)]
    (folder / "camera.mjpeg").write_bytes(b"".join(pictures))


if __name__ == "__main__":
    main()
