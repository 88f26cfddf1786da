"""Optical flow from the onset of an expression to its apex, its strain, and the apex itself.

A flow field is float32 [H, W, 2]: a point (x, y) of the onset lies at (x + u, y + v) in the apex; u to the right and v
down, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mien.errors import InputError, require
from mien.faces.robust import explained

METHODS = ("dis", "tvl1")
MOTIONS = ("median", "similarity", "none")
MEASURES = ("flow", "lbp")
LEAST = 24
"""Side in pixels of the smallest picture: two patches."""
PATCH = 12


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name} = {value!r}; choose one of {', '.join(allowed)}")


def _grey(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W] of uint8 grey [H, W] or RGB [H, W, 3]."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise InputError(f"a picture {image.dtype} {list(image.shape)}; uint8 [H, W] or [H, W, 3] is needed")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) if image.ndim == 3 else image


def optical_flow(onset: np.ndarray, apex: np.ndarray, method: str = "dis") -> np.ndarray:
    """Dense flow from one picture to the other.

    Paper: `dis`: Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016 (OpenCV); `tvl1`: Zach et
        al., "A duality based approach for realtime TV-L1 optical flow", DAGM 2007 (scikit-image), which many papers on
        micro-expressions use.

    DIS is set for skin, which has little texture: pictures blurred by 1 px and patches of 12 px. On crops of 112 px of
    eight people, moved by fields of 2 px and with noise of 2 grey levels, it errs by 0.14 px with the smoothing of
    `flow_image`; OpenCV's medium preset errs by 0.19, a field of zeros by 0.23.

    Args:
        onset: uint8 [H, W] or RGB [H, W, 3].
        apex: of the same size.
        method: `dis` or `tvl1`.

    Returns:
        float32 [H, W, 2].

    Raises:
        InputError: pictures of unequal or too small size, or another method.
        MissingExtra: `tvl1` without scikit-image.
    """
    _one_of("method", method, METHODS)
    one, two = _grey(onset), _grey(apex)
    if one.shape != two.shape:
        raise InputError(f"onset {list(one.shape)} and apex {list(two.shape)} must be of one size; cut both alike")
    if min(one.shape) < LEAST:
        raise InputError(f"a picture of {one.shape[1]}x{one.shape[0]} px; flow needs {LEAST} px at least")
    if method == "tvl1":
        require("skimage", "dev")
        registration = require("skimage.registration", "dev")
        down, right = registration.optical_flow_tvl1(one, two, dtype=np.float32)
        return np.stack([right, down], 2).astype(np.float32)
    one, two = (np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0)) for picture in (one, two))
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    dis.setPatchSize(PATCH)
    dis.setPatchStride(PATCH // 4)
    return np.asarray(dis.calc(one, two, None), np.float32)  # type: ignore[call-overload]


def strain(flow: np.ndarray) -> np.ndarray:
    """How much the skin is stretched or sheared: sqrt(exx^2 + eyy^2 + 2 exy^2).

    exx = du/dx, eyy = dv/dy, exy = (du/dy + dv/dx) / 2, by central differences; moving or turning a little leaves 0.

    Paper: Shreve et al., "Macro- and micro-expression spotting in long videos using spatio-temporal strain", FG 2011;
        Liong et al., "Shallow triple stream three-dimensional CNN", FG 2019.

    >>> float(strain(np.full((8, 8, 2), 3.0)).max())
    0.0

    Args:
        flow: [H, W, 2].

    Returns:
        float32 [H, W], without unit.
    """
    u_down, u_right = np.gradient(np.asarray(flow[..., 0], np.float64))
    v_down, v_right = np.gradient(np.asarray(flow[..., 1], np.float64))
    shear = (u_down + v_right) / 2
    return np.asarray(np.sqrt(u_right**2 + v_down**2 + 2 * shear**2), np.float32)


def head_motion(flow: np.ndarray, motion: str = "median", rounds: int = 10) -> np.ndarray:
    """The part of a flow field that is the whole head's.

    `median`: the median vector. `similarity`: u = a x - b y + c, v = b x + a y + d (shift, turn, nearing), by least
    squares with Cauchy weights 1 / (1 + (r / s)^2), s the residuals' median, so that the moving skin counts little.

    Args:
        flow: [H, W, 2].
        motion: `median`, `similarity` or `none`.
        rounds: of reweighting.

    Returns:
        float32 [H, W, 2].

    Raises:
        InputError: another motion.
    """
    _one_of("motion", motion, MOTIONS)
    if motion == "none":
        return np.zeros_like(flow, np.float32)
    if motion == "median":
        return np.broadcast_to(np.median(flow, axis=(0, 1)), flow.shape).astype(np.float32)
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].reshape(2, -1) - np.array([[height - 1], [width - 1]]) / 2
    one, zero = np.ones_like(x), np.zeros_like(x)
    columns = np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)
    return np.asarray(explained(columns, flow.reshape(-1, 2), rounds, 1e-3).reshape(flow.shape), np.float32)


def flow_image(
    onset: np.ndarray,
    apex: np.ndarray,
    size: int = 28,
    method: str = "dis",
    motion: str = "median",
    smooth: float = 0.018,
) -> np.ndarray:
    """What networks over flow read: u, v and strain of two crops of one face, without the head's own motion.

    Args:
        onset: uint8 [S, S] or RGB [S, S, 3].
        apex: of the same size.
        size: side of the result, pixels; the field is averaged down to it.
        method: as `optical_flow`.
        motion: as `head_motion`.
        smooth: deviation of the Gaussian that smooths the field before its strain is taken, share of the side; 0 for
            none.

    Returns:
        float32 [3, size, size]; u and v in thousandths of the crop's side, strain in thousandths.

    Raises:
        InputError, MissingExtra: as `optical_flow`.
    """
    field = optical_flow(onset, apex, method)
    field = field - head_motion(field, motion)
    if smooth > 0:
        field = np.asarray(cv2.GaussianBlur(field, (0, 0), smooth * min(field.shape[:2])))
    unit = 1000 / np.array([field.shape[1], field.shape[0], 1])
    planes = np.concatenate([field, strain(field)[..., None]], 2) * unit
    way = cv2.INTER_AREA if size <= min(field.shape[:2]) else cv2.INTER_LINEAR
    small = cv2.resize(planes.astype(np.float32), (size, size), interpolation=way)
    return np.ascontiguousarray(small.transpose(2, 0, 1))


def blocks(image: np.ndarray, side: int) -> np.ndarray:
    """Square blocks of a picture, row by row: [C, H, W] to [B, C, side, side].

    >>> blocks(np.arange(16).reshape(1, 4, 4), 2)[:, 0, 0, 0].tolist()
    [0, 2, 8, 10]

    Raises:
        InputError: the blocks do not fill the picture.
    """
    channels, height, width = image.shape
    if side < 1 or height % side or width % side:
        raise InputError(f"blocks of {side} px do not fill {width}x{height} px; choose a divisor")
    cut = image.reshape(channels, height // side, side, width // side, side).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(cut.reshape(-1, channels, side, side))


def warp(image: np.ndarray, flow: np.ndarray, share: float = 1.0) -> np.ndarray:
    """The picture after `share` of a flow field: I'(p) = I(p - share F(p)), the first-order inverse of the field.

    Args:
        image: uint8 or float [H, W] or [H, W, 3].
        flow: [H, W, 2], small beside the detail it moves.
        share: 0 leaves the picture as it is.

    Returns:
        Of the same kind and size; beyond the edge the border is repeated.
    """
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    step = np.asarray(flow, np.float32) * np.float32(share)
    moved = cv2.remap(image, x - step[..., 0], y - step[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved)


def clip_of(image: np.ndarray, flow: np.ndarray, frames: int, backwards: bool = False) -> np.ndarray:
    """A clip from one picture and a flow field, for networks over frames where a data set has nothing else.

    Frame t is the picture moved by t / (frames - 1) of the field.

    Args:
        image: uint8 [H, W] or [H, W, 3]: the onset.
        flow: [H, W, 2].
        frames: T, 2 at least.
        backwards: the picture is the apex: the clip ends with it.

    Returns:
        [T, ...] of the picture's kind.

    Raises:
        InputError: fewer than two frames, or a field of another size.
    """
    if frames < 2 or flow.shape[:2] != image.shape[:2]:
        raise InputError(f"{frames} frames of {list(image.shape)} by flow {list(flow.shape)}; need 2 and equal sides")
    shares = np.linspace(0, 1, frames) - (1 if backwards else 0)
    return np.stack([warp(image, flow, float(share)) for share in shares])


def binary_patterns(grey: np.ndarray) -> np.ndarray:
    """Local binary patterns uint8 [H - 2, W - 2]: bit k is set where the k-th of 8 neighbours is not darker.

    Paper: Ojala, Pietikainen, Maenpaa, "Multiresolution gray-scale and rotation invariant texture classification with
        local binary patterns", IEEE TPAMI 2002, with the square ring of radius 1.
    """
    height, width = grey.shape
    places = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    middle = grey[1:-1, 1:-1]
    codes = np.zeros(middle.shape, np.uint8)
    for bit, (row, column) in enumerate(places):
        near = grey[row : height - 2 + row, column : width - 2 + column]
        codes |= (near >= middle).astype(np.uint8) << np.uint8(bit)
    return codes


def _histograms(grey: np.ndarray, grid: int) -> np.ndarray:
    """Shares of the 256 patterns in each of grid x grid cells [grid^2, 256]."""
    codes = binary_patterns(grey)
    rows, columns = np.array_split(np.arange(codes.shape[0]), grid), np.array_split(np.arange(codes.shape[1]), grid)
    cells = [codes[r[0] : r[-1] + 1, c[0] : c[-1] + 1] for r in rows for c in columns]
    return np.stack([np.bincount(cell.reshape(-1), minlength=256) / cell.size for cell in cells])


def intensity(
    crops: np.ndarray, measure: str = "flow", onset: int = 0, grid: int = 6, method: str = "dis"
) -> np.ndarray:
    """How far each frame of a clip is from its onset.

    `flow`: mean length in pixels of the flow from the onset, less the head's (median) motion. `lbp`: chi-square
    distance sum (h - h0)^2 / (h + h0) of local binary pattern histograms, mean over grid x grid cells.

    Paper: `lbp`: Li et al., "Towards reading hidden emotions", IEEE TAC 2018, spots by such distances; `flow`: Patel,
        Zhao, Pietikainen, "Spatiotemporal integration of optical flow vectors for micro-expression detection", 2015.

    Args:
        crops: uint8 [T, S, S] or [T, S, S, 3] of one face.
        measure: `flow` or `lbp`.
        onset: row of the first frame of the expression.
        grid: cells to a side, for `lbp`.
        method: of the flow.

    Returns:
        float64 [T], 0 at the onset.

    Raises:
        InputError: no frames, no such onset, crops that are too small, or another measure.
    """
    _one_of("measure", measure, MEASURES)
    if crops.ndim not in (3, 4) or not -len(crops) <= onset < len(crops):
        raise InputError(f"crops {list(crops.shape)} with the onset at {onset}; [T, S, S] or [T, S, S, 3] is needed")
    grey = [_grey(crop) for crop in crops]
    if measure == "flow":
        fields = [optical_flow(grey[onset], frame, method) for frame in grey]
        return np.array([np.linalg.norm(field - head_motion(field), axis=2).mean() for field in fields])
    if min(grey[0].shape) < 2 + grid:
        raise InputError(f"crops of {grey[0].shape[1]} px for {grid} cells to a side; take larger crops")
    found = np.stack([_histograms(frame, grid) for frame in grey])
    total = found + found[onset]
    gap = np.divide((found - found[onset]) ** 2, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(gap.sum(2).mean(1))


def smoothed(curve: np.ndarray, width: int) -> np.ndarray:
    """Running mean over `width` values, fewer at both ends.

    >>> smoothed(np.array([0.0, 3.0, 0.0, 0.0]), 3).tolist()
    [1.5, 1.0, 1.0, 0.0]
    """
    half = width // 2
    return np.array([curve[max(0, i - half) : i + half + 1].mean() for i in range(len(curve))])


def spot_apex(crops: np.ndarray, measure: str = "flow", onset: int = 0, width: int = 5) -> int:
    """Row of the apex frame: where the smoothed distance from the onset is largest.

    Args:
        crops: uint8 [T, S, S] or [T, S, S, 3] of one face, cut alike.
        measure: as `intensity`.
        onset: row of the first frame of the expression.
        width: frames of the running mean, odd; 1 for none.

    Raises:
        InputError: as `intensity`, or an even width.
    """
    if width < 1 or width % 2 == 0:
        raise InputError(f"width = {width} frames; take an odd number")
    return int(smoothed(intensity(crops, measure, onset), width).argmax())
