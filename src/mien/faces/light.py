"""Illumination normalisation of face crops, by name.

Each takes uint8 crops, grey [N, S, S] or RGB [N, S, S, 3], and returns crops like them. In colour the luma is
normalised and the chroma kept; gamma and exposure act on all three channels alike. What each does to accuracy stands in
docs/robust.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType

import cv2
import numpy as np

from mien.errors import UnknownName

Light = Callable[[np.ndarray], np.ndarray]

GAMMA = 2.2
"""Light is a pixel's value to this power; close to sRGB's curve."""


def _on_luma(faces: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a function of one plane uint8 [S, S] to grey faces, or to the luma of RGB ones."""
    out = np.empty_like(faces)
    for row, face in enumerate(faces):
        if face.ndim == 2:
            out[row] = change(face)
            continue
        planes = cv2.cvtColor(face, cv2.COLOR_RGB2YCrCb)
        planes[..., 0] = change(np.ascontiguousarray(planes[..., 0]))
        out[row] = cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB)
    return out


def _luma(face: np.ndarray) -> np.ndarray:
    return face if face.ndim == 2 else np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY))


def _to_pixels(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(values + 0.5, 0, 255)).astype(np.uint8)


def equalise(faces: np.ndarray) -> np.ndarray:
    """Histogram equalisation of each face: its grey values become evenly frequent.

    >>> face = np.repeat(np.arange(100, 104, dtype=np.uint8), 4).reshape(1, 4, 4)
    >>> np.unique(equalise(face)).tolist()
    [0, 85, 170, 255]
    """
    return _on_luma(faces, lambda plane: np.asarray(cv2.equalizeHist(plane)))


def clahe(faces: np.ndarray, limit: float = 2.0, tiles: int = 4) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld, Graphics Gems IV, 1994).

    Args:
        limit: a bin holds at most so many times the mean count; what is above is shared out.
        tiles: across and down.
    """
    tool = cv2.createCLAHE(limit, (tiles, tiles))
    return _on_luma(faces, lambda plane: np.asarray(tool.apply(plane)))


def gamma(faces: np.ndarray, power: float = 0.5) -> np.ndarray:
    """255 (v / 255)^power of every pixel; a power below 1 makes brighter."""
    return np.asarray(_to_pixels(255 * (np.arange(256) / 255) ** power)[faces])


def gamma_auto(faces: np.ndarray, middle: float = 0.5) -> np.ndarray:
    """The power for each face that brings its mean luma m (of 1) to the middle: log(middle) / log(m).

    The mean of the picture that comes out is near the middle, not on it, for the power is taken of each pixel.
    """
    out = np.empty_like(faces)
    for row, face in enumerate(faces):
        mean = float(np.clip(_luma(face).mean() / 255, 0.01, 0.99))
        out[row] = gamma(face, float(np.clip(np.log(middle) / np.log(mean), 0.1, 10)))
    return out


def expose(
    faces: np.ndarray, low: float = 0.10, high: float = 0.55, target: float | None = None, most: float = 64.0
) -> np.ndarray:
    """Another exposure for faces that are darker or brighter than training faces, and only for those.

    The mean light of a face (its pixels to the power 2.2) is brought to the nearer end of the range by one factor. The
    default range holds 90 % of FER2013's training faces, so that an ordinary face comes out as it went in.

    Args:
        low, high: range of the mean light, in [0, 1].
        target: mean light of those outside the range; None takes the range's nearer end.
        most: largest factor.
    """
    light = (np.arange(256) / 255) ** GAMMA
    out = faces.copy()
    for row, face in enumerate(faces):
        mean = float(light[_luma(face)].mean())
        if low <= mean <= high:
            continue
        wanted = target if target is not None else (low if mean < low else high)
        table = 255 * np.clip(light * min(wanted / max(mean, 1e-4), most), 0, 1) ** (1 / GAMMA)
        out[row] = _to_pixels(table)[face]
    return out


def standardise(faces: np.ndarray, mean: float = 129.0, deviation: float = 54.0) -> np.ndarray:
    """Each face's mean and standard deviation made those of a typical training face (medians of FER2013's)."""

    def change(plane: np.ndarray) -> np.ndarray:
        values = plane.astype(np.float32)
        return _to_pixels((values - values.mean()) * (deviation / max(float(values.std()), 1.0)) + mean)

    return _on_luma(faces, change)


def dog(faces: np.ndarray, power: float = 0.2, inner: float = 1.0, outer: float = 2.0) -> np.ndarray:
    """Gamma, difference of Gaussians, contrast equalisation with alpha 0.1 and tau 10.

    Paper: Tan and Triggs, "Enhanced local texture feature sets for face recognition under difficult lighting
        conditions", IEEE TIP 2010, section III.
    Differs: the result, tau tanh(I / tau), is a picture again: 0 is mid grey, 4 and more are white.

    Args:
        power: of the gamma.
        inner, outer: standard deviations of the two Gaussians, pixels.
    """

    def change(plane: np.ndarray) -> np.ndarray:
        x: np.ndarray = (plane.astype(np.float32) / 255) ** power
        x = cv2.GaussianBlur(x, (0, 0), inner) - cv2.GaussianBlur(x, (0, 0), outer)
        x = x / max(float((np.abs(x) ** 0.1).mean()), 1e-6) ** 10
        x = x / max(float((np.minimum(np.abs(x), 10) ** 0.1).mean()), 1e-6) ** 10
        return _to_pixels(127.5 + 127.5 / 4 * 10 * np.tanh(x / 10))

    return _on_luma(faces, change)


@lru_cache(maxsize=8)
def cosines(side: int) -> np.ndarray:
    """The orthonormal DCT-II as a matrix [S, S]: coefficients = cosines @ values."""
    k, n = np.mgrid[:side, :side]
    basis = np.sqrt(2 / side) * np.cos(np.pi * (n + 0.5) * k / side)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis)


@lru_cache(maxsize=32)
def zigzag(side: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the first `count` coefficients after the first, in the order of JPEG's zigzag."""
    places = [(i, j) for i in range(side) for j in range(side)]
    places.sort(key=lambda p: (p[0] + p[1], p[0] if (p[0] + p[1]) % 2 else p[1]))
    taken = np.array(places[1 : count + 1]).reshape(-1, 2)
    return taken[:, 0], taken[:, 1]


def dct(faces: np.ndarray, drop: int = 9, middle: float = 110.0) -> np.ndarray:
    """The lowest frequencies of the log image set to 0, its mean set to the log of the middle grey.

    Paper: Chen, Er and Wu, "Illumination compensation and normalization for robust face recognition using discrete
        cosine transform in logarithm domain", IEEE SMC-B 2006.
    Differs: the paper hands the log image on; here its exponential is a picture again.

    Args:
        drop: coefficients that are discarded, in zigzag order, beside the first.
        middle: grey value whose log becomes the mean.
    """
    side = faces.shape[1]
    basis, low = cosines(side), zigzag(side, drop)

    def change(plane: np.ndarray) -> np.ndarray:
        coefficients = basis @ np.log1p(plane.astype(np.float64)) @ basis.T
        coefficients[low] = 0
        coefficients[0, 0] = np.log1p(middle) * side
        return _to_pixels(np.expm1(np.clip(basis.T @ coefficients @ basis, 0, 6)))

    return _on_luma(faces, change)


_CHECKS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def noise(plane: np.ndarray) -> float:
    """Standard deviation of the noise of a picture [S, S], by what is left of it between pixels.

    Paper: Immerkaer, "Fast noise variance estimation", CVIU 1996.
    Differs: the median in place of the mean, so that edges count little.
    """
    left = cv2.filter2D(plane.astype(np.float32), -1, _CHECKS)[1:-1, 1:-1]
    return float(np.median(np.abs(left)) / 0.6745 / 6)


def denoise(faces: np.ndarray, least: float = 0.15, strength: float = 2.5) -> np.ndarray:
    """Faces that are noisier than training faces smoothed, and only those: what darkness costs is noise, not grey.

    A face whose noise is more than a share `least` of its standard deviation (of FER2013's faces 1 in 100 has 0.12) is
    stretched to the full range and goes through a bilateral filter (Tomasi and Manduchi, ICCV 1998), whose reach grows
    with that share.

    Args:
        least: of the noise, in standard deviations of the face.
        strength: the filter's deviation in grey levels, in standard deviations of the noise.
    """

    def change(plane: np.ndarray) -> np.ndarray:
        found = noise(plane)
        share = found / max(float(plane.std()), 1.0)
        if share <= least:
            return plane
        low = float(plane.min())
        factor = 255 / max(float(plane.max()) - low, 1.0)
        full = _to_pixels((plane - np.float32(low)) * factor)
        return np.asarray(cv2.bilateralFilter(full, 7, strength * found * factor, 1 + 2 * share))

    return _on_luma(faces, change)


LIGHTS: Mapping[str, Light] = MappingProxyType(
    {
        "equalise": equalise,
        "clahe": clahe,
        "gamma": gamma,
        "gamma-auto": gamma_auto,
        "expose": expose,
        "standardise": standardise,
        "dog": dog,
        "dct": dct,
        "denoise": denoise,
    }
)
"""Name -> normalisation with the settings chosen on validation faces."""


def light(name: str, **settings: float) -> Light:
    """The normalisation of that name.

    Raises:
        UnknownName: there is none.

    >>> light("gamma", power=1.0)(np.array([[[0, 7], [90, 255]]], np.uint8)).tolist()
    [[[0, 7], [90, 255]]]
    """
    if name not in LIGHTS:
        raise UnknownName("illumination normalisation", name, LIGHTS)
    return partial(LIGHTS[name], **settings) if settings else LIGHTS[name]
