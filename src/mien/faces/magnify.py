"""Eulerian magnification: small movements made large, frame by frame, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mien.errors import InputError

WAVE = 4.0
"""Wavelength of the detail that the finest level of a Laplacian pyramid holds, pixels; it doubles with each level."""
LEAST = 8
"""Side below which a level is not split further, pixels."""


def band_pass(low: float, high: float, rate: float) -> np.ndarray:
    """A Butterworth band-pass of order 2 as two sections [2, 5]: b0, b1, b2, a1, a2 of each, a0 = 1.

    By the bilinear transform with prewarped edges; the gain is 1 at the band's geometric middle (prewarped) and
    1/sqrt(2) at its edges.

    Args:
        low, high: edges of the band, Hz.
        rate: frames per second.

    Raises:
        InputError: not 0 < low < high < rate / 2.
    """
    if not 0 < low < high < rate / 2:
        raise InputError(
            f"a band from {low:g} to {high:g} Hz at {rate:g} frames/s: expected 0 < low < high < {rate / 2:g}, half of "
            "the frame rate"
        )
    first, last = (2 * rate * np.tan(np.pi * edge / rate) for edge in (low, high))
    width, middle = last - first, np.sqrt(first * last)
    sections = []
    # each pole p of the low-pass becomes the two roots of s^2 - p width s + middle^2; its conjugate gives theirs
    pole = np.exp(3j * np.pi / 4)
    root = np.sqrt((pole * width) ** 2 - 4 * middle**2 + 0j)
    for s in ((pole * width + root) / 2, (pole * width - root) / 2):
        z = (2 * rate + s) / (2 * rate - s)
        sections.append([1.0, 0.0, -1.0, -2 * z.real, abs(z) ** 2])
    out = np.array(sections)
    at = np.exp(-2j * np.arctan(middle / (2 * rate)))
    gain = np.prod([(1 - at**2) / (1 + a1 * at + a2 * at**2) for *_, a1, a2 in sections])
    out[:, :3] /= np.sqrt(abs(gain))
    return out


class Filter:
    """The band-pass over arrays of one shape, one after another; the first counts as what has always been."""

    def __init__(self, sections: np.ndarray) -> None:
        self._sections = sections.astype(np.float32)
        self._start: np.ndarray | None = None
        self._states: list[list[np.ndarray]] = []

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The part of the newest values float32 [...] that lies in the band."""
        if self._start is None:
            self._start = values.copy()
            self._states = [[np.zeros_like(values), np.zeros_like(values)] for _ in self._sections]
        out = np.asarray(values - self._start)
        for (b0, b1, b2, a1, a2), state in zip(self._sections, self._states, strict=True):
            new = b0 * out + state[0]
            state[0] = b1 * out - a1 * new + state[1]
            state[1] = b2 * out - a2 * new
            out = new
        return out


@dataclass
class Magnifier:
    """Magnifies the movements within a band of frequencies.

    Paper: Wu et al., "Eulerian video magnification for revealing subtle changes in the world", SIGGRAPH 2012: a
        Laplacian pyramid, a temporal band-pass at each pixel of it, what passes is multiplied and added.

    Differs: luma alone, so that noise gets no colour; a Butterworth filter of order 2 that runs along, where they use
        one of order 1 or an ideal one over the whole clip; the coarsest level is left alone, so that light is not
        magnified.

    Args:
        factor: how many times as large a movement becomes; 1 changes nothing. It holds for coarse detail, and while the
            magnified movement is below an eighth of the detail's wavelength (waves of three times the cutoff: 0.91 of
            the factor).
        low, high: edges of the band, Hz.
        rate: frames per second.
        cutoff: detail finer than this, pixels, is magnified less (Wu et al.'s lambda_c).

    Raises:
        InputError: a value out of its range.
    """

    factor: float
    low: float
    high: float
    rate: float
    cutoff: float = 16.0

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= 200:
            raise InputError(f"factor {self.factor:g}: expected 1 to 200, such as 8")
        if not self.cutoff >= 0:
            raise InputError(f"cutoff {self.cutoff:g}: expected pixels, zero or more, such as 16")
        self._sections = band_pass(self.low, self.high, self.rate)
        self._filters: list[Filter] = []
        self._shape: tuple[int, ...] = ()

    def gain(self, level: int) -> float:
        """What is added of a level's band, in times of it."""
        if not self.cutoff:
            return self.factor - 1
        share = WAVE * 2**level / self.cutoff
        return float(np.clip(self.factor * share - 1, 0, self.factor - 1))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The next frame, uint8 RGB [H, W, 3], magnified; another size begins anew."""
        if image.shape != self._shape:
            self._filters, self._shape = [], image.shape
        coded = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
        luma = coded[:, :, 0].astype(np.float32)
        levels = pyramid(luma)
        if not self._filters:
            self._filters = [Filter(self._sections) for _ in levels]
        added: np.ndarray | None = None
        for number in range(len(levels) - 1, -1, -1):
            band, gain = levels[number], self.gain(number)
            if added is not None:
                added = np.asarray(cv2.pyrUp(added, dstsize=band.shape[::-1]))
            if gain > 0:
                more = gain * self._filters[number](band)
                added = more if added is None else added + more
        if added is not None:
            luma = luma + added
        coded[:, :, 0] = np.clip(np.round(luma), 0, 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(coded, cv2.COLOR_YCrCb2RGB))


def pyramid(picture: np.ndarray) -> list[np.ndarray]:
    """Laplacian pyramid of a picture float32 [H, W], the finest level first, without the last, coarsest, rest."""
    levels = []
    while min(picture.shape) >= 2 * LEAST:
        small = np.asarray(cv2.pyrDown(picture))
        levels.append(picture - np.asarray(cv2.pyrUp(small, dstsize=picture.shape[::-1])))
        picture = small
    return levels
