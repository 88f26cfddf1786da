"""SYNTHETIC people and clips: who, what happens to them, and the frames that a camera would see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from mien.datasets.ict import FaceModel, Render
from mien.datasets.ict_paint import Painter, background
from mien.datasets.synthetic_motion import Pulse, draw_course, draw_pulse
from mien.datasets.synthetic_recipes import coefficients
from mien.errors import DataError
from mien.labels import CKPLUS7

OCCLUDERS = ("none", "block", "glasses", "mask")
SPREAD = 0.8  # of identities, standard deviations: the model's own would make odd faces
ZOOM = 1.2
SLOWEST_MICRO = 60
BITS, FINE = 3, 8  # occluders are drawn to an eighth of a pixel, so that they move as smoothly as the face


@dataclass(frozen=True)
class Settings:
    """How clips are made; the options of `mien data synthesise` have the same names.

    Attributes:
        people: identities.
        clips: of each person; the seven expressions take turns.
        seed: decides everything that chance does.
        fps: frames per second.
        size: side of the picture, pixels, even.
        intensity: at the apex, share of the full expression.
        micro: expressions of 0.12 to 0.48 s in place of 1.2 to 2.7 s.
        noise: deviation of the sensor's noise, grey levels of 255.
        motion: of the head (`synthetic_motion.draw_course`); 0 is still.
        light: change of the light; 0 is steady.
        occluder: one of `OCCLUDERS`.
        depth: write depth maps of the stills.

    Raises:
        DataError: a value out of its range.
    """

    people: int = 6
    clips: int = 7
    seed: int = 0
    fps: int = 25
    size: int = 256
    intensity: float = 1.0
    micro: bool = False
    noise: float = 0.0
    motion: float = 0.0
    light: float = 0.0
    occluder: str = "none"
    depth: bool = False

    def __post_init__(self) -> None:
        ranges = {"people": (1, 999), "clips": (1, 999), "fps": (5, 1000), "size": (32, 2048), "intensity": (0.01, 1)}
        ranges |= {"noise": (0, 100), "motion": (0, 3), "light": (0, 3), "seed": (0, 2**31)}
        for name, value in asdict(self).items():
            low, high = ranges.get(name, (None, None))
            if low is not None and not low <= value <= high:
                raise DataError(f"{name} {value:g}: expected a value from {low:g} to {high:g}")
        if self.size % 2:
            raise DataError(f"size {self.size}: H.264 wants an even number, such as {self.size + 1}")
        if self.occluder not in OCCLUDERS:
            raise DataError(f"occluder {self.occluder!r}: expected one of {', '.join(OCCLUDERS)}")
        if self.micro and self.fps < SLOWEST_MICRO:
            raise DataError(
                f"{self.fps} frames/s show a micro-expression of 0.12 s in {0.12 * self.fps:.0f} frames; "
                f"give --fps 100, or at least {SLOWEST_MICRO}"
            )


@dataclass(frozen=True)
class Person:
    """One identity: shape, paint, backdrop, light.

    Attributes:
        identity: [I], standard deviations.
        rest: [V, 3], the neutral face, cm.
        albedo: [V, 3].
        backdrop: uint8 [S, S, 3].
        light: direction, as `FaceModel.render` takes it.
        ambient, distance: as there.
    """

    identity: np.ndarray
    rest: np.ndarray
    albedo: np.ndarray
    backdrop: np.ndarray
    light: tuple[float, float, float]
    ambient: float
    distance: float


@dataclass(frozen=True)
class Clip:
    """What happens in one clip.

    Attributes:
        person: number of the person, from 0.
        number: of the clip among the person's, from 0.
        label: the expression.
        pulse: when it shows.
    """

    person: int
    number: int
    label: str
    pulse: Pulse

    @property
    def subject(self) -> str:
        return f"{self.person:03d}"

    @property
    def name(self) -> str:
        return f"{self.subject}-{self.number:03d}-{self.label}"


def plan(settings: Settings) -> list[Clip]:
    """All clips, person by person; a clip is the same however many others there are."""
    clips = []
    for person in range(settings.people):
        for number in range(settings.clips):
            label = CKPLUS7[(person + number) % len(CKPLUS7)]
            rng = np.random.default_rng([settings.seed, person, number, 0])
            clips.append(Clip(person, number, label, draw_pulse(rng, settings.fps, settings.micro)))
    return clips


def draw_person(painter: Painter, seed: int, number: int, size: int) -> Person:
    """A person by number."""
    rng = np.random.default_rng([seed, number])
    model = painter.model
    identity = rng.normal(0, SPREAD, len(model.identity_delta))
    rest = model.shape(identity, np.zeros(len(model.expressions)))
    albedo = painter.paint(rng)
    light = float(rng.normal(0, 0.4)), float(rng.uniform(0.1, 0.7)), 1.0
    place = {"ambient": float(rng.uniform(0.45, 0.65)), "distance": float(rng.uniform(50, 100))}
    return Person(identity, rest, albedo, background(rng, size), light, **place)


def still(
    model: FaceModel, person: Person, label: str = "", intensity: float = 1.0, size: int = 256, zoom: float = ZOOM
) -> Render:
    """One frontal picture of a person with an expression; at rest without a label.

    Raises:
        DataError: there is no recipe for the expression.
    """
    names = model.expressions
    values = coefficients(names, label, intensity) if label else np.zeros(len(names), np.float32)
    return model.render(
        person.identity,
        values,
        light=person.light,
        albedo=person.albedo,
        background=person.backdrop,
        ambient=person.ambient,
        distance=person.distance,
        size=size,
        rest=person.rest,
        zoom=zoom,
    )


def frames(model: FaceModel, person: Person, clip: Clip, settings: Settings) -> Iterator[Render]:
    """The frames of a clip, one after another; depth and points are those of the face, without occluder and noise."""
    rng = np.random.default_rng([settings.seed, clip.person, clip.number, 1])
    times = np.arange(clip.pulse.frames) / settings.fps
    course = draw_course(rng, times, settings.size, settings.motion, settings.light)
    full = coefficients(model.expressions, clip.label, settings.intensity)
    shape_seed = int(rng.integers(2**31))
    for t, share in enumerate(clip.pulse.curve()):
        pose, light = course.pose[t].tolist(), (course.light[t] + person.light).tolist()
        picture = model.render(
            person.identity,
            full * np.float32(share),
            (pose[0], pose[1], pose[2]),
            (light[0], light[1], light[2]),
            albedo=person.albedo * course.gain[t],
            background=person.backdrop,
            ambient=person.ambient,
            distance=person.distance,
            size=settings.size,
            rest=person.rest,
            shift=(float(course.shift[t, 0]), float(course.shift[t, 1])),
            zoom=ZOOM * float(course.zoom[t]),
        )
        occlude(picture.image, picture.landmarks, settings.occluder, np.random.default_rng(shape_seed))
        if settings.noise:
            grain = rng.standard_normal(picture.image.shape, np.float32) * settings.noise
            picture.image[:] = (picture.image + grain).clip(0, 255).round().astype(np.uint8)
        yield picture


def occlude(image: np.ndarray, points: np.ndarray, kind: str, rng: np.random.Generator) -> None:
    """Draw an occluder over a face, in place.

    Args:
        image: uint8 [S, S, 3].
        points: [68, 2] of the face, which the occluder follows.
        kind: `block` (a plain square over an eye, the mouth or a cheek), `glasses`, `mask` (nose and mouth), `none`.
        rng: look and place; give the same state for each frame of a clip.
    """
    colour = tuple(float(v) for v in rng.uniform(30, 225, 3))
    if kind == "glasses":
        _glasses(image, points, colour, dark=bool(rng.random() < 0.3))
    elif kind == "mask":
        outline = np.concatenate([points[2:15], points[[29]]])
        cv2.fillPoly(image, [(outline * FINE).round().astype(np.int32)], colour, cv2.LINE_AA, BITS)
    elif kind == "block":
        centre = points[[38, 43, 66, 2, 14]][rng.integers(5)]
        half = 0.3 * float(np.linalg.norm(points[45] - points[36]))
        low, high = (centre - half).round().astype(int), (centre + half).round().astype(int)
        cv2.rectangle(image, (int(low[0]), int(low[1])), (int(high[0]), int(high[1])), colour, -1)


def _glasses(image: np.ndarray, points: np.ndarray, colour: tuple[float, ...], dark: bool) -> None:
    across = points[45] - points[36]
    span, angle = float(np.linalg.norm(across)), float(np.degrees(np.arctan2(across[1], across[0])))
    axes = round(span * 0.24 * FINE), round(span * 0.18 * FINE)
    width = max(1, round(span / 45))
    centres = [(points[eye].mean(0) * FINE).round().astype(int) for eye in (slice(36, 42), slice(42, 48))]
    for x, y in centres:
        for thickness in (-1, width) if dark else (width,):
            cv2.ellipse(image, (int(x), int(y)), axes, angle, 0, 360, colour, thickness, cv2.LINE_AA, BITS)
    way = across / span * axes[0]
    left, right = ((c + sign * way).round().astype(int) for c, sign in zip(centres, (1, -1), strict=True))
    cv2.line(image, (int(left[0]), int(left[1])), (int(right[0]), int(right[1])), colour, width, cv2.LINE_AA, BITS)
