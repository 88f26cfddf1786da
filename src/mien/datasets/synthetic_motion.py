"""How SYNTHETIC faces move: an expression that comes and goes, a head that sways, light that changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BULGE = 0.05  # how far a plateau rises above its ends, so that one frame alone is the apex
WAVES = 3

# shortest and longest, seconds: rest before, rise, plateau, fall, rest after
MACRO = ((1.2, 2.0), (0.3, 0.6), (0.5, 1.2), (0.4, 0.9), (1.2, 2.0))
MICRO = ((0.7, 1.0), (0.05, 0.15), (0.02, 0.10), (0.05, 0.23), (0.7, 1.0))


def ease(x: np.ndarray) -> np.ndarray:
    """Minimum-jerk rise from 0 to 1 (Flash & Hogan, Journal of Neuroscience 5, 1985); flat outside [0, 1].

    >>> ease(np.array([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    x = np.clip(x, 0, 1)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x**2))


@dataclass(frozen=True)
class Pulse:
    """One expression in a clip, by frames.

    Attributes:
        onset: the last frame at rest before it.
        rise, fall: frames from onset to the plateau's first frame, and from its last frame to offset; at least 1.
        hold: frames from the plateau's first to its last, even; 0 is a peak without plateau.
        frames: of the clip.

    >>> Pulse(onset=5, rise=2, hold=2, fall=4, frames=20).curve().round(2).tolist()[4:14]
    [0.0, 0.0, 0.48, 0.95, 1.0, 0.95, 0.85, 0.48, 0.1, 0.0]
    """

    onset: int
    rise: int
    hold: int
    fall: int
    frames: int

    @property
    def apex(self) -> int:
        """The frame of full intensity."""
        return self.onset + self.rise + self.hold // 2

    @property
    def offset(self) -> int:
        """The first frame at rest after it."""
        return self.onset + self.rise + self.hold + self.fall

    def curve(self) -> np.ndarray:
        """Share of the expression's intensity, float64 [T] in [0, 1]: smooth, 0 up to onset, 1 at the apex alone."""
        frames = np.arange(self.frames, dtype=np.float64)
        edge = 1 - BULGE if self.hold else 1.0
        first, last = self.onset + self.rise, self.offset - self.fall
        curve = edge * (ease((frames - self.onset) / self.rise) - ease((frames - last) / self.fall))
        if self.hold:
            half = self.hold / 2
            curve += BULGE * (ease((frames - first) / half) - ease((frames - self.apex) / half))
        return np.asarray(curve)


def draw_pulse(rng: np.random.Generator, fps: float, micro: bool = False) -> Pulse:
    """A pulse of random length: 1.2 to 2.7 s, or 0.12 to 0.48 s as a micro-expression (Yan et al. 2013: under 0.5)."""
    before, rise, hold, fall, after = (rng.uniform(low, high) * fps for low, high in (MICRO if micro else MACRO))
    parts = max(1, round(rise)), 2 * round(hold / 2), max(1, round(fall))
    onset = max(1, round(before))
    return Pulse(onset, *parts, frames=onset + sum(parts) + max(1, round(after)) + 1)


def sway(rng: np.random.Generator, times: np.ndarray, fastest: float = 0.6) -> np.ndarray:
    """Smooth random motion about 0, deviation about 1: a few slow waves.

    Args:
        times: [T], seconds.
        fastest: of the waves, Hz.
    """
    rates = rng.uniform(0.1, fastest, WAVES)
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    waves = np.sin(2 * np.pi * times[:, None] * rates + phases)
    return np.asarray(waves.sum(1) * np.sqrt(2 / WAVES))


@dataclass(frozen=True)
class Course:
    """What happens to head and light in a clip, frame by frame.

    Attributes:
        pose: [T, 3] yaw, pitch, roll, degrees.
        shift: [T, 2] pixels.
        zoom: [T], around 1.
        light: [T, 3], added to the direction of the light.
        gain: [T], brightness around 1.
    """

    pose: np.ndarray
    shift: np.ndarray
    zoom: np.ndarray
    light: np.ndarray
    gain: np.ndarray


def draw_course(rng: np.random.Generator, times: np.ndarray, size: int, motion: float, light: float) -> Course:
    """Random motion of head and light.

    Args:
        times: [T], seconds.
        size: of the picture, pixels.
        motion: 1 turns a head by some 8 degrees, nods by 4, tilts by 3, shifts by 2 % of the picture; 0 keeps it still.
        light: 1 moves the light by some 50 degrees and brightness by 15 %; 0 keeps them still.
    """
    sways = np.stack([sway(rng, times) for _ in range(10)], 1)
    head = motion * sways[:, :6] * (8, 4, 3, 0.02 * size, 0.02 * size, 0.03)
    lamp = light * sways[:, 6:] * (0.8, 0.3, 0.0, 0.15)
    return Course(head[:, :3], head[:, 3:5], 1 + head[:, 5], lamp[:, :3], np.clip(1 + lamp[:, 3], 0.3, 1.7))
