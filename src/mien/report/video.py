"""H.264 in MP4, written beside its final name and moved there when whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from mien.pipeline.writers import whole_file

__all__ = ["Encoder", "open_target", "to_rgb", "whole_file"]

_BT709 = 1


def to_rgb(frame: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """Pixels of a decoded frame, uint8 [H, W, 3]; untagged pictures of 720 lines and more are taken for BT.709."""
    untagged = int(frame.colorspace) == 2
    space = (Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601) if untagged else None
    return reformatter.reformat(frame, format="rgb24", src_colorspace=space).to_ndarray()


class Encoder:
    """One H.264 stream of an open MP4 file.

    Args:
        target: the file.
        width, height: of the pictures; an odd last column or row is cut off.
        rate: frames per second, as a hint; times come with each picture.
        time_base: unit of the times, seconds.
        threads: threads for encoding; 0 uses all cores.
        aspect: width of a pixel divided by its height.
    """

    def __init__(
        self,
        target: OutputContainer,
        width: int,
        height: int,
        rate: Fraction,
        time_base: Fraction,
        threads: int = 0,
        aspect: Fraction | None = None,
    ) -> None:
        self._target = target
        # x264's macroblock tree reads memory that it never wrote, so that bytes differ from run to run; without it
        # a step of crf less gives the same quality
        options = {"crf": "21", "preset": "veryfast", "x264-params": "mbtree=0"}
        self._stream = target.add_stream("libx264", rate=rate, options=options)
        self._stream.width, self._stream.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._time_base = time_base
        context.thread_count = threads
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = int(ColorRange.MPEG)
        if aspect:
            context.sample_aspect_ratio = aspect
        self._reformatter = VideoReformatter()
        self._last: int | None = None

    def add(self, image: np.ndarray, pts: int) -> None:
        """Encode a picture, uint8 [H, W, 3] RGB, shown at `pts` time units; times that stand still are moved on."""
        self._last = pts if self._last is None or pts > self._last else self._last + 1
        width, height = self._stream.width, self._stream.height
        frame = VideoFrame.from_ndarray(_fitted(image, width, height), format="rgb24")
        frame = self._reformatter.reformat(
            frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts, frame.time_base = self._last, self._time_base
        self._target.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds."""
        if self._last is not None:
            self._target.mux(self._stream.encode(None))


def _fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture cropped to the video's size; one of another size altogether is scaled."""
    if abs(image.shape[0] - height) > 1 or abs(image.shape[1] - width) > 1 or image.shape[:2] < (height, width):
        import cv2

        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[:height, :width])


def open_target(part: Path) -> OutputContainer:
    """An MP4 file to write, with its index in front, so that it plays while it loads."""
    return av.open(str(part), "w", format="mp4", options={"movflags": "faststart"})
