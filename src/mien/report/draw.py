"""Annotated copy of a picture: boxes, labels, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.labels import colour
from mien.report.hide import hide
from mien.report.paint import DARK, WHITE, Colour, blend, ink, mix, outline, plate, rgb, text_width, write
from mien.types import Faces

BARS = 3
CROWD = 8  # faces; bars beside more than these would be mush
SMALL = 0.065  # of the picture's shorter side; faces lower than this get no bars
_GREY: Colour = (150, 154, 162)

Rect = tuple[int, int, int, int]  # x1, y1, x2, y2
Pieces = tuple[tuple[str, bool], ...]  # text, bold


@dataclass(frozen=True)
class _Face:
    """One face with all that its drawing needs; lengths in pixels."""

    box: Rect
    size: int
    thick: int
    shade: Colour
    tag: tuple[Pieces, ...]
    bars: tuple[tuple[str, float], ...]
    unsure: bool


def draw(
    image: np.ndarray, faces: Faces, labels: Sequence[str], unsure: np.ndarray, *, anonymous: bool = False
) -> np.ndarray:
    """A copy of a picture with a box, a label and, where there is room, the three top scores beside each face.

    Args:
        image: uint8 [H, W, 3] RGB.
        faces: N faces with scores [N, K]; without scores (K = 0) only boxes are drawn.
        labels: names of the K scores.
        unsure: bool [N]; such faces are dashed and greyed.
        anonymous: make the faces unrecognisable first.

    >>> one = Faces(np.array([[20, 20, 60, 60]]), np.ones(1), scores=np.array([[0.1, 0.9]]))
    >>> draw(np.zeros((80, 80, 3), np.uint8), one, ("fear", "happiness"), np.array([False])).shape
    (80, 80, 3)
    """
    copy = image.copy()
    if anonymous:
        hide(copy, faces.box)
    height, width = image.shape[:2]
    large_first = np.argsort(-_sides(faces), kind="stable")
    known = [_face(faces, int(i), labels, bool(unsure[i]), height, width) for i in large_first]
    known = [face for face in known if face.box[2] > face.box[0] and face.box[3] > face.box[1]]
    for face in reversed(known):
        outline(copy, face.box, face.shade, face.thick, 0.1 * _side(face.box), face.unsure)
    boxes = [face.box for face in known]
    taken: list[Rect] = []
    for i, face in enumerate(known):
        _tag(copy, face, boxes[:i] + boxes[i + 1 :], taken)
    for i, face in enumerate(known if len(known) <= CROWD else []):
        _bars(copy, face, labels, boxes[:i] + boxes[i + 1 :], taken)
    return copy


def _sides(faces: Faces) -> np.ndarray:
    sides: np.ndarray = (faces.box[:, 2:] - faces.box[:, :2]).min(1)
    return sides


def _side(box: Rect) -> int:
    return min(box[2] - box[0], box[3] - box[1])


def _face(faces: Faces, i: int, labels: Sequence[str], unsure: bool, height: int, width: int) -> _Face:
    x1, y1, x2, y2 = (float(v) for v in faces.box[i])
    largest = 9 + 0.013 * min(height, width)
    smallest = max(10.0, 0.55 * largest)
    size = round(min(largest, max(smallest, 0.2 * min(x2 - x1, y2 - y1))))
    thick = max(1, round(size / 8))
    rim = thick // 2 + 1  # keeps the line inside the picture
    box = (
        max(rim, round(x1)),
        max(rim, round(y1)),
        min(width - 1 - rim, round(x2)),
        min(height - 1 - rim, round(y2)),
    )
    scores, track = faces.scores[i], int(faces.track[i])
    if not len(scores):
        return _Face(box, size, thick, _GREY, (), (), unsure)
    order = np.argsort(-scores, kind="stable")[:BARS]
    top, best = labels[order[0]], float(scores[order[0]])
    shade = mix(rgb(colour(top)), _GREY, 0.7) if unsure else rgb(colour(top))
    bars = tuple((labels[k], float(np.clip(scores[k], 0, 1))) for k in order)
    return _Face(box, size, thick, shade, _tag_texts(track, top, best, unsure), bars, unsure)


def _tag_texts(track: int, label: str, score: float, unsure: bool) -> tuple[Pieces, ...]:
    """What a tag may say, from the longest to the shortest."""
    number: Pieces = ((f"#{track}", False),) if track >= 0 else ()
    name: Pieces = ((label, True),)
    percent: Pieces = ((f"{100 * score:.0f} %", False),)
    if unsure:
        doubt: Pieces = (("unsure:", False), (label, False))
        return (*number, *doubt, *percent), (*doubt, *percent), (("unsure", False),), (("?", True),)
    return (*number, *name, *percent), (*number, *name), name, (number or percent)


def _overlap(a: Rect, b: Rect) -> int:
    """Pixels that two rectangles share."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _place(
    options: list[tuple[int, int]], width: int, height: int, image: np.ndarray, taken: list[Rect]
) -> Rect | None:
    """The first of some places (x, y) where a plate lies in the picture and on nothing else."""
    for x, y in options:
        rect = (x, y, x + width, y + height)
        inside = x >= 0 and y >= 0 and rect[2] <= image.shape[1] and rect[3] <= image.shape[0]
        if inside and not any(_overlap(rect, other) for other in taken):
            return rect
    return None


def _tag(image: np.ndarray, face: _Face, others: list[Rect], taken: list[Rect]) -> None:
    """Write the label above the box, else below it, else inside; shorter where it is crowded."""
    pad, height, edge = round(0.45 * face.size), round(1.55 * face.size), face.thick // 2 + 1
    x1, y1, x2, y2 = face.box
    space = round(0.32 * face.size)
    for pieces in face.tag:
        width = 2 * pad + space * (len(pieces) - 1) + sum(text_width(t, face.size, bold) for t, bold in pieces)
        left = max(0, min(x1 - edge, image.shape[1] - width))
        right = max(0, min(x2 + edge - width, image.shape[1] - width))
        above, below = y1 - edge - height - 1, y2 + edge + 2
        free = [(left, above), (left, below), (right, above), (right, below)]
        place = _place(free, width, height, image, taken + others)
        inner = [(x1 + edge, y1 + edge), (x1 + edge, y2 - edge - height)]
        if place is None and width <= x2 - x1 - 2 * edge and height <= 0.34 * (y2 - y1):
            place = _place(inner, width, height, image, taken + others)
        if place is not None:
            break
    else:
        return
    taken.append(place)
    _tag_plate(image, face, place, pieces, pad, space)


def _tag_plate(image: np.ndarray, face: _Face, place: Rect, pieces: Pieces, pad: int, space: int) -> None:
    x, y, x2, y2 = place
    ground = DARK if face.unsure else face.shade
    paper = plate(x2 - x, y2 - y, 0.3 * face.size)
    blend(image, paper, x, y, ground, 0.72 if face.unsure else 1.0)
    front = (214, 217, 222) if face.unsure else ink(ground)
    x += pad
    for text, bold in pieces:
        soft = mix(front, ground, 0.22) if text.startswith("#") else front
        x += write(image, text, x, (y + y2) / 2, face.size, soft, bold) + space


def _bars(image: np.ndarray, face: _Face, labels: Sequence[str], others: list[Rect], taken: list[Rect]) -> None:
    """Draw the top scores beside the box, where there is room and the face is large enough to matter."""
    size = max(10, round(0.82 * face.size))
    pad, line = round(0.6 * size), round(1.55 * size)
    height = 2 * pad + line * len(face.bars) - round(0.3 * size)
    x1, y1, x2, y2 = face.box
    if not face.bars or y2 - y1 < max(1.15 * height, SMALL * min(image.shape[:2])):
        return
    names = max(text_width(label, size) for label in labels)
    bar, figures, space = round(4.6 * size), text_width("100", size), round(0.5 * size)
    width = 2 * pad + names + bar + figures + 2 * space
    gap = round(0.5 * size) + face.thick
    free = [(x2 + gap, y1), (x1 - gap - width, y1), (x2 + gap, y2 - height), (x1 - gap - width, y2 - height)]
    centre = max(0, min((x1 + x2 - width) // 2, image.shape[1] - width))
    free += [(centre, y2 + gap), (centre, y2 + gap + 2 * face.size)]
    place = _place(free, width, height, image, taken + others)
    if place is None:
        return
    taken.append(place)
    blend(image, plate(width, height, 0.4 * size), place[0], place[1], DARK, 0.66)
    thick = max(3, round(0.5 * size))
    start = place[0] + pad + names + space
    for i, (label, score) in enumerate(face.bars):
        middle = place[1] + pad + i * line + 0.62 * size
        front = WHITE if i == 0 and not face.unsure else (204, 208, 214)
        write(image, label, place[0] + pad + names - text_width(label, size), middle, size, front)
        top = round(middle - thick / 2)
        blend(image, plate(bar, thick, thick / 2), start, top, WHITE, 0.16)
        shade = mix(rgb(colour(label)), WHITE, 0.12)
        if round(bar * score) >= 1:
            length = max(thick, round(bar * score))
            blend(image, plate(length, thick, thick / 2), start, top, shade)
        number = f"{100 * score:.0f}"
        write(image, number, start + bar + space + figures - text_width(number, size), middle, size, front)
