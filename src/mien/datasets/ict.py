"""Synthetic faces rendered from the light ICT face model: exact landmarks and depth for any pose and expression.

Everything here is SYNTHETIC: a mesh of vertices with made-up paint, no photograph and no scanned texture.

Paper: Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020 (the ICT FaceKit).
Layout: `facexmodel.npz` (neutral [V, 3] cm, expression_delta [E, V, 3] and identity_delta [I, V, 3] cm, with
    expression_names and identity_names), `generic_neutral_mesh.obj` (its faces), `vertex_indices.json`
    (`idx_to_landmark_verts`: the vertices of the 68 iBUG points).
Labels: 68 points in pixels, brows and nose base moved to the iBUG places (`DROP`); the jaw's are points of the mesh, so
    the far side of a turned face is hidden, not slid to the contour as in 2-D annotations.
Licence: MIT (USC Institute for Creative Technologies, 2020).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.datasets import FAKES
from mien.datasets.arrays import read_npz
from mien.datasets.ict_raster import rasterise
from mien.errors import DataError

FILES = ("facexmodel.npz", "generic_neutral_mesh.obj", "vertex_indices.json")
# first vertex of each part, in the model's own order; what follows the eyeballs is transparent or lashes
PARTS = {"face": 0, "head": 9409, "mouth": 11248, "sockets": 13294, "gums": 14062, "teeth": 17039, "eyes": 21451}
OPAQUE = 24591
# How far below the model's own vertices the points lie, as shares of the distance between the outer eye corners: its
# brows run above, and its nose base below, the iBUG places as measured on photographs (Face Research Lab London).
DROP = {17: 0.08, 18: 0.05, 19: 0.05, 20: 0.08, 21: 0.14, 22: 0.14, 23: 0.08, 24: 0.05, 25: 0.05, 26: 0.08}
DROP |= {27: 0.03, 31: -0.06, 32: -0.05, 33: -0.04, 34: -0.05, 35: -0.06}

FAKE_NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "eyeBlink_L")


@dataclass(frozen=True)
class Render:
    """One synthetic picture.

    Attributes:
        image: uint8 [S, S, 3] RGB.
        landmarks: float32 [68, 2] x y pixels, iBUG order; a pixel's centre is at +0.5.
        depth: float32 [S, S], cm from the camera; infinite where there is no face.
        expression: float32 [E], the coefficients used.
        pose: yaw, pitch, roll in degrees.
    """

    image: np.ndarray
    landmarks: np.ndarray
    depth: np.ndarray
    expression: np.ndarray
    pose: tuple[float, float, float]


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation [3, 3]; degrees, yaw > 0 turns to the picture's right, pitch > 0 looks down, roll > 0 clockwise."""
    a, b, c = np.radians([yaw, pitch, -roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    tilt = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(tilt @ nod @ turn)


def _read_triangles(path: Path) -> np.ndarray:
    triangles = []
    for line in path.read_text().splitlines():
        if line.startswith("f "):
            corners = [int(item.split("/")[0]) - 1 for item in line.split()[1:]]
            triangles += [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
    return np.array(triangles, np.int64).reshape(-1, 3)


class FaceModel:
    """The ICT face model and a small software renderer.

    Args:
        root: the folder described above under Layout.

    Raises:
        DataError: a file is missing or malformed.
    """

    def __init__(self, root: Path) -> None:
        root = Path(root)
        for name in FILES:
            if not (root / name).is_file():
                raise DataError(f"{root / name} is missing; put the light ICT face model ({', '.join(FILES)}) there")
        try:
            arrays = read_npz(root / FILES[0])
            self.neutral = arrays["neutral"].astype(np.float32)
            self.expression_delta = arrays["expression_delta"].astype(np.float32)
            self.identity_delta = arrays["identity_delta"].astype(np.float32)
            self.expressions = tuple(str(name) for name in arrays["expression_names"])
            self.landmarks = np.array(json.loads((root / FILES[2]).read_text())["idx_to_landmark_verts"], np.int64)
        except (DataError, KeyError, ValueError, OSError) as error:
            raise DataError(f"{root} does not hold the light ICT face model: {error}") from error
        triangles = _read_triangles(root / FILES[1])
        if self.landmarks.shape != (68,) or triangles.max(initial=0) >= len(self.neutral) or not len(triangles):
            raise DataError(f"{root}: the mesh, its vertices and its 68 landmarks do not fit; fetch all files anew")
        self.triangles = triangles[(triangles < OPAQUE).all(1)]
        self.landmarks = self._moved(self.landmarks)

    def _moved(self, landmarks: np.ndarray) -> np.ndarray:
        """The 68 vertices with those of `DROP` replaced by the ones nearest to where the points should be."""
        face = self.neutral[self.part("face")]
        moved = landmarks.copy()
        span = float(np.linalg.norm(self.neutral[landmarks[45]] - self.neutral[landmarks[36]]))
        for index, share in DROP.items():
            start = self.neutral[landmarks[index]]
            distance = np.linalg.norm(face[:, :2] - start[:2] + (0, share * span), axis=1)
            moved[index] = np.where(face[:, 2] > start[2] - 0.1 * span, distance, np.inf).argmin()
        return moved

    def part(self, name: str) -> slice:
        """Vertices of `face`, `head`, `mouth`, `sockets`, `gums`, `teeth` or `eyes`."""
        starts = [*PARTS.values(), OPAQUE]
        return slice(PARTS[name], starts[list(PARTS).index(name) + 1])

    def shape(self, identity: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Vertices [V, 3] in cm (x to the picture's right, y up, z to the camera).

        Args:
            identity: [I], in standard deviations.
            expression: [E], in [0, 1], in the order of `expressions`.
        """
        delta = np.tensordot(np.asarray(identity, np.float32), self.identity_delta, 1)
        used = np.flatnonzero(expression)
        delta += np.tensordot(np.asarray(expression, np.float32)[used], self.expression_delta[used], 1)
        return np.asarray(self.neutral + delta)

    def render(
        self,
        identity: np.ndarray,
        expression: np.ndarray,
        pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
        light: tuple[float, float, float] = (0.3, 0.5, 1.0),
        *,
        albedo: np.ndarray | None = None,
        background: np.ndarray | None = None,
        ambient: float = 0.4,
        distance: float = 70.0,
        size: int = 128,
        rest: np.ndarray | None = None,
        shift: tuple[float, float] = (0.0, 0.0),
        zoom: float = 1.0,
    ) -> Render:
        """Draw one face, centred, its landmarks filling about half of the picture.

        Args:
            identity: [I], in standard deviations.
            expression: [E], in [0, 1].
            pose: yaw, pitch, roll in degrees: to the picture's right, down, clockwise.
            light: direction towards the light, x y z as in `shape`.
            albedo: [V, 3] in [0, 1]; a plain grey without.
            background: uint8 [S, S, 3]; black without.
            ambient: share of the light that comes from everywhere, in [0, 1].
            distance: of the camera, cm.
            size: S.
            rest: [V, 3], the same face at rest, by which the picture is centred and scaled, so that in a sequence an
                opening jaw moves the jaw alone; without it the drawn shape itself.
            shift: of the face from the picture's middle, pixels, right and down.
            zoom: scales the face; 1 fills about half of the picture.
        """
        vertices = self.shape(identity, expression)
        rest = vertices if rest is None else rest
        centre = rest[self.landmarks].mean(0)
        turned = ((vertices - centre) @ rotation(*pose).T).astype(np.float32)
        z = distance - turned[:, 2]
        xy = turned[:, :2] * (1, -1) / z[:, None]
        extent = np.linalg.norm(rest[self.landmarks[8]] - rest[self.landmarks[27]]) / distance
        xy = xy * (0.38 * zoom * size / extent) + size / 2 + np.asarray(shift)
        corner = turned[self.triangles]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        facing = (normal * (corner[:, 0] - (0, 0, distance))).sum(1) < 0
        index, triangle, weights, depth = rasterise(xy, z, self.triangles[facing], size)
        colour = self._shade(normal, turned, light, ambient, albedo)
        flat = np.zeros((size * size, 3), np.float32) if background is None else background.reshape(-1, 3) / 255.0
        corners = self.triangles[facing][triangle]
        flat[index] = (colour[corners] * weights[:, :, None]).sum(1)
        field = np.full(size * size, np.inf, np.float32)
        field[index] = depth
        image = (flat.clip(0, 1) * 255 + 0.5).astype(np.uint8).reshape(size, size, 3)
        points = xy[self.landmarks].astype(np.float32)
        return Render(image, points, field.reshape(size, size), np.asarray(expression, np.float32), pose)

    def _shade(
        self,
        normal: np.ndarray,
        turned: np.ndarray,
        light: tuple[float, float, float],
        ambient: float,
        albedo: np.ndarray | None,
    ) -> np.ndarray:
        """Colours [V, 3]: diffuse and a little specular light on smooth vertex normals."""
        smooth = np.zeros_like(turned)
        for axis in range(3):
            for k in range(3):
                smooth[:, axis] += np.bincount(self.triangles[:, k], normal[:, axis], len(turned))
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-9)
        direction = np.array(light) / np.linalg.norm(light)
        diffuse = ambient + (1 - ambient) * np.maximum(smooth @ direction, 0)
        half = direction + np.array([0, 0, 1])
        shine = 0.12 * np.maximum(smooth @ (half / np.linalg.norm(half)), 0) ** 12
        paint = np.full((len(turned), 3), 0.6) if albedo is None else albedo
        return np.asarray(paint * diffuse[:, None] + shine[:, None])


def fake(root: Path, side: int = 24, seed: int = 0, names: Sequence[str] = FAKE_NAMES) -> None:
    """Write a tiny model in the same layout: a bulging sheet with a brow-to-chin face's landmarks, and 3 identities.

    Args:
        names: of the expression's coefficients; the first opens the jaw, the others move everything at random.
    """
    random = np.random.default_rng(seed)
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(-8, 8, side), np.linspace(10, -10, side)))
    neutral = np.stack([x, y, 8 - (x**2 + y**2) / 16], 1).astype(np.float32)
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    wanted = np.stack([-5 * np.cos(angle), -5 * np.sin(angle)], 1)
    wanted[[8, 27, 36, 45]] = (0, -7), (0, 2), (-4, 3), (4, 3)
    marks = [int(np.linalg.norm(neutral[:, :2] - point, axis=1).argmin()) for point in wanted]
    expression = random.normal(0, 0.1, (len(names), len(neutral), 3))
    expression[0] = np.where(neutral[:, 1:2] < -2, (0.0, -1.0, 0.0), 0.0)
    np.savez(
        root / FILES[0],
        neutral=neutral,
        expression_delta=expression.astype(np.float16),
        identity_delta=random.normal(0, 0.05, (3, len(neutral), 3)).astype(np.float16),
        expression_names=np.array(names),
        identity_names=np.array(["identity000", "identity001", "identity002"]),
    )
    corners = [(r * side + c, (r + 1) * side + c) for r in range(side - 1) for c in range(side - 1)]
    lines = [f"v {a:.4f} {b:.4f} {c:.4f}" for a, b, c in neutral.tolist()]
    lines += [f"f {a + 1}/1 {b + 1}/1 {b + 2}/1 {a + 2}/1" for a, b in corners]
    (root / FILES[1]).write_text("\n".join([*lines, ""]))
    (root / FILES[2]).write_text(json.dumps({"idx_to_landmark_verts": marks}))


FAKES["ict"] = fake
