"""Meshes and landmark files, and depth maps against surfaces whose depth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.datasets.scans import Mesh, depth_map, landmarks, read_mesh, write_scan
from mien.errors import DataError


def test_vrml_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "quad.wrl"
    path.write_text(
        "#VRML V1.0 ascii\nSeparator { Coordinate3 { point [ 0 0 0, 1 0 0, 1 1 0, 0 1e0 -2.5, ] }\n"
        "TextureCoordinate2 { point [ 9 9 ] } IndexedFaceSet { coordIndex [ 0, 1, 2, 3, -1 ] } }\n"
        "DEF b Separator { coord Coordinate { point [ 5 5 5 6 6 6 7 7 8 ] } coordIndex [ 0 1 2 ] }\n"
    )
    mesh = read_mesh(path)
    assert mesh.vertices.tolist() == [
        [0, 0, 0],
        [1, 0, 0],
        [1, 1, 0],
        [0, 1, -2.5],
        [5, 5, 5],
        [6, 6, 6],
        [7, 7, 8],
    ]
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("ending", [".wrl", ".obj"])
def test_written_and_read(tmp_path: Path, ending: str) -> None:
    write_scan(tmp_path / f"a{ending}", np.random.default_rng(0), side=5)
    mesh = read_mesh(tmp_path / f"a{ending}")
    assert mesh.vertices.shape == (25, 3)
    assert mesh.triangles.shape == (32, 3)
    assert sorted(set(mesh.triangles.ravel().tolist())) == list(range(25))


def test_obj_counts_from_the_end_too(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_text("v 0 0 0\nv 1 0 0 0.5 0.5 0.5\nv 0 1 0\nvt 0 0\nf 1/1 2/1 -1/1\nv 1 1 1\nf 1 2 4 3\n")
    assert read_mesh(path).triangles.tolist() == [[0, 1, 2], [0, 1, 3], [0, 3, 2]]


@pytest.mark.parametrize(
    "text",
    ["", "no mesh", "Coordinate { point [ 1 2 ] }", "Coordinate { point [ 1 2 x ] }", "Coordinate { point [ ] }",
     "Coordinate { point [ 0 0 0 1 1 1 ] } coordIndex [ 0 1 2 -1 ]", "Coordinate { point [ 0 nan 0 ] }"],
)  # fmt: skip
def test_broken_vrml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.wrl"
    path.write_text(text)
    with pytest.raises(DataError, match=r"broken\.wrl"):
        read_mesh(path)


def test_broken_landmarks(tmp_path: Path) -> None:
    path = tmp_path / "a.bnd"
    path.write_text("1 2.0 3 4\n2 5 6\n")
    with pytest.raises(DataError, match=r"a\.bnd, line 2: '2 5 6', expected index, x, y, z"):
        landmarks(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="no points"):
        landmarks(path)


def test_depth_of_a_slope() -> None:
    # a square of side 10 that rises to the right by 5: depth falls by half a picture from right to left
    corners = np.array([[0, 0, 0], [10, 0, 5], [10, 10, 5], [0, 10, 0]], np.float32)
    picture = depth_map(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]])), 64)
    rows = picture[4:60, 4:60]
    assert picture.dtype == np.float32
    assert np.allclose(rows, rows[0])
    assert np.allclose(np.diff(rows[0]), 0.5 / 64, atol=1e-6)
    assert 0.98 < picture.max() <= 1


def test_depth_keeps_proportions_and_up() -> None:
    side = np.linspace(0, 1, 60)
    x, y = np.meshgrid(20 * side, 10 * side)
    points = np.stack([x, y, np.where(y > 9, 3.0, 0.0)], -1).reshape(-1, 3).astype(np.float32)
    picture = depth_map(Mesh(points, np.zeros((0, 3), np.int64)), 40)
    filled = picture > 0
    assert not filled[:9].any()
    assert not filled[31:].any()
    assert filled[12:28].all()
    assert picture[10].max() > picture[25].max()  # what is up in space is up in the picture


def test_the_nearest_surface_hides_the_others() -> None:
    front = np.array([[0, 0, 9], [4, 0, 9], [4, 4, 9], [0, 4, 9]], np.float32)
    both = np.concatenate([front, front - (0, 0, 9)]).astype(np.float32)
    face = np.array([[0, 1, 2], [0, 2, 3]])
    for triangles in (np.concatenate([face, face + 4]), np.concatenate([face + 4, face])):
        assert np.allclose(depth_map(Mesh(both, triangles), 16)[4:12, 4:12], 1)
