"""Scans seen from the front, and made-up scans in the authors' layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import app
from mien.datasets.bu3dfe import bu3dfe
from mien.datasets.ict import FaceModel, rotation
from mien.datasets.ict_paint import Painter
from mien.datasets.scan_views import AlignedScans, front_view, template
from mien.datasets.scans import Mesh, landmarks, read_mesh, write_vrml
from mien.datasets.synthetic import fake_model
from mien.datasets.synthetic_scans import (
    DISTANCE,
    SIDE,
    ZOOM,
    ScanSettings,
    Task,
    expression,
    plan,
    scan,
    synthesise,
    synthetic_scan_clips,
    synthetic_scans,
)
from mien.datasets.synthetic_scene import draw_person
from mien.errors import DataError
from mien.faces.surface import rigid
from mien.labels import BASIC6


def quad(path: Path, own_index: bool) -> Mesh:
    """A square of 100 mm at z = 7 with its picture's four colours in its corners."""
    corners = np.array([[-50, 50, 7], [50, 50, 7], [-50, -50, 7], [50, -50, 7]], float)
    texture = np.array([[0, 1], [1, 1], [0, 0], [1, 0]], float)
    write_vrml(path, corners, np.array([[0, 2, 1], [1, 2, 3]]), texture, "a.bmp", "made")
    if not own_index:
        text = path.read_text()
        path.write_text(text[: text.index("  texCoordIndex")] + " }\n}\n")
    return read_mesh(path)


@pytest.mark.parametrize("own_index", [True, False])
def test_texture_and_depth_lie_the_right_way_up(tmp_path: Path, own_index: bool) -> None:
    mesh = quad(tmp_path / "a.wrl", own_index)
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4, :4], picture[:4, 4:], picture[4:, :4], picture[4:, 4:] = 50, 100, 150, 200
    seen = front_view(mesh, 16, 200, picture)
    depth = front_view(mesh, 16, 200)
    assert np.isfinite(depth).sum() == 64
    assert (depth[4:12, 4:12] == 7).all()
    assert [int(seen[r, c, 0]) for r, c in ((5, 5), (5, 10), (10, 5), (10, 10), (2, 2))] == [50, 100, 150, 200, 0]


def test_meshes_without_faces_or_texture_are_refused() -> None:
    cloud = Mesh(np.zeros((4, 3), np.float32), np.zeros((0, 3), np.int64))
    with pytest.raises(DataError, match="cloud of points"):
        front_view(cloud)
    plain = Mesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]]))
    with pytest.raises(DataError, match="no texture coordinates"):
        front_view(plain, picture=np.zeros((4, 4, 3), np.uint8))


@pytest.fixture(scope="module")
def face_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    fake_model(root)
    return root


@pytest.fixture(scope="module")
def scans(face_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One made-up person in BU-3DFE's layout, in the fake face model's shape."""
    out = tmp_path_factory.mktemp("scans")
    settings = ScanSettings(people=1, step=6, noise=1, holes=0.1, pose=20, dark=0.5)
    names = [name for name, kept in synthesise(face_model, out, settings) if not kept]
    assert len(names) == 25
    return out


def test_made_scans_are_read_as_the_originals_are(scans: Path, face_model: Path) -> None:
    index = bu3dfe(scans)
    assert len(index) == 25
    assert set(index.subject) == {"F0001"}
    assert sorted(np.bincount(index.majority).tolist()) == [1, 4, 4, 4, 4, 4, 4]
    assert sorted(index.extra["intensity"].tolist()) == [0] + [i for i in range(1, 5) for _ in range(6)]
    assert set(index.extra["race"]) == {"XX"}
    mesh = read_mesh(index.media["mesh"].files(0)[0])
    assert mesh.texture is not None
    assert len(mesh.triangles) > 100
    assert "SYNTHETIC" in (scans / "SYNTHETIC.txt").read_text()
    assert "SYNTHETIC" in index.media["mesh"].files(3)[0].read_text()[:200]
    before = {path: path.stat().st_mtime_ns for path in scans.rglob("*.wrl")}
    next(iter(before)).unlink()
    again = ScanSettings(people=1, step=6, noise=1, holes=0.1, pose=20, dark=0.5)
    assert sum(not kept for _, kept in synthesise(face_model, scans, again)) == 1
    with pytest.raises(DataError, match="name another --out"):
        next(synthesise(face_model, scans, ScanSettings(people=2)))


def test_aligned_scans_undo_the_turn(scans: Path, tmp_path: Path) -> None:
    index = synthetic_scans(scans, size=32)
    with pytest.raises(DataError, match=r"holds no SYNTHETIC\.txt"):
        synthetic_scans(tmp_path)
    face, depth = index.media["face"], index.media["depth"]
    assert isinstance(depth, AlignedScans)
    assert face[0].dtype == np.uint8
    assert face[0].shape == (32, 32, 3)
    assert depth[0].dtype == np.float32
    # the mesh and its landmarks turned together are seen as before
    mesh, points = read_mesh(depth.paths[0]), landmarks(depth.points[0])
    turn = rotation(25, 10, -15)
    assert mesh.texture is not None
    where = np.zeros((len(mesh.vertices), 2))
    where[mesh.triangles.ravel()] = mesh.texture.reshape(-1, 2)
    write_vrml(tmp_path / "a.wrl", mesh.vertices @ turn.T + 9, mesh.triangles, where, "a.bmp", "turned")
    lines = [f"{i} {x:.4f} {y:.4f} {z:.4f}" for i, (x, y, z) in enumerate(points @ turn.T + 9)]
    (tmp_path / "a.bnd").write_text("\n".join(lines))
    turned = replace(depth, paths=(tmp_path / "a.wrl",), points=(tmp_path / "a.bnd",))[0]
    both = np.isfinite(turned) & np.isfinite(depth[0])
    assert both.sum() > 0.95 * np.isfinite(depth[0]).sum()
    assert np.abs(turned - depth[0])[both].mean() < 0.3
    (tmp_path / "b.bnd").write_text("1 2 3 4\n")
    with pytest.raises(DataError, match="another number of landmarks"):
        template([tmp_path / "a.bnd", tmp_path / "b.bnd"])


def test_the_camera_sees_points_where_it_draws_them(face_model: Path) -> None:
    """Landmarks in mm, projected by hand, lie where the renderer puts them; the scan lies on its own picture."""
    model = FaceModel(face_model)
    person = draw_person(Painter(model), 0, 0, SIDE)
    made = scan(model, person, Task(0, "", 0.0, 0, "a"), ScanSettings(step=4))
    view = {"distance": DISTANCE, "size": SIDE, "zoom": ZOOM, "rest": person.rest}
    seen = model.render(person.identity, expression(model, Task(0, "", 0.0, 0, "a"), 0), **view)
    extent = np.linalg.norm(person.rest[model.landmarks[8]] - person.rest[model.landmarks[27]]) / DISTANCE
    factor = 0.38 * ZOOM * SIDE / extent

    def project(points: np.ndarray) -> np.ndarray:
        return points[:, :2] * (1, -1) / (DISTANCE * 10 - points[:, 2:]) * factor + SIDE / 2

    mouth = made.points[16 + 20 + 12 : 16 + 20 + 12 + 20]
    assert np.abs(project(mouth) - seen.landmarks[48:68]).mean() < 2.5  # picked by hand, to a millimetre
    pixels = made.texture * (SIDE, -SIDE) + (0, SIDE)
    assert np.abs(project(made.vertices) - pixels).max() < 0.01


def test_noise_holes_darkness_and_pose_do_what_they_say(face_model: Path) -> None:
    model = FaceModel(face_model)
    person = draw_person(Painter(model), 0, 0, SIDE)
    task = Task(0, "happiness", 1.0, 5, "a")

    def made(**options: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = scan(model, person, task, ScanSettings(step=2, **options))
        return found.vertices, found.picture.astype(float), found.points

    clean, picture, points = made()
    noisy, same, _ = made(noise=2)
    assert np.std(noisy[:, 2] - clean[:, 2]) == pytest.approx(2, rel=0.1)
    assert (same == picture).all()
    assert len(made(holes=0.3)[0]) == pytest.approx(0.7 * len(clean), rel=0.12)
    assert made(dark=0.9)[1].mean() == pytest.approx(0.1 * picture.mean(), abs=2)
    turned = made(pose=40)[2]
    turn, _ = rigid(points, turned)
    angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    assert 3 < angle < 47
    assert np.abs((turned - turned.mean(0)) - (points - points.mean(0)) @ turn.T).mean() < 2


def test_plans_and_options() -> None:
    tasks = plan(ScanSettings(people=3))
    assert len(tasks) == 75
    assert [task.stem for task in tasks[:2]] == ["F0001/F0001_AN01XX_F3D", "F0001/F0001_AN02XX_F3D"]
    assert {task.stem[:5] for task in tasks} == {"F0001", "M0001", "F0002"}
    moving = plan(ScanSettings(people=1, layout="bu4dfe", frames=5))
    assert [task.strength for task in moving[:5]] == pytest.approx([0, 0.5, 1, 0.5, 0])
    for options, words in (({"pose": 80.0}, "pose 80"), ({"layout": "bu5"}, "'bu5'"), ({"people": 0}, "people 0")):
        with pytest.raises(DataError, match=words):
            ScanSettings(**options)


def test_sequences_by_command(face_model: Path, tmp_path: Path) -> None:
    options = ["--layout", "bu4dfe", "--people", "1", "--frames", "2", "--step", "8"]
    done = CliRunner().invoke(app, ["data", "scans", str(face_model), "--out", str(tmp_path / "s"), *options])
    assert done.exit_code == 0, done.output
    assert "12 synthetic scans" in done.output
    index = synthetic_scan_clips(tmp_path / "s", size=16)
    assert len(index) == 6
    assert index.labels == BASIC6
    depth = index.media["depth"][0]
    assert depth.shape == (2, 16, 16)
    assert np.isfinite(depth).any()
    assert index.media["frames"][0].shape == (2, SIDE, SIDE, 3)
    missing = CliRunner().invoke(app, ["data", "scans", str(tmp_path), "--out", str(tmp_path / "t")])
    assert missing.exit_code == 1
    assert cv2.imread(str(tmp_path / "s" / "F001" / "Angry" / "000.jpg")) is not None
