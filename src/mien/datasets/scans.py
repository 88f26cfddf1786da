"""Scanned faces: VRML and OBJ meshes, landmark files, depth maps rendered from them, single or in sequence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.datasets.ict_raster import rasterise
from mien.datasets.recordings import numbered, spread
from mien.errors import DataError

MESHES = (".wrl", ".obj")
POINTS = re.compile(r"\d?\s*\{[^\[\]{}]*\bpoint\s*\[([^\]]*)\]")
INDEX = re.compile(r"\s*\[([^\]]*)\]")


@dataclass(frozen=True)
class Mesh:
    """A surface.

    Attributes:
        vertices: float32 [V, 3], in the file's own unit (mm in BU-3DFE); x right, y up, z towards the camera.
        triangles: int64 [F, 3], rows of `vertices`; none for a cloud of points.
        texture: float32 [F, 3, 2], where in its picture each corner of each face lies: u to the right and v up from the
            lower left, in [0, 1]; None where the file does not say, or has several shapes. Not read from OBJ.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    texture: np.ndarray | None = None


def _fan(polygons: np.ndarray) -> np.ndarray:
    """Triangles [F, 3] of polygons given one after another, each closed by -1."""
    if polygons.size and polygons[-1] != -1:
        polygons = np.append(polygons, -1)
    if polygons.size % 4 == 0 and (polygons[3::4] == -1).all() and (polygons.reshape(-1, 4)[:, :3] >= 0).all():
        return np.asarray(polygons.reshape(-1, 4)[:, :3])
    triangles = []
    for corners in np.split(polygons, np.flatnonzero(polygons == -1) + 1):
        ring = corners[:-1].tolist()
        triangles += [(ring[0], ring[k], ring[k + 1]) for k in range(1, len(ring) - 1)]
    return np.array(triangles, np.int64).reshape(-1, 3)


def _lists(text: str, word: str, rest: re.Pattern[str]) -> Iterator[list[str]]:
    """The numbers in brackets after each whole word; looking for plain words first is ten times as fast as `\\b`."""
    place = text.find(word)
    while place >= 0:
        found = rest.match(text, place + len(word))
        if found and not text[place - 1 : place].isalnum():
            yield found[1].replace(",", " ").split()
        place = text.find(word, place + len(word))


def _vrml(text: str) -> Mesh:
    text = re.sub(r"#[^\n]*", "", text)
    points = [np.array(part, np.float32).reshape(-1, 3) for part in _lists(text, "Coordinate", POINTS)]
    faces = [_fan(np.array(part, np.int64)) for part in _lists(text, "coordIndex", INDEX)]
    if not points:
        raise ValueError("no Coordinate { point [...] }")
    if faces and len(faces) != len(points):
        raise ValueError(f"{len(points)} lists of points for {len(faces)} lists of faces")
    first = np.cumsum([0, *map(len, points)])
    triangles = [face + start for face, start in zip(faces, first, strict=False)]
    texture = _texture(text, faces[0]) if len(points) == len(faces) == 1 else None
    return Mesh(np.concatenate(points), np.concatenate([np.zeros((0, 3), np.int64), *triangles]), texture)


def _texture(text: str, triangles: np.ndarray) -> np.ndarray | None:
    """Texture coordinates [F, 3, 2] of the corners of one shape's faces: by their own list, or by the vertices'."""
    places = list(_lists(text, "TextureCoordinate", POINTS))
    if len(places) != 1:
        return None
    where = np.array(places[0], np.float32).reshape(-1, 2)
    own = next(iter([*_lists(text, "texCoordIndex", INDEX), *_lists(text, "textureCoordIndex", INDEX)]), None)
    corners = triangles if own is None else _fan(np.array(own, np.int64))
    if corners.shape != triangles.shape or (corners.size and not 0 <= corners.min() <= corners.max() < len(where)):
        return None
    return np.asarray(where[corners])


def _obj(text: str) -> Mesh:
    vertices, polygons = [], []
    for line in text.splitlines():
        if line.startswith("v "):
            vertices.append(line.split()[1:4])
        elif line.startswith("f "):
            corners = [int(corner.split("/")[0]) for corner in line.split()[1:]]
            polygons += [corner - 1 if corner > 0 else len(vertices) + corner for corner in corners] + [-1]
    return Mesh(np.array(vertices, np.float32).reshape(-1, 3), _fan(np.array(polygons, np.int64)))


def read_mesh(path: Path) -> Mesh:
    """A VRML (1 or 2) or OBJ file; several shapes in one file become one mesh.

    Raises:
        DataError: the file is missing or holds no such mesh.
    """
    try:
        mesh = (_obj if path.suffix.lower() == ".obj" else _vrml)(path.read_text(encoding="latin-1"))
        if not len(mesh.vertices) or not np.isfinite(mesh.vertices).all():
            raise ValueError("no vertices, or some that are no numbers")
        if mesh.triangles.size and not 0 <= mesh.triangles.min() <= mesh.triangles.max() < len(mesh.vertices):
            raise ValueError(f"a face names a vertex that is not there; there are {len(mesh.vertices)}")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is missing or no readable mesh ({error})") from error
    return mesh


def vertices(path: Path) -> np.ndarray:
    """Vertices of a mesh file, float32 [V, 3]."""
    return read_mesh(path).vertices


def cloud(path: Path, points: int = 2048) -> np.ndarray:
    """`points` vertices spread evenly over a mesh file's list, float32 [P, 3], so that scans of a sequence stack."""
    all_points = vertices(path)
    return np.asarray(all_points[np.linspace(0, len(all_points) - 1, points).round().astype(int)])


def landmarks(path: Path) -> np.ndarray:
    """Points of a Binghamton .bnd file (lines of index, x, y, z), float32 [P, 3].

    Raises:
        DataError: the file is missing or a line has another form.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is missing or no list of points ({error})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                _, x, y, z = line.split()
                rows.append((float(x), float(y), float(z)))
        except ValueError:
            raise DataError(f"{path}, line {number}: {line!r}, expected index, x, y, z") from None
    if not rows:
        raise DataError(f"{path} holds no points")
    return np.array(rows, np.float32)


def depth_map(mesh: Mesh, size: int = 112) -> np.ndarray:
    """A mesh seen from the front along z, without perspective, float32 [S, S].

    The mesh fills the picture with its proportions kept. 1 is the nearest point; a point one picture side farther away
    would be 0, and 0 is also where there is nothing: what lies deeper than that is kept at 1/255.
    """
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    scale = (size - 1) / max(float((high - low)[:2].max()), 1e-9)
    middle = (low + high)[:2] / 2
    xy = (mesh.vertices[:, :2] - middle) * np.array([scale, -scale]) + size / 2
    away = (high[2] - mesh.vertices[:, 2]) * scale / size
    picture = np.zeros(size * size, np.float32)
    if len(mesh.triangles):
        index, _, _, away = rasterise(xy.astype(np.float64), away.astype(np.float64), mesh.triangles, size)
        picture[index] = np.maximum(1 - away, 1 / 255)
    else:
        pixel = np.clip(xy.astype(np.int64), 0, size - 1)
        np.maximum.at(picture, pixel @ np.array([1, size]), np.maximum(1 - away, 1 / 255).astype(np.float32))
    return picture.reshape(size, size)


def depth(path: Path, size: int = 112) -> np.ndarray:
    """`depth_map` of a mesh file."""
    return depth_map(read_mesh(path), size)


class Scans:
    """One file a sample, read by a function of its path, such as `vertices`, `depth` or `landmarks`."""

    def __init__(self, paths: Sequence[Path], read: Callable[[Path], np.ndarray]) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.read = read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.read(self.paths[row])

    def take(self, rows: np.ndarray) -> Scans:
        return Scans([self.paths[int(row)] for row in rows], self.read)

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


class ScanFolders:
    """One folder of numbered meshes a sample, each read by a function of its path and stacked: [T, ...].

    Args:
        most: read at most this many, spread evenly; 0 reads all.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[Path], np.ndarray], *, most: int = 0) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.read = read
        self.most = most

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        return np.stack([self.read(path) for path in spread(self.files(row), self.most)])

    def take(self, rows: np.ndarray) -> ScanFolders:
        return ScanFolders([self.paths[int(row)] for row in rows], self.read, most=self.most)

    def files(self, row: int) -> tuple[Path, ...]:
        return numbered(self.paths[row], MESHES)


def _bump(random: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A rounded sheet of side x side vertices [V, 3], 200 mm wide, and its triangles [F, 3], for the fakes."""
    y, x = np.mgrid[-100 : 100 : side * 1j, -100 : 100 : side * 1j]
    z = 80 - (x**2 + y**2) / 150 + random.normal(0, 1, x.shape)
    corner = np.arange(side * side).reshape(side, side)[:-1, :-1].reshape(-1, 1)
    triangles = np.concatenate([corner + np.array(offsets) for offsets in ((0, 1, side + 1), (0, side + 1, side))])
    return np.stack([x, y, z], -1).reshape(-1, 3).round(2), triangles


def write_scan(path: Path, random: np.random.Generator, side: int = 6) -> None:
    """Write a tiny mesh for a fake, VRML 2 with texture coordinates or OBJ."""
    points, triangles = _bump(random, side)
    if path.suffix == ".obj":
        lines = [f"v {x} {y} {z}" for x, y, z in points] + [f"f {a} {b} {c}" for a, b, c in triangles + 1]
        path.write_text("\n".join(lines) + "\n")
        return
    texture = np.stack([points[:, 0] / 200 + 0.5, points[:, 1] / 200 + 0.5], 1)
    write_vrml(
        path, points, triangles, texture, f"{path.stem.replace('F3D', 'F2D')}.bmp", "a comment { point [ 1 2 3 ] }"
    )


def write_vrml(
    path: Path, vertices: np.ndarray, triangles: np.ndarray, texture: np.ndarray, picture: str, note: str
) -> None:
    """Write one textured shape as VRML 2.

    Args:
        vertices: [V, 3].
        triangles: int [F, 3].
        texture: [V, 2], u to the right and v up, in [0, 1].
        picture: name of the file that the texture lies in.
        note: a line of comment.
    """
    where = ",\n".join(f"{x:.2f} {y:.2f} {z:.2f}" for x, y, z in vertices.tolist())
    places = ",\n".join(f"{u:.4f} {v:.4f}" for u, v in texture.tolist())
    faces = ",\n".join(f"{a}, {b}, {c}, -1" for a, b, c in triangles.tolist())
    path.write_text(
        f"#VRML V2.0 utf8\n# {note}\nShape {{\n"
        f' appearance Appearance {{\n  texture ImageTexture {{\n   url "{picture}"\n  }}\n }}\n'
        f" geometry IndexedFaceSet {{\n  coord Coordinate {{\n   point [\n{where}\n   ]\n  }}\n"
        f"  texCoord TextureCoordinate {{\n   point [\n{places}\n   ]\n  }}\n"
        f"  coordIndex [\n{faces}\n  ]\n  texCoordIndex [\n{faces}\n  ]\n }}\n}}\n"
    )
