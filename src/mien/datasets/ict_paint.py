"""Random paint, hair, light, pose and expression for the SYNTHETIC faces of `mien.datasets.ict`."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from mien.datasets.ict import PARTS, FaceModel, Render

SKINS = np.array([[0.95, 0.80, 0.70], [0.85, 0.65, 0.52], [0.70, 0.50, 0.38], [0.45, 0.30, 0.22], [0.30, 0.20, 0.15]])
HAIRS = np.array([[0.05, 0.04, 0.04], [0.15, 0.10, 0.07], [0.35, 0.22, 0.12], [0.65, 0.52, 0.32], [0.6, 0.6, 0.6]])
IRIS_CM = 0.58
# expressions that people show together, as patterns of coefficients' names
MOODS: dict[str, tuple[str, ...]] = {
    "neutral": (),
    "smile": ("mouthSmile", "cheekSquint", "cheekRaiser"),
    "laugh": ("mouthSmile", "jawOpen", "eyeSquint", "mouthUpperUp", "mouthLowerDown"),
    "surprise": ("jawOpen", "browInnerUp", "browOuterUp", "eyeWide"),
    "anger": ("browDown", "eyeSquint", "mouthPress", "noseSneer"),
    "shout": ("browDown", "jawOpen", "mouthUpperUp", "mouthLowerDown", "noseSneer"),
    "sadness": ("browInnerUp", "mouthFrown", "mouthShrugLower"),
    "fear": ("browInnerUp", "browOuterUp", "eyeWide", "mouthStretch", "jawOpen"),
    "disgust": ("noseSneer", "mouthUpperUp", "browDown", "mouthFrown"),
    "pout": ("mouthPucker", "mouthFunnel"),
    "closed": ("eyeBlink",),
    "talk": ("jawOpen", "mouthFunnel", "mouthLowerDown"),
}


def _noise(rng: np.random.Generator, points: np.ndarray, scale: float) -> np.ndarray:
    """Smooth noise [V] about 0, deviation about 1, at points in cm; `scale` is its wavelength."""
    waves = rng.normal(0, 2 * np.pi / scale, (6, 3))
    phases = rng.uniform(0, 2 * np.pi, 6)
    return np.asarray(np.sin(points @ waves.T + phases).sum(1) / np.sqrt(3))


def _near_line(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance [V] of points from a polyline [L, 3]."""
    best = np.full(len(points), np.inf)
    for start, end in pairwise(line):
        way = end - start
        share = np.clip((points - start) @ way / (way @ way + 1e-9), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - start - share[:, None] * way, axis=1))
    return best


def _blend(paint: np.ndarray, colour: np.ndarray, weight: np.ndarray) -> None:
    paint += (colour - paint) * weight[:, None]


class Painter:
    """Paints a model's vertices: skin, brows, lips, hair, beard, eyes, teeth and a dark mouth, all at random.

    Distances from the landmarks are measured once, on the neutral face.
    """

    def __init__(self, model: FaceModel) -> None:
        self.model = model
        self.at = at = model.neutral
        self.marks = marks = at[model.landmarks]
        self.scale = float(np.linalg.norm(marks[8] - marks[27])) / 11.0
        self.skin = np.zeros(len(at), bool)
        self.skin[model.part("face")] = True
        rim, inner = marks[[*range(48, 60), 48]], marks[[*range(60, 68), 60]]
        self.rim = _near_line(at, rim)
        outline = rim[:, :2].astype(np.float32)
        within = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), False) >= 0 for x, y, _ in at])
        near = np.minimum(_near_line(at, inner), self.rim) < 1.2 * self.scale
        self.lips = self.skin & near & within
        middle = marks[17:27] - (0, 0.4 * self.scale, 0)  # the points mark the brow's upper edge
        self.brow = np.minimum(_near_line(at, middle[:5]), _near_line(at, middle[5:]))
        self.lash = np.minimum(_near_line(at, marks[36:40]), _near_line(at, marks[42:46]))
        self.nostril = np.minimum(np.linalg.norm(at - marks[32], axis=1), np.linalg.norm(at - marks[34], axis=1))
        self.jaw = _near_line(at, marks[3:14])

    def paint(self, rng: np.random.Generator) -> np.ndarray:
        """A random albedo [V, 3] in [0, 1]."""
        model, at, scale = self.model, self.at, self.scale
        tone = rng.beta(1, 1.5) * (len(SKINS) - 1)
        low = min(int(tone), len(SKINS) - 2)
        skin = SKINS[low] + (SKINS[low + 1] - SKINS[low]) * (tone - low)
        hair = HAIRS[rng.integers(len(HAIRS))] * rng.uniform(0.6, 1.4)
        paint = skin * (1 + 0.06 * _noise(rng, at, 6)[:, None] + 0.05 * rng.normal(size=(len(at), 1)))
        _blend(paint, skin * rng.uniform([0.75, 0.45, 0.45], [1.0, 0.8, 0.8]), self.lips * rng.uniform(0.4, 1))
        width = rng.uniform(0.25, 0.45) * scale
        _blend(paint, hair, self.skin * np.clip(1.5 - self.brow / width, 0, 1) * rng.uniform(0.3, 1))
        lash = np.clip(1.3 - self.lash / (0.16 * scale), 0, 1)
        _blend(paint, hair * 0.5, self.skin * lash * rng.uniform(0.1, 0.9))
        nostril = np.clip(1.4 - self.nostril / (0.3 * scale), 0, 1)
        _blend(paint, skin * 0.3, self.skin * nostril * rng.uniform(0, 0.8))
        self._hair(rng, paint, hair)
        for name, colour in (("mouth", (0.12, 0.04, 0.04)), ("gums", (0.45, 0.2, 0.2)), ("teeth", (0.9, 0.87, 0.8))):
            paint[model.part(name)] = np.array(colour) * rng.uniform(0.7, 1)
        self._eyes(rng, paint)
        return np.asarray(paint.clip(0, 1))

    def _hair(self, rng: np.random.Generator, paint: np.ndarray, hair: np.ndarray) -> None:
        at, marks, scale = self.at, self.marks, self.scale
        skull = slice(0, PARTS["mouth"])
        strands = hair * (1 + 0.2 * _noise(rng, at * (3, 0.5, 3), 2)[:, None])
        line = marks[17:27, 1].mean() + rng.uniform(2.0, 5.5) * scale + 0.5 * scale * _noise(rng, at, 8)
        sides = marks[0, 2] + rng.uniform(-4, 0.5) * scale
        above = np.clip((at[:, 1] - line) / 0.3, 0, 1)
        behind = np.clip((sides - at[:, 2]) / 0.3, 0, 1) * (at[:, 1] > marks[rng.choice([2, 4, 8]), 1])
        if rng.random() < 0.85:
            _blend(paint[skull], strands[skull], np.maximum(above, behind)[skull])
        if rng.random() < 0.25:
            below = at[:, 1] < marks[33, 1] - 0.3 * scale
            cheek = np.clip((rng.uniform(1.5, 4) * scale - self.jaw) / scale, 0, 1) * below
            beard = cheek * np.clip(self.rim / scale - 0.3, 0, 1) * rng.uniform(0.2, 0.9)
            _blend(paint[skull], strands[skull], beard[skull])

    def _eyes(self, rng: np.random.Generator, paint: np.ndarray) -> None:
        eyes = self.model.part("eyes")
        paint[eyes] = rng.uniform(0.7, 0.95)
        iris = rng.uniform([0.05, 0.05, 0.02], [0.4, 0.4, 0.45])
        for side in (self.at[eyes, 0] < 0, self.at[eyes, 0] >= 0):
            ball = self.at[eyes][side]
            if not len(ball):
                continue
            off = np.linalg.norm(ball[:, :2] - ball[:, :2].mean(0), axis=1)
            front = (ball[:, 2] > ball[:, 2].mean()) & (off < IRIS_CM)
            paint[eyes][np.flatnonzero(side)[front]] = np.where((off < 0.25)[:, None], 0.02, iris)[front]


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """uint8 [S, S, 3]: a colour ramp, smooth noise and random ellipses; no photograph."""
    small = rng.uniform(0, 255, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3)).astype(np.float32)
    image = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
    image = rng.uniform(40, 220) + (image - 128) * rng.uniform(0, 0.8)
    for _ in range(int(rng.integers(0, 6))):
        place = tuple(int(v) for v in rng.uniform(0, size, 2))
        axes = tuple(int(v) for v in rng.uniform(4, size / 2, 2))
        colour = tuple(float(v) for v in rng.uniform(0, 255, 3))
        cv2.ellipse(image, place, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return np.asarray(image.clip(0, 255).astype(np.uint8))


def mood(model: FaceModel, rng: np.random.Generator) -> np.ndarray:
    """Random expression coefficients [E]: one mood, mostly symmetric, and a little of everything."""
    names = model.expressions
    value = np.zeros(len(names), np.float32)
    patterns = MOODS[str(rng.choice(list(MOODS)))]
    strength = {pattern: rng.uniform(0.2, 1) for pattern in patterns}
    for k, name in enumerate(names):
        stem = name.removesuffix("_L").removesuffix("_R")
        if stem in strength:
            value[k] = strength[stem] * rng.uniform(0.8, 1)
        elif rng.random() < 0.08:
            value[k] = rng.uniform(0, 0.35)
    gaze = rng.normal(0, 0.3, 2)
    for sign, pair in ((gaze[0], ("LookIn_L", "LookOut_R")), (-gaze[0], ("LookOut_L", "LookIn_R"))):
        for k, name in enumerate(names):
            if name.endswith(pair):
                value[k] = np.clip(sign, 0, 1)
    for k, name in enumerate(names):
        if "eyeLookUp" in name or "eyeLookDown" in name:
            value[k] = np.clip(gaze[1] if "Up" in name else -gaze[1], 0, 1)
        if "eyeBlink" in name and "eyeBlink" not in patterns:
            value[k] = rng.choice([0.0, rng.uniform(0, 0.5)])
    return value


def _glasses(image: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> None:
    """Draw rims (and now and then dark glass) around the projected eyes, in place."""
    span = float(np.linalg.norm(points[45] - points[36]))
    angle = float(np.degrees(np.arctan2(*(points[45] - points[36])[::-1])))
    axes = int(span * rng.uniform(0.2, 0.27)), int(span * rng.uniform(0.14, 0.24))
    colour = tuple(float(v) for v in rng.uniform(0, 120, 3))
    centres = [points[36:42].mean(0), points[42:48].mean(0)]
    for centre in centres:
        place = int(centre[0]), int(centre[1])
        if rng.random() < 0.15:
            cv2.ellipse(image, place, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(image, place, axes, angle, 0, 360, colour, int(rng.integers(1, 4)), cv2.LINE_AA)
    inner = [tuple(int(v) for v in c + w * axes[0] * _unit(angle)) for c, w in zip(centres, (1, -1), strict=True)]
    cv2.line(image, inner[0], inner[1], colour, 1, cv2.LINE_AA)


def _unit(angle: float) -> np.ndarray:
    return np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])


def sample(painter: Painter, rng: np.random.Generator, size: int = 128, identity: np.ndarray | None = None) -> Render:
    """A random face: identity, mood, pose (yaw mostly within 50 degrees), light, paint and background.

    Args:
        painter: of the face model.
        rng: decides everything; the same state gives the same picture.
        size: S.
        identity: [I], in standard deviations; random without.
    """
    model = painter.model
    who = rng.normal(0, 1, len(model.identity_delta)) if identity is None else identity
    yaw = rng.normal(0, 25) if rng.random() < 0.75 else rng.uniform(-65, 65)
    pose = float(np.clip(yaw, -70, 70)), float(np.clip(rng.normal(0, 13), -35, 35)), float(rng.normal(0, 8))
    light = float(rng.normal(0, 0.8)), float(rng.normal(0.4, 0.6)), float(rng.uniform(0.2, 1.5))
    picture = model.render(
        who,
        mood(model, rng),
        pose,
        light,
        albedo=painter.paint(rng),
        background=background(rng, size),
        ambient=float(rng.uniform(0.25, 0.75)),
        distance=float(rng.uniform(35, 150)),
        size=size,
    )
    if rng.random() < 0.15:
        _glasses(picture.image, picture.landmarks, rng)
    return picture
