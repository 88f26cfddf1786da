"""Restoring hidden parts of faces: network, stage, occluders as augmentation, the file, `mien analyze --restore`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.augment import Augment, occluded  # noqa: E402
from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.faces.degrade import face_area  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.train.checkpoint import save_state  # noqa: E402
from mien.train.loop import Trainer  # noqa: E402
from mien.train.prepare import read_faces  # noqa: E402
from mien.train.recipe import Distill, Recipe, load_recipe  # noqa: E402
from models_kit import count, export_gap, settled, stirred, tiny  # noqa: E402

DATASETS.names()
CPU = torch.device("cpu")


@pytest.mark.parametrize(("classes", "channels", "side"), [(7, 1, 48), (8, 3, 37)])
def test_shapes_gradients_and_batch_equals_single(classes: int, channels: int, side: int) -> None:
    model = tiny("occlusion-gan", classes, channels=channels)
    x = torch.rand(3, channels, side, side)
    output = model(x)
    assert output.logits.shape == (3, classes)
    assert output.embedding.shape == (3, model.head.in_features)
    assert output.aux["restored"].shape == (3, channels, 48, 48)
    assert output.aux["hidden"].shape == (3, 1, 48, 48)
    output.logits.square().sum().backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None]
    model.eval()
    with torch.no_grad():
        assert torch.allclose(model(x).logits[1], model({"face": x[1:2]}).logits[0], atol=1e-5)


def test_declared_count() -> None:
    assert count("occlusion-gan") == MODELS.facts("occlusion-gan")["parameters"]


def test_onnx_agrees() -> None:
    network = settled(stirred(tiny("occlusion-gan")), torch.rand(8, 1, 48, 48))
    assert export_gap(network, torch.rand(4, 1, 48, 48), torch.rand(3, 1, 48, 48)) < 1e-4


TINY = {"stages": [4, 6], "depths": [1, 1], "stem": 2}
SMALL = {"widths": [4, 6], "depths": [1, 1], "stem": 2}
RECIPES = ("ferplus-occlusion-gan", "ferplus-occlusion-gan-perceptual", "rafdb-occlusion-gan", "mien-s-occluded")


def short(name: str, runs: Path) -> Recipe:
    """A recipe over tiny networks, with the runs that it builds on."""
    torch.manual_seed(1)
    face_net = MODELS.create("mini-s-fine", classes=8, **SMALL).state_dict()
    (runs / "mien-s-face").mkdir(parents=True)
    save_state(runs / "mien-s-face" / "last.pt", {"ema": face_net})
    (runs / "ferplus-occlusion-gan").mkdir()
    gan = tiny("occlusion-gan").state_dict()
    save_state(runs / "ferplus-occlusion-gan" / "last.pt", {"ema": gan})
    arguments = SMALL if name == "mien-s-occluded" else {"tiny": True}
    changes = {"arguments": arguments, "epochs": 1, "batch": 16, "distill": Distill()}
    return load_recipe(name, **changes)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_train(name: str, tmp_path: Path) -> None:
    recipe = short(name, tmp_path / "runs")
    FAKES[recipe.dataset](tmp_path / "data")
    faces = read_faces(recipe, tmp_path / "data")
    rows = (np.flatnonzero(faces.majority >= 0)[:40], np.zeros(0, int))
    lines: list[str] = []
    folder = tmp_path / "runs" / f"try-{name}"
    Trainer(recipe, faces, folder, CPU, rows=rows).run(lines.append)
    said = [json.loads(line) for line in lines]
    assert [line["stage"] for line in said if "stage" in line] == [stage.name for stage in recipe.stage]
    assert all(np.isfinite(value) for line in said for value in line.values() if isinstance(value, float))
    if recipe.frozen:
        kept = torch.load(folder / "last.pt", weights_only=True)
        for key, value in kept["model"].items():
            if key.startswith("generator."):
                assert torch.equal(value, kept["ema"][key]), key
