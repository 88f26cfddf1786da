"""Scans turned upright by their landmarks and seen from the front: pictures and depth maps that lie on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.datasets.ict_raster import rasterise
from mien.datasets.media import read_picture
from mien.datasets.recordings import numbered, spread
from mien.datasets.scans import MESHES, Mesh, landmarks, read_mesh
from mien.errors import DataError
from mien.faces.surface import mean_shape, rigid

SIDE = 64
WINDOW = 160.0
"""Side of the view, mm: brows to chin and cheek to cheek."""
MOST = 200  # landmark files that a template is made of


def front_view(mesh: Mesh, size: int = SIDE, window: float = WINDOW, picture: np.ndarray | None = None) -> np.ndarray:
    """A surface seen along z without perspective, with 0, 0, 0 in the middle.

    Args:
        mesh: with texture coordinates where a picture is given.
        size: S.
        window: side of the view, in the mesh's unit.
        picture: uint8 [H, W, 3], which the texture coordinates point into.

    Returns:
        Without a picture, z as float32 [S, S], NaN where there is nothing; with one, uint8 [S, S, 3], there black.

    Raises:
        DataError: the mesh has no faces, or no texture coordinates for the picture.
    """
    if not len(mesh.triangles):
        raise DataError("the mesh is a cloud of points without faces; a view of it needs faces")
    xy = (mesh.vertices[:, :2] * np.array([1, -1]) / window + 0.5) * size
    z = mesh.vertices[:, 2].astype(np.float64)
    index, triangle, weights, away = rasterise(xy.astype(np.float64), -z, mesh.triangles, size)
    if picture is None:
        view = np.full(size * size, np.nan, np.float32)
        view[index] = -away
        return view.reshape(size, size)
    if mesh.texture is None:
        raise DataError("the mesh has no texture coordinates to lay its picture on")
    where = (mesh.texture[triangle] * weights[:, :, None]).sum(1)
    # in texture coordinates v runs upward from the picture's lower edge
    height, width = picture.shape[:2]
    place = np.stack([where[:, 0] * width - 0.5, (1 - where[:, 1]) * height - 0.5], 1).astype(np.float32)
    colours = np.zeros((size * size, 3), np.uint8)
    colours[index] = _sample(picture, place)
    return colours.reshape(size, size, 3)


def _sample(picture: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Colours [P, 3] of a picture at places [P, 2] (x, y), between pixels; OpenCV takes at most 32,767 in a row."""
    rows = -(-len(place) // 1024)
    grid = np.zeros((2, rows * 1024), np.float32)
    grid[:, : len(place)] = place.T
    x, y = grid.reshape(2, rows, 1024)
    found = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, 3)[: len(place)])


def template(paths: Sequence[Path]) -> np.ndarray:
    """Mean [P, 3] of the landmarks of a data set's scans, about 0; at most `MOST` files, spread evenly, are read.

    Only the order of the points has to be the same in all; which is which need not be known.

    Raises:
        DataError: a file is missing or broken, or the numbers of points differ.
    """
    chosen = spread(list(paths), MOST)
    shapes = [landmarks(path) for path in chosen]
    if len({shape.shape for shape in shapes}) > 1:
        odd = next(path for path, shape in zip(chosen, shapes, strict=True) if shape.shape != shapes[0].shape)
        raise DataError(f"{odd} has another number of landmarks than {chosen[0]}; mend or remove it")
    return mean_shape(np.stack(shapes))


@dataclass(frozen=True)
class AlignedScans:
    """One scan a sample, turned onto a template by its landmarks: z in mm [S, S], or its picture uint8 [S, S, 3].

    Attributes:
        paths: of the meshes.
        points: of their landmark files.
        pictures: of what their texture coordinates point into; None gives depth.
        shape: the template [P, 3].
        size: S.
        window: side of the view, mm.
    """

    paths: tuple[Path, ...]
    points: tuple[Path, ...]
    shape: np.ndarray
    pictures: tuple[Path, ...] | None = None
    size: int = SIDE
    window: float = WINDOW

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        mesh, points = read_mesh(self.paths[row]), landmarks(self.points[row])
        try:
            turn, shift = rigid(points, self.shape)
            picture = None if self.pictures is None else read_picture(self.pictures[row])
            moved = Mesh((mesh.vertices @ turn.T + shift).astype(np.float32), mesh.triangles, mesh.texture)
            return front_view(moved, self.size, self.window, picture)
        except DataError as error:
            raise DataError(f"{self.paths[row]}: {error}") from error

    def take(self, rows: np.ndarray) -> AlignedScans:
        kept = [int(row) for row in rows]
        pictures = None if self.pictures is None else tuple(self.pictures[row] for row in kept)
        paths, points = (tuple(every[row] for row in kept) for every in (self.paths, self.points))
        return AlignedScans(paths, points, self.shape, pictures, self.size, self.window)

    def files(self, row: int) -> tuple[Path, ...]:
        own = (self.paths[row], self.points[row])
        return own if self.pictures is None else (*own, self.pictures[row])


@dataclass(frozen=True)
class ScanClips:
    """One folder of numbered scans a sample, seen from the front, z in mm [T, S, S].

    There are no landmarks: the view stays where the first scan's box has its middle and its nearest point is 0, so that
    what moves is seen to move; a turned head stays turned.

    Attributes:
        paths: the folders.
        most: read at most this many scans, spread evenly; 0 reads all.
        size: S.
        window: side of the view, mm.
    """

    paths: tuple[Path, ...]
    most: int = 16
    size: int = SIDE
    window: float = WINDOW

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        views, middle = [], None
        for path in spread(self.files(row), self.most):
            mesh = read_mesh(path)
            if middle is None:
                low, high = mesh.vertices.min(0), mesh.vertices.max(0)
                middle = np.array([*(low + high)[:2] / 2, high[2]], np.float32)
            try:
                views.append(front_view(Mesh(mesh.vertices - middle, mesh.triangles), self.size, self.window))
            except DataError as error:
                raise DataError(f"{path}: {error}") from error
        return np.stack(views)

    def take(self, rows: np.ndarray) -> ScanClips:
        return ScanClips(tuple(self.paths[int(row)] for row in rows), self.most, self.size, self.window)

    def files(self, row: int) -> tuple[Path, ...]:
        return numbered(self.paths[row], MESHES)
