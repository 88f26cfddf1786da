"""Anti-aliased text, boxes and outlines, blended into uint8 RGB pictures in place."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Colour = tuple[int, int, int]
DARK: Colour = (20, 23, 28)
WHITE: Colour = (255, 255, 255)
_SUBPIXEL = 4  # bits after the point of the coordinates that OpenCV draws


def rgb(colour: str) -> Colour:
    """Red, green and blue, 0 to 255, of a colour such as `#d1495b`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """A colour with a share, 0 to 1, of another one.

    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    r, g, b = (round(a + (z - a) * share) for a, z in zip(colour, other, strict=True))
    return r, g, b


def ink(background: Colour) -> Colour:
    """Black or white, whichever reads better on a background (contrast as WCAG 2 defines it)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in background)]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return WHITE if 1.05 / (light + 0.05) > 0.72 * (light + 0.05) / 0.058 else DARK


@cache
def _font(size: int, bold: bool) -> FreeTypeFont:
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


@lru_cache(maxsize=4096)
def glyphs(text: str, size: int, bold: bool = False) -> np.ndarray:
    """Coverage of a line of text, uint8 [h, w]; h spans ascenders and descenders and depends on `size` alone."""
    from PIL import Image, ImageDraw

    font = _font(size, bold)
    ascent, descent = font.getmetrics()
    page = Image.new("L", (max(1, round(font.getlength(text))), ascent + descent))
    ImageDraw.Draw(page).text((0, ascent), text, font=font, fill=255, anchor="ls")
    coverage = np.asarray(page).copy()
    coverage.flags.writeable = False
    return coverage


def text_width(text: str, size: int, bold: bool = False) -> int:
    """Width of a line of text in pixels."""
    return int(glyphs(text, size, bold).shape[1])


def blend(image: np.ndarray, coverage: np.ndarray, x: int, y: int, colour: Colour, opacity: float = 1.0) -> None:
    """Lay a colour over a picture where `coverage`, uint8 [h, w], says so; x, y is its top left corner."""
    height, width = coverage.shape
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(width, image.shape[1] - x), min(height, image.shape[0] - y)
    if left >= right or top >= bottom:
        return
    part = image[y + top : y + bottom, x + left : x + right]
    alpha = coverage[top:bottom, left:right, None].astype(np.float32) * (opacity / 255)
    part += np.rint((np.array(colour, np.float32) - part) * alpha).astype(np.int16).astype(np.uint8)


@lru_cache(maxsize=512)
def plate(width: int, height: int, radius: float) -> np.ndarray:
    """Coverage of a filled rectangle with round corners, uint8 [height, width]."""
    radius = min(radius, width / 2, height / 2)
    x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    outside = np.hypot(np.maximum(x, 0)[None], np.maximum(y, 0)[:, None])
    inside = np.minimum(np.maximum(x[None], y[:, None]), 0)
    coverage: np.ndarray = np.rint(255 * np.clip(radius + 0.5 - outside - inside, 0, 1)).astype(np.uint8)
    return coverage


def write(image: np.ndarray, text: str, x: int, middle: float, size: int, colour: Colour, bold: bool = False) -> int:
    """Write text whose small letters are centred on the line y = `middle`; returns its width in pixels."""
    coverage = glyphs(text, size, bold)
    ascent, _ = _font(size, bold).getmetrics()
    # the middle between the height of x and that of capitals looks centred
    blend(image, coverage, x, round(middle + 0.335 * size - ascent), colour)
    return int(coverage.shape[1])


def outline(
    image: np.ndarray, box: tuple[float, float, float, float], colour: Colour, thick: int, radius: float, dashed: bool
) -> None:
    """Draw a rectangle with round corners and a faint dark edge, that shows on light and dark ground alike."""
    margin = thick + 2
    x1, y1 = int(np.floor(box[0])) - margin, int(np.floor(box[1])) - margin
    x2, y2 = int(np.ceil(box[2])) + margin, int(np.ceil(box[3])) + margin
    points = _contour(np.array(box) - (x1, y1, x1, y1), radius)
    lines = _dashes(points, 4.5 * thick, 4 * thick + 1) if dashed else [points]
    for width, shade, opacity in ((thick + 2, DARK, 0.32), (thick, colour, 1.0)):
        coverage = np.zeros((y2 - y1, x2 - x1), np.uint8)
        fixed = [np.rint(line * 2**_SUBPIXEL).astype(np.int32)[:, None] for line in lines]
        cv2.polylines(coverage, fixed, False, 255, width, cv2.LINE_AA, _SUBPIXEL)
        _blend_frame(image, coverage, x1, y1, int(radius) + 2 * margin, shade, opacity)


def _blend_frame(
    image: np.ndarray, coverage: np.ndarray, x: int, y: int, band: int, colour: Colour, opacity: float
) -> None:
    """Blend only the four edges of a coverage whose middle is empty: most of a large box is."""
    height, width = coverage.shape
    if band * 2 >= min(height, width):
        blend(image, coverage, x, y, colour, opacity)
        return
    low, far = height - band, width - band
    blend(image, coverage[:band], x, y, colour, opacity)
    blend(image, coverage[low:], x, y + low, colour, opacity)
    blend(image, coverage[band:low, :band], x, y + band, colour, opacity)
    blend(image, coverage[band:low, far:], x + far, y + band, colour, opacity)


def _contour(box: np.ndarray, radius: float) -> np.ndarray:
    """Points [M, 2] along a rectangle with round corners, clockwise, the first one again at the end."""
    x1, y1, x2, y2 = box
    radius = min(radius, (x2 - x1) / 2, (y2 - y1) / 2)
    centres = ((x2 - radius, y1 + radius), (x2 - radius, y2 - radius), (x1 + radius, y2 - radius))
    angles = np.linspace(-np.pi / 2, 0, max(4, int(radius) // 2 + 3))
    parts = []
    for turn, centre in enumerate((*centres, (x1 + radius, y1 + radius))):
        along = angles + turn * np.pi / 2
        parts.append(np.stack([np.cos(along), np.sin(along)], 1) * radius + centre)
    points = np.concatenate(parts)
    return np.concatenate([points, points[:1]])


def _dashes(points: np.ndarray, dash: float, gap: float) -> list[np.ndarray]:
    """Cut a closed line into equal dashes, a whole number of them."""
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(4, round(length[-1] / (dash + gap)))
    period = length[-1] / count
    solid = period * dash / (dash + gap)
    starts = np.arange(count) * period
    cuts = np.unique(np.concatenate([length, starts, starts + solid]))
    along = np.stack([np.interp(cuts, length, points[:, axis]) for axis in (0, 1)], 1)
    first, last = np.searchsorted(cuts, starts), np.searchsorted(cuts, starts + solid)
    return [along[a : z + 1] for a, z in zip(first, last, strict=True)]
