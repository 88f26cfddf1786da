"""Surfaces of known shape, scans seen from the front, made-up scans in the authors' layouts, and DFDN."""

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
from mien.errors import DataError, RecipeError
from mien.faces.surface import curvatures, fit_patches, mean_shape, normals, rigid
from mien.features.depth_maps import CHANNELS, depth_maps, maps_of
from mien.labels import BASIC6

SIZE, SPACING = 41, 2.0


def grid() -> tuple[np.ndarray, np.ndarray]:
    """x right and y up of each pixel, mm, 0 in the middle."""
    axis = (np.arange(SIZE) - SIZE // 2) * SPACING
    x, y = np.meshgrid(axis, -axis)
    return x, y


def ball(radius: float = 90.0) -> np.ndarray:
    x, y = grid()
    return np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))


# --- surfaces


def test_a_ball_seen_from_outside() -> None:
    x, y = grid()
    patch = fit_patches(ball(), SPACING)
    mean, gauss, shape = curvatures(patch)
    expected = np.stack([x, y, ball()]) / 90
    inner = (slice(3, -3),) * 2
    assert np.abs(normals(patch) - expected)[(slice(None), *inner)].max() < 2e-3
    assert np.abs(mean[inner] * 90 - 1).max() < 0.02
    assert np.abs(gauss[inner] * 90**2 - 1).max() < 0.04
    assert shape[inner].min() > 0.9


@pytest.mark.parametrize(
    ("z", "mean", "gauss", "shape"),
    [
        (lambda x, y: np.sqrt(80.0**2 - x**2) + 0 * y, 1 / 160, 0, 0.5),  # a pipe
        (lambda x, y: -np.sqrt(80.0**2 - x**2) + 0 * y, -1 / 160, 0, -0.5),  # a gutter
        (lambda x, y: -np.sqrt(80.0**2 - x**2 - y**2), -1 / 80, 1 / 80**2, -1),  # a cup
        (lambda x, y: x * y / 50, 0, -1 / 50**2, 0),  # a saddle
        (lambda x, y: 0.5 * x - 0.25 * y, 0, 0, None),  # a slope
    ],
)
def test_other_surfaces_in_the_middle(z, mean, gauss, shape) -> None:
    found = [image[SIZE // 2, SIZE // 2] for image in curvatures(fit_patches(z(*grid()), SPACING))]
    assert found[0] == pytest.approx(mean, abs=1e-4)
    assert found[1] == pytest.approx(gauss, abs=1e-6)
    if shape is not None:
        assert found[2] == pytest.approx(shape, abs=0.02)


def test_normals_of_a_slope_point_up_it() -> None:
    x, y = grid()
    normal = normals(fit_patches(0.5 * x - 0.25 * y + 7, SPACING))[:, 4, 9]
    assert normal == pytest.approx(np.array([-0.5, 0.25, 1]) / np.sqrt(1.3125))


def test_fit_against_a_loop_with_holes() -> None:
    random = np.random.default_rng(0)
    depth = random.normal(0, 3, (12, 12))
    depth[random.random((12, 12)) < 0.3] = np.nan
    patch = fit_patches(depth, 0.5, 5)
    solved = 0
    for row in range(12):
        for column in range(12):
            rows, weight, total = [], [], 0.0
            for i in range(-2, 3):
                for j in range(-2, 3):
                    w = np.exp(-(i * i + j * j) / (2 * 1.25**2))
                    total += w
                    r, c = row + i, column + j
                    if 0 <= r < 12 and 0 <= c < 12 and np.isfinite(depth[r, c]):
                        x, y = 0.5 * j, -0.5 * i
                        rows.append((1, x, y, x * x / 2, x * y, y * y / 2, depth[r, c]))
                        weight.append(np.sqrt(w))
            if sum(w * w for w in weight) < total / 2:
                assert np.isnan(patch.z[row, column])
                continue
            table = np.array(rows) * np.array(weight)[:, None]
            best = np.linalg.lstsq(table[:, :6], table[:, 6], rcond=None)[0]
            found = [getattr(patch, name)[row, column] for name in ("z", "x", "y", "xx", "xy", "yy")]
            assert found == pytest.approx(best, rel=1e-4, abs=1e-4)
            solved += 1
    assert 40 < solved < 144


def test_fit_is_refused_in_words() -> None:
    for depth, spacing, window, words in (
        (np.zeros((3, 4, 4)), 1.0, 5, r"expected \[H, W\]"),
        (np.zeros((4, 4)), 0.0, 5, "a spacing above 0"),
        (np.zeros((4, 4)), 1.0, 4, "window 4"),
    ):
        with pytest.raises(DataError, match=words):
            fit_patches(depth, spacing, window)


def test_rigid_finds_the_turn_and_never_mirrors() -> None:
    random = np.random.default_rng(1)
    points = random.normal(0, 40, (83, 3))
    turn, shift = rotation(33, -12, 8), np.array([5.0, -3, 60])
    found, moved = rigid(points, points @ turn.T + shift)
    assert found == pytest.approx(turn)
    assert moved == pytest.approx(shift)
    mirrored, _ = rigid(points, points * (-1, 1, 1))
    assert np.linalg.det(mirrored) == pytest.approx(1)
    with pytest.raises(DataError, match="expected the same"):
        rigid(points, points[:9])
    with pytest.raises(DataError, match="no numbers"):
        rigid(points, points * np.nan)


def test_the_mean_shape_is_upright_where_heads_turn_both_ways() -> None:
    random = np.random.default_rng(2)
    base = random.normal(0, 40, (83, 3))
    base -= base.mean(0)
    turned = [base @ rotation(yaw, 0, 0).T + random.normal(0, 99, 3) for yaw in (-30, -10, 10, 30)]
    assert mean_shape(np.stack(turned)) == pytest.approx(base, abs=1e-6)


# --- depth maps as features


def test_channels_of_a_ball() -> None:
    depth = ball(90) - 40
    depth[:5] = np.nan
    maps = maps_of(depth, SPACING * SIZE)
    assert maps.shape == (7, SIZE, SIZE)
    assert maps.dtype == np.float32
    found = dict(zip(CHANNELS, maps, strict=True))
    middle = SIZE // 2
    assert found["depth"][middle, middle] == pytest.approx(50 / 60, abs=1e-3)
    assert found["z"][middle, middle] == pytest.approx(1, abs=1e-4)
    assert found["mean"][middle, middle] == pytest.approx(15 / 90, rel=0.02)
    assert found["gauss"][middle, middle] == pytest.approx((15 / 90) ** 2, rel=0.04)
    assert (maps[:, :4] == 0).all()
    assert np.abs(maps).max() <= 1


def test_extractor_takes_stills_and_sequences() -> None:
    read = depth_maps(channels=["depth", "shape"], window=SPACING * SIZE)
    two = np.stack([ball(90), ball(60)]).astype(np.float32)
    maps = read(two)
    assert maps.shape == (4, SIZE, SIZE)
    assert (maps[2:] == read(two[1])).all()
    assert len(read(np.full((SIZE, SIZE), np.nan))) == 0
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros(4, np.float32), np.zeros((4, 5), np.float32)):
        with pytest.raises(DataError, match="depth-maps reads"):
            read(wrong)
    with pytest.raises(DataError, match=r"\['colour'\]"):
        depth_maps(channels=["colour"])(two)


# --- scans


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


# --- networks

torch = pytest.importorskip("torch")

from mien.layers.gated_streams import SharedWarp, StreamGate  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.train.recipe import load_recipe  # noqa: E402
from mien.train.study import Study  # noqa: E402
from models_kit import count, export_gap, settled, stirred, tiny  # noqa: E402

CPU = torch.device("cpu")


def rows(n: int = 4, side: int = 32) -> dict[str, torch.Tensor]:
    return {"face": torch.rand(n, 3, side, side), "depth": torch.rand(n, 1, side, side)}


@pytest.mark.parametrize("classes", [7, 8])
@pytest.mark.parametrize("names", [("face", "depth"), ("depth",), ("face", "depth", "maps")])
def test_shapes_gradients_and_single_rows(classes: int, names: tuple[str, ...]) -> None:
    x = rows() | {"maps": torch.rand(4, 7, 32, 32)}
    x = {name: x[name] for name in names}
    model = tiny("dfdn-depth", classes=classes, shapes={name: part.shape[1:] for name, part in x.items()})
    output = model(x)
    assert output.logits.shape == (4, classes)
    output.logits.square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    stirred(model).eval()
    with torch.no_grad():
        assert torch.allclose(model(x).logits[1:2], model({k: v[1:2] for k, v in x.items()}).logits, atol=1e-5)


def test_declared_counts() -> None:
    assert count("dfdn-depth") == MODELS.facts("dfdn-depth")["parameters"]
    assert count("map-clip") == MODELS.facts("map-clip")["parameters"]


def test_a_missing_stream_weighs_nothing() -> None:
    x = rows()
    model = stirred(tiny("dfdn-depth")).eval()
    none = torch.zeros(4, 1, dtype=torch.bool)
    with torch.no_grad():
        absent = model({"face": x["face"]})
        hidden = model({**x, "depth_mask": none})
        bare = model(x["face"])
        whole = model(x)
    assert torch.equal(absent.logits, hidden.logits)
    assert torch.equal(absent.logits, bare.logits)
    assert not torch.allclose(whole.logits, hidden.logits, atol=1e-3)
    assert (hidden.aux["gate:depth"] == 0).all()
    assert torch.allclose(hidden.aux["gate:face"], torch.ones(4))
    assert torch.allclose(whole.aux["gate:face"] + whole.aux["gate:depth"], torch.ones(4), atol=1e-6)
    with torch.no_grad():
        nothing = model({**x, "depth_mask": none, "face_mask": none})
    assert torch.isfinite(nothing.logits).all()
    with pytest.raises(RecipeError, match="reads face, depth; the input holds audio"):
        model({"audio": x["face"]})


def test_missing_rows_leave_the_statistics_alone() -> None:
    x, there = rows(6), torch.tensor([[True], [False], [True], [True], [False], [True]])
    found = []
    for inputs in ({**x, "depth_mask": there}, {name: part[there[:, 0]] for name, part in x.items()}):
        model = tiny("dfdn-depth", warp=False).train()
        model(inputs)
        found.append({k: v for k, v in model.trunks["depth"].named_buffers() if "running" in k})
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][k], found[1][k], atol=1e-6) for k in found[0])


def test_gate_against_a_loop() -> None:
    torch.manual_seed(0)
    gate = stirred(StreamGate(3, 2))
    a, b = torch.rand(2, 2, 3, 4, 4)
    with torch.no_grad():
        fused, weights = gate([a, b], torch.ones(2, 2, dtype=torch.bool))
    kernel, bias = gate.gate.weight[:, :, 0, 0].detach(), gate.gate.bias.detach()
    for n in range(2):
        for i in range(4):
            for j in range(4):
                both = torch.cat([a[n, :, i, j], b[n, :, i, j]])
                for c in range(3):
                    first, second = float(kernel[c] @ both + bias[c]), float(kernel[3 + c] @ both + bias[3 + c])
                    g = 1 / (1 + np.exp(second - first))
                    assert float(weights[n, 0, c, i, j]) == pytest.approx(g, abs=1e-5)
                    expected = g * float(a[n, c, i, j]) + (1 - g) * float(b[n, c, i, j])
                    assert float(fused[n, c, i, j]) == pytest.approx(expected, abs=1e-5)


def test_warp_moves_streams_alike_and_turns_normals() -> None:
    torch.manual_seed(3)
    x = torch.rand(8, 2, 12, 12)
    warp = SharedWarp(odd={"b": [1]}).train()
    moved = warp({"a": x, "b": x})
    assert torch.equal(moved["a"][:, 0], moved["b"][:, 0])
    signs = torch.stack([torch.sign((a * b).sum()) for a, b in zip(moved["a"][:, 1], moved["b"][:, 1], strict=True)])
    assert set(signs.tolist()) == {-1.0, 1.0}  # mirrored and not
    assert not torch.equal(moved["a"], x)
    only = SharedWarp(shift=0, zoom=0, flip=1, odd={"b": [1]}).train()({"a": x, "b": x})
    assert torch.allclose(only["a"], x.flip(3), atol=1e-5)
    assert torch.allclose(only["b"][:, 1], -x.flip(3)[:, 1], atol=1e-5)
    assert torch.equal(warp.eval()({"a": x})["a"], x)


def test_onnx_agrees_from_one_stream() -> None:
    model = settled(stirred(tiny("dfdn-depth", shapes={"depth": (1, 32, 32)})), torch.rand(8, 1, 32, 32))
    assert export_gap(model, torch.rand(1, 1, 32, 32), torch.rand(3, 1, 32, 32), "depth") < 1e-4


def test_streams_that_do_not_fit_are_refused() -> None:
    for arguments, words in (
        ({"shapes": {"face": (3, 32, 32), "depth": (1, 16, 16)}}, "of one size"),
        ({"shapes": {"audio": (40, 64)}}, "reads pictures or maps"),
        ({"first": 5}, "first = 5"),
    ):
        with pytest.raises(RecipeError, match=words):
            tiny("dfdn-depth", **arguments)
    with pytest.raises(RecipeError, match="mend channels"):
        tiny("map-clip", channels=5)


def test_map_clip_reads_moment_by_moment() -> None:
    model = stirred(tiny("map-clip", classes=6, shapes={"depth": (6, 24, 24)}, channels=2)).eval()
    x = torch.rand(3, 6, 24, 24)
    with torch.no_grad():
        output = model({"depth": x})
        moments = [model.net.encoder.network({"face": x[:, t : t + 2]}).embedding for t in (0, 2, 4)]
        expected = model.net({"embeddings": torch.stack(moments, 1)}).logits
    assert output.logits.shape == (3, 6)
    assert torch.allclose(output.logits, expected, atol=1e-5)


# --- recipes


@pytest.mark.parametrize("name", ["bu3dfe-dfdn-maps", "depth-dynamic"])
def test_recipes_train_on_fakes(name: str, tmp_path: Path) -> None:
    from mien.datasets import FAKES

    recipe = load_recipe(name, epochs=1)
    FAKES[recipe.dataset](tmp_path / "data")
    recipe = replace(recipe, folds=2, batch=8)
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", CPU)
    study.train(say=lambda text: None)
    figures = study.test()["figures"]
    assert 0 <= next(iter(figures.values()))["accuracy"] <= 1
    assert ("missing" in figures) == (len(recipe.modalities) > 1)
