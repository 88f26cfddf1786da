"""Face Research Lab London set: frontal photographs with a 189-point template, read as 68 iBUG points.

Paper: DeBruine, Jones, "Face Research Lab London Set", figshare 2017, doi:10.6084/m9.figshare.5047666.
Layout: `<person>_<expression>.jpg` square photographs of any one side, and `<person>_<expression>.tem` for those with a
    template: the number of points, their x y rows in pixels of the 1350-pixel original, then the lines that join them.
Labels: 68 points in the iBUG order, made from the template (see `PLACES`, `LINES`); a photograph without a template has
    NaN in their place.
Licence: CC BY 4.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import FAKES
from mien.errors import DataError

TEMPLATE_POINTS = 189
TEMPLATE_SIDE = 1350

# iBUG index -> template points whose mean it is
PLACES: dict[int, tuple[int, ...]] = {
    31: (63, 64, 65),
    33: (55,),
    35: (68, 69, 70),
    36: (18,),
    39: (22,),
    42: (23,),
    45: (27,),
    48: (87,),
    49: (88,),
    50: (89,),
    51: (90,),
    52: (91,),
    53: (92,),
    54: (93,),
    57: (106,),
    61: (95,),
    62: (96,),
    63: (97,),
    65: (102,),
    66: (101,),
    67: (100,),
}
_THIRDS = (1 / 3, 2 / 3)
_EIGHTHS = tuple(k / 8 for k in range(9))
# template points joined by a line, iBUG indices on it, and where: shares of its length
LINES: tuple[tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]], ...] = (
    ((109, 185, 110, 186, 111, 125, 126, 127, 128, 129), tuple(range(9)), _EIGHTHS),
    ((112, 187, 113, 188, 114, 133, 132, 131, 130, 129), tuple(range(16, 8, -1)), _EIGHTHS[:8]),
    ((71, 72, 73, 74, 75, 76), (17, 18, 19, 20, 21), (0, 0.25, 0.5, 0.75, 1)),
    ((77, 78, 79, 80, 81, 82), (22, 23, 24, 25, 26), (0, 0.25, 0.5, 0.75, 1)),
    ((18, 19, 20, 21, 22), (37, 38), _THIRDS),
    ((18, 28, 29, 30, 22), (41, 40), _THIRDS),
    ((23, 24, 25, 26, 27), (43, 44), _THIRDS),
    ((23, 31, 32, 33, 27), (47, 46), _THIRDS),
    # places of the iBUG mean shape: 43 % and 76 % of the way from a corner to the middle of the lower lip's edge
    ((93, 108, 107, 106), (55, 56), (0.43, 0.76)),
    ((87, 104, 105, 106), (59, 58), (0.43, 0.76)),
)


@dataclass(frozen=True)
class Photos:
    """Photographs with landmarks.

    Attributes:
        images: N arrays uint8 [H, W, 3] RGB.
        points: float32 [N, 68, 2], pixels; NaN where the photograph has no template.
        person: N names.
        expression: N names, such as `neutral`.
    """

    images: tuple[np.ndarray, ...]
    points: np.ndarray
    person: tuple[str, ...]
    expression: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def along(line: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Points [M, 2] at shares of the length of a polyline [L, 2].

    >>> along(np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]]), (0.5,)).tolist()
    [[2.0, 0.0]]
    """
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.array(shares) * length[-1]
    return np.stack([np.interp(at, length, line[:, 0]), np.interp(at, length, line[:, 1])], 1)


def to_68(template: np.ndarray) -> np.ndarray:
    """The 68 iBUG points [68, 2] of a template's points [189, 2], in the same units."""
    points = np.full((68, 2), np.nan)
    for index, sources in PLACES.items():
        points[index] = template[list(sources)].mean(0)
    for line, indices, shares in LINES:
        points[list(indices)] = along(template[list(line)], shares)
    # the template has no point on the tip: it lies a fifth of the way from the bridge's last pair to the septum; and
    # the bridge's pairs go above the first iBUG point
    points[30] = 0.8 * template[[54, 60]].mean(0) + 0.2 * template[55]
    pairs = [template[[a, b]].mean(0) for a, b in ((50, 56), (51, 57), (52, 58), (53, 59))]
    pairs[0] = 0.3 * pairs[0] + 0.7 * pairs[1]
    points[27:30] = along(np.array([*pairs, points[30]]), (0, 1 / 3, 2 / 3))
    points[32] = (points[31] + points[33] + template[179]) / 3
    points[34] = (points[35] + points[33] + template[182]) / 3
    # iBUG's inner corners lie inside the lips' corners
    points[60] = 0.6 * template[87] + 0.4 * template[[94, 99]].mean(0)
    points[64] = 0.6 * template[93] + 0.4 * template[[98, 103]].mean(0)
    return points.astype(np.float32)


def read_template(path: Path) -> np.ndarray:
    """The points [189, 2] of a `.tem` file, in pixels of the original photograph.

    Raises:
        DataError: the file is not such a template.
    """
    try:
        lines = path.read_text().split("\n")
        count = int(lines[0])
        points = np.array([[float(value) for value in line.split()] for line in lines[1 : count + 1]])
    except (ValueError, IndexError, OSError) as error:
        raise DataError(f"{path} is no template (a count, then x y rows): {error}") from error
    if points.shape != (TEMPLATE_POINTS, 2):
        raise DataError(f"{path} has points {list(points.shape)}, expected [189, 2]; fetch the data set anew")
    return points


def frll(root: Path) -> Photos:
    """Read a folder of the Face Research Lab London set.

    Raises:
        DataError: there is no photograph, or a file is damaged.
    """
    paths = sorted(path for path in Path(root).glob("*_*.jpg"))
    if not paths:
        raise DataError(f"{root} has no <person>_<expression>.jpg; put the photographs and their .tem files there")
    images, points = [], []
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise DataError(f"{path} is not a readable picture; fetch it anew")
        images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        template = path.with_suffix(".tem")
        known = template.is_file()
        scale = image.shape[1] / TEMPLATE_SIDE
        points.append(to_68(read_template(template)) * scale if known else np.full((68, 2), np.nan))
    names = [path.stem.split("_", 1) for path in paths]
    people, expressions = tuple(name[0] for name in names), tuple(name[1] for name in names)
    return Photos(tuple(images), np.array(points, np.float32), people, expressions)


def fake(root: Path, people: int = 5, side: int = 90, seed: int = 0) -> None:
    """Write a tiny tree: noise photographs, templates of random points for the neutral ones."""
    random = np.random.default_rng(seed)
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    for person in range(people):
        for expression in ("happy", "neutral"):
            noise = random.integers(0, 255, (side, side, 3), np.uint8)
            cv2.imwrite(str(root / f"{person:03d}_{expression}.jpg"), noise)
        points = random.uniform(0.2, 0.8, (TEMPLATE_POINTS, 2)) * TEMPLATE_SIDE
        rows = [f"{x:.1f}\t{y:.1f}" for x, y in points]
        (root / f"{person:03d}_neutral.tem").write_text("\n".join([str(TEMPLATE_POINTS), *rows, "0", ""]))


FAKES["frll"] = fake
