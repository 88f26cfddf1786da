"""Crops for landmark training: cut like the pipeline does, jittered, flipped, darkened, blurred, covered."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.faces.angles import MIRROR
from mien.spec import Geometry

SIZE = 64
GEOMETRY = Geometry(align="box", scale=1.25, shift_y=0.07)


FLIP5 = np.array([1, 0, 2, 4, 3])


@dataclass(frozen=True)
class Jitter:
    """How far training leaves the detector's box.

    Attributes:
        centre: most, as a share of the crop's side.
        scale: most, as a share.
        roll: most, degrees.
    """

    centre: float = 0.08
    scale: float = 0.15
    roll: float = 30.0


NONE = Jitter(0.0, 0.0, 0.0)


def matrices(boxes: np.ndarray, rng: np.random.Generator | None = None, jitter: Jitter = NONE) -> np.ndarray:
    """Maps [N, 2, 3] from the unit square of a crop to pixels, for boxes [N, 4] (x1 y1 x2 y2)."""
    side = GEOMETRY.scale * (boxes[:, 2:] - boxes[:, :2]).max(1)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + side[:, None] * (0, GEOMETRY.shift_y)
    angle = np.zeros(len(boxes))
    if rng is not None:
        side = side * np.exp(rng.uniform(-1, 1, len(boxes)) * np.log1p(jitter.scale))
        centre = centre + side[:, None] * rng.uniform(-jitter.centre, jitter.centre, (len(boxes), 2))
        angle = np.radians((rng.normal(0, 0.5, len(boxes)).clip(-1, 1)) * jitter.roll)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(-1, 2, 2)
    linear = turn * side[:, None, None]
    offset = centre - linear @ np.array([0.5, 0.5])
    return np.concatenate([linear, offset[:, :, None]], 2)


def to_crop(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [N, P, 2] in pixels as shares of their crops, under maps [N, 2, 3]."""
    inverse = np.linalg.inv(matrix[:, :, :2])
    return np.asarray(((points - matrix[:, None, :, 2]) @ inverse.transpose(0, 2, 1)).astype(np.float32))


def cut(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Grey crop float32 [SIZE, SIZE] in [0, 1] of one picture [H, W] under the map [2, 3]."""
    step = matrix[:, :2] / SIZE
    start = matrix[:, 2] + step @ (0.5, 0.5) - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    inverse = np.concatenate([step, start[:, None]], 1)
    crop = cv2.warpAffine(pixels, inverse, (SIZE, SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.float32) / np.float32(255)


def cut_all(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Crops float32 [N, 1, SIZE, SIZE]."""
    return np.stack([cut(picture, one) for picture, one in zip(pixels, matrix, strict=True)])[:, None]


def _lower(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As seen from further away: the whole crop at 24 to 64 pixels, enlarged again."""
    side = int(rng.integers(24, SIZE))
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (SIZE, SIZE), interpolation=[cv2.INTER_LINEAR, cv2.INTER_CUBIC][int(rng.integers(2))])


def _cover(crop: np.ndarray, rng: np.random.Generator) -> None:
    """An opaque ellipse or rectangle of one grey or of noise, in place."""
    centre = rng.uniform(0, SIZE, 2).astype(int)
    half = (rng.uniform(0.06, 0.25, 2) * SIZE).astype(int)
    mask = np.zeros(crop.shape, np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, centre.tolist(), half.tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    else:
        cv2.rectangle(mask, (centre - half).tolist(), (centre + half).tolist(), 1, -1)
    value = rng.uniform(0, 1) + (rng.normal(0, 0.2, crop.shape) if rng.random() < 0.3 else 0.0)
    crop[mask > 0] = np.broadcast_to(value, crop.shape)[mask > 0]


def photometric(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, contrast, blur, noise and covering patches on crops [N, 1, SIZE, SIZE]."""
    n = len(crops)
    out = crops.copy()
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32)
    slope = rng.normal(0, 0.25, (2, n, 1, 1, 1)).astype(np.float32) * (rng.random((n, 1, 1, 1)) < 0.5)
    out *= (1 + slope[0] * ramp + slope[1] * ramp[:, None]).clip(0.1, 2)
    gain = rng.uniform(0.4, 1.5, (n, 1, 1, 1)).astype(np.float32)
    mean = out.mean((1, 2, 3), keepdims=True)
    out = (out - mean) * gain + mean + rng.normal(0, 0.12, (n, 1, 1, 1)).astype(np.float32)
    out = out.clip(0, 1) ** np.exp(rng.normal(0, 0.35, (n, 1, 1, 1))).astype(np.float32)
    for k in range(n):
        if rng.random() < 0.35:
            _cover(out[k, 0], rng)
        if rng.random() < 0.5:
            out[k, 0] = _lower(out[k, 0], rng)
    sigma = rng.uniform(0, 0.05, (n, 1, 1, 1)) * (rng.random((n, 1, 1, 1)) < 0.5)
    out += (rng.standard_normal(out.shape, np.float32) * sigma).astype(np.float32)
    return np.asarray(out.clip(0, 1), np.float32)


def training_batch(
    pixels: np.ndarray, points: np.ndarray, boxes: np.ndarray, rng: np.random.Generator, jitter: Jitter
) -> tuple[np.ndarray, np.ndarray]:
    """Augmented crops [N, 1, SIZE, SIZE] and their points [N, P, 2] (P 68 or 5) in [0, 1] of the crop."""
    matrix = matrices(boxes, rng, jitter)
    crops, target = cut_all(pixels, matrix), to_crop(points, matrix)
    mirrored = rng.random(len(crops)) < 0.5
    crops[mirrored] = crops[mirrored][..., ::-1]
    order = MIRROR if points.shape[1] == 68 else FLIP5
    turned = target[mirrored][:, order]
    turned[..., 0] = 1 - turned[..., 0]
    target[mirrored] = turned
    return photometric(crops, rng), target
