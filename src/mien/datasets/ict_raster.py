"""Triangles to pixels, in numpy."""

from __future__ import annotations

import numpy as np


def rasterise(xy: np.ndarray, z: np.ndarray, triangles: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Pixels that triangles cover, nearest last.

    Args:
        xy: [V, 2] pixels.
        z: [V] distance from the camera.
        triangles: int [T, 3], facing the camera.
        size: S.

    Returns:
        flat pixel index [P], triangle [P], barycentric weights [P, 3] and depth [P], far to near, so that assigning
        in order leaves the nearest.
    """
    a, b, c = (xy[triangles[:, k]] for k in range(3))
    low = np.clip(np.ceil(np.minimum(np.minimum(a, b), c) - 0.5), 0, size).astype(np.int64)
    high = np.clip(np.floor(np.maximum(np.maximum(a, b), c) - 0.5), -1, size - 1).astype(np.int64)
    span = high - low
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    rows = np.flatnonzero((span >= 0).all(1) & (np.abs(area) > 1e-9))
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for dy in range(int(span[rows, 1].max(initial=-1)) + 1):
        tall = rows[span[rows, 1] >= dy]
        for dx in range(int(span[tall, 0].max(initial=-1)) + 1):
            t = tall[span[tall, 0] >= dx]
            pixel = low[t] + (dx, dy)
            p = pixel + 0.5
            u = ((b[t, 0] - p[:, 0]) * (c[t, 1] - p[:, 1]) - (b[t, 1] - p[:, 1]) * (c[t, 0] - p[:, 0])) / area[t]
            v = ((c[t, 0] - p[:, 0]) * (a[t, 1] - p[:, 1]) - (c[t, 1] - p[:, 1]) * (a[t, 0] - p[:, 0])) / area[t]
            inside = (u >= 0) & (v >= 0) & (u + v <= 1)
            weights = np.stack([u, v, 1 - u - v], 1)[inside]
            found.append((pixel[inside] @ (1, size), t[inside], weights))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0)
    index, triangle, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    depth = (z[triangles[triangle]] * weights).sum(1)
    order = np.argsort(-depth, kind="stable")
    return index[order], triangle[order], weights[order], depth[order]
