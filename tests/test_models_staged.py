"""Networks that are more than one: their shapes, the stages before their first epoch, their recipes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.errors import DataError, RecipeError  # noqa: E402
from mien.layers.rbm import RBM  # noqa: E402
from mien.losses.base import build  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.train.checkpoint import save_state  # noqa: E402
from mien.train.loop import Trainer  # noqa: E402
from mien.train.prepare import read_faces  # noqa: E402
from mien.train.recipe import Recipe, Stage, load_recipe, recipes  # noqa: E402
from mien.train.stages import STAGES, Setting, run_stage  # noqa: E402
from mien.train.stages.group import group, relevance  # noqa: E402
from mien.train.stages.neutralise import neutral_faces  # noqa: E402
from models_kit import count, export_gap, settled, stirred, tiny  # noqa: E402

DATASETS.names()
CPU = torch.device("cpu")
NETWORKS = ("audn", "dae", "dbn", "derl", "facenet2expnet", "iacnn", "il-cnn")


def setting(model: torch.nn.Module, count: int = 24, labels: tuple[str, ...] = ("a", "b"), **changes: Any) -> Setting:
    random = np.random.default_rng(0)
    # smooth faces, for noise has no structure to learn
    coarse = torch.from_numpy(random.random((count, 1, 6, 6), np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (24, 24), mode="bilinear", align_corners=False)[:, 0]
    values: dict[str, Any] = {
        "pixels": (255 * smooth).to(torch.uint8),
        "classes": torch.arange(count) % len(labels),
        "people": torch.arange(count) // 4,
        "runs": Path("none"),
        "generator": torch.Generator().manual_seed(0),
        "batch": 8,
        "epochs": 2,
    }
    return Setting(model=model, labels=labels, device=CPU, **{**values, **changes})


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("classes", "channels", "side"), [(7, 1, 48), (8, 3, 37)])
def test_shapes_gradients_and_batch_equals_single(name: str, classes: int, channels: int, side: int) -> None:
    model = tiny(name, classes, channels=channels)
    x = torch.rand(3, channels, side, side)
    output = model(x)
    assert output.logits.shape == (3, classes)
    assert output.embedding.shape == (3, model.head.in_features)
    assert "features" in output.aux
    output.logits.square().sum().backward()
    missing = [key for key, p in model.named_parameters() if p.grad is None]
    assert not missing
    model.eval()
    with torch.no_grad():
        assert torch.allclose(model(x).logits[1], model({"face": x[1:2]}).logits[0], atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            half = model.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
        assert torch.isfinite(half.logits).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_declared_count(name: str) -> None:
    assert count(name) == MODELS.facts(name)["parameters"]


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_agrees(name: str) -> None:
    network = settled(stirred(tiny(name)), torch.rand(8, 1, 48, 48))
    assert export_gap(network, torch.rand(4, 1, 48, 48), torch.rand(3, 1, 48, 48)) < 1e-4


def test_contrastive_divergence_against_a_loop() -> None:
    torch.manual_seed(0)
    rbm = RBM(3, 2, groups=2).double()
    v = torch.rand(4, 2, 3, dtype=torch.double)
    (weight, bias, visible), error = rbm.contrast(v, torch.Generator().manual_seed(5))
    # contrast draws floats of the default type for all hidden units at once
    drawn = torch.rand(4, 2, 2, generator=torch.Generator().manual_seed(5)).numpy()
    w, c = rbm.weight.detach().numpy(), rbm.bias.detach().numpy()

    def up(x: np.ndarray, g: int) -> np.ndarray:
        return 1 / (1 + np.exp(-(c[g] + x @ w[g])))

    slow, gaps, errors = np.zeros((2, 3, 2)), np.zeros((2, 2)), []
    for n in range(4):
        for g in range(2):
            x = v[n, g].numpy()
            h = up(x, g)
            back = 1 / (1 + np.exp(-(w[g] @ (drawn[n, g] < h))))
            slow[g] += (np.outer(x, h) - np.outer(back, up(back, g))) / 4
            gaps[g] += (h - up(back, g)) / 4
            errors.append(((x - back) ** 2).mean())
    assert np.abs(weight.numpy() - slow).max() < 1e-12
    assert np.abs(bias.numpy() - gaps).max() < 1e-12
    assert error == pytest.approx(np.mean(errors))
    assert visible.shape == (2, 3)
    assert RBM(3, 2, gaussian=True).down(torch.zeros(1, 1, 2)).abs().sum() == 0


@pytest.mark.parametrize(("stage", "name", "lr"), [("rbm", "dbn", 0.2), ("autoencode", "dae", 0.01)])
def test_greedy_stages_reconstruct_better_with_time(stage: str, name: str, lr: float) -> None:
    errors = [STAGES.create(stage)(setting(tiny(name), epochs=epochs, lr=lr))["reconstruction"] for epochs in (1, 15)]
    assert errors[1][0] < errors[0][0]
    assert len(errors[0]) == (2 if stage == "rbm" else 3)


def test_patterns_and_groups_find_structure() -> None:
    model = tiny("audn", 2)
    figures = STAGES.create("patterns", patches=512)(setting(model, epochs=4))
    assert figures["likeness"] > 0.7
    assert torch.allclose(model.filters.weight.flatten(1).norm(dim=1), torch.ones(10), atol=1e-4)
    STAGES.create("group")(setting(model))
    assert int(model.members.max()) < len(model.mean)
    assert float(model.visible(setting(model).faces(torch.arange(24))).mean().detach()) == pytest.approx(0, abs=0.2)
    # two blocks of columns, each of which varies as one
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(200, 2, generator=generator)
    z = torch.cat([base[:, :1].expand(-1, 3), -base[:, 1:].expand(-1, 3)], 1)
    z = z + 0.1 * torch.randn(200, 6, generator=generator)
    worth = relevance(z, (base[:, 1] > 0).long(), 2)
    assert sorted(worth.topk(3)[1].tolist()) == [3, 4, 5]
    assert [sorted(rows) for rows in group(z, worth, 2, 3).tolist()] == [[3, 4, 5], [0, 1, 2]]


def test_neutral_faces_come_from_the_person_or_from_the_nearest() -> None:
    pixels = torch.arange(6, dtype=torch.uint8)[:, None, None].repeat(1, 12, 12) * 20
    pixels[:, :6] += torch.tensor([0, 0, 100, 100, 0, 100], dtype=torch.uint8)[:, None, None]
    facts: dict[str, Any] = {"pixels": pixels, "people": torch.tensor([0, 0, 1, 1, 2, 3])}
    both = ("neutral", "joy")
    classes = torch.tensor([0, 1, 0, 1, 1, 1])
    made = neutral_faces(setting(torch.nn.Identity(), labels=both, classes=classes, **facts), among=1)
    assert [int((pixels == face).all((1, 2)).nonzero()[0]) for face in made] == [0, 0, 2, 2, 0, 2]
    made = neutral_faces(setting(torch.nn.Identity(), labels=("joy", "awe"), classes=classes, **facts), among=1)
    assert torch.allclose(made[0].float(), pixels[:2].float().mean(0), atol=0.51)
    facts["people"] = torch.arange(6)
    with pytest.raises(DataError, match="needs neutral faces"):
        neutral_faces(setting(torch.nn.Identity(), labels=("joy", "awe"), classes=classes, **facts), among=1)


def test_neutralise_trains_a_frozen_generator() -> None:
    model = tiny("derl", 2)
    model.generator.requires_grad_(False)
    gaps = [
        STAGES.create("neutralise")(setting(model, labels=("neutral", "joy"), epochs=epochs, lr=0.003))["l1"]
        for epochs in (1, 8)
    ]
    assert gaps[1] < gaps[0]
    assert not any(p.requires_grad or p.grad is not None for p in model.generator.parameters())
    neutral = model(torch.rand(2, 1, 48, 48)).aux["neutral"]
    assert 0 <= float(neutral.min()) <= float(neutral.max()) <= 1


def test_face_features_are_learnt(tmp_path: Path) -> None:
    torch.manual_seed(0)
    teacher = MODELS.create("mini-s", widths=(4, 6), depths=(1, 1))
    (tmp_path / "teacher").mkdir()
    save_state(tmp_path / "teacher" / "last.pt", {"ema": teacher.state_dict()})
    stage = STAGES.create(
        "face-features", run="teacher", network="mini-s", arguments={"widths": [4, 6], "depths": [1, 1]}
    )
    errors = [
        stage(setting(tiny("facenet2expnet"), runs=tmp_path, epochs=epochs, lr=0.01))["regression"]
        for epochs in (1, 10)
    ]
    assert errors[1] < errors[0]


def test_a_stage_that_does_not_fit_is_named(tmp_path: Path) -> None:
    FAKES["fer2013"](tmp_path, rows=60)
    recipe = Recipe("x", "dbn", {"tiny": True}, dataset="fer2013", labels="majority")
    trainer = Trainer(recipe, tmp_path, tmp_path / "run", CPU)
    for stage, words in (
        (Stage("autoencode"), "needs a network with 'layers'"),
        (Stage("rbm", arguments={"speed": 1}), "unexpected keyword argument 'speed'"),
        (Stage("rbm", 0), "give at least 1"),
    ):
        with pytest.raises(RecipeError, match=words):
            run_stage(stage, trainer)


def short(name: str, runs: Path) -> Recipe:
    """A recipe of the package, on the tiny network, for two epochs."""
    recipe = load_recipe(name)
    stages = []
    for stage in recipe.stage:
        own: dict[str, Any] = dict(stage.arguments)
        if stage.name == "face-features":
            teacher = MODELS.create("mini-s", widths=(4, 6), depths=(1, 1))
            (runs / "faceres").mkdir(parents=True, exist_ok=True)
            save_state(runs / "faceres" / "last.pt", {"ema": teacher.state_dict()})
            own |= {"network": "mini-s", "arguments": {"widths": [4, 6], "depths": [1, 1]}}
        own |= {"patches": 256} if stage.name == "patterns" else {}
        stages.append(Stage(stage.name, 1, stage.lr, own))
    return load_recipe(name, arguments={"tiny": True}, epochs=2, batch=16, stage=tuple(stages))


OURS = [name for name in recipes() if load_recipe(name).model in NETWORKS]


@pytest.mark.parametrize("name", OURS)
def test_recipes_train_and_resume_without_repeating_stages(name: str, tmp_path: Path) -> None:
    recipe = short(name, tmp_path / "runs")
    FAKES[recipe.dataset](tmp_path / "data")
    lines: list[str] = []

    class StopError(Exception):
        pass

    def stop(line: str) -> None:
        lines.append(line)
        if "epoch" in json.loads(line):
            raise StopError

    faces = read_faces(recipe, tmp_path / "data")
    rows = (np.flatnonzero(faces.majority >= 0)[:40], np.zeros(0, int))
    folder = tmp_path / "runs" / name
    with pytest.raises(StopError):
        Trainer(recipe, faces, folder, CPU, rows=rows).run(stop)
    Trainer(recipe, faces, folder, CPU, rows=rows).run(lines.append)
    said = [json.loads(line) for line in lines]
    assert [line["stage"] for line in said if "stage" in line] == [stage.name for stage in recipe.stage]
    assert [line["epoch"] for line in said if "epoch" in line] == [1, 2]
    assert all(np.isfinite(line["loss"]) for line in said if "loss" in line)
    logged = (folder / "log.jsonl").read_text().splitlines()
    assert len(logged) == len(recipe.stage) + 2
    if recipe.frozen:
        first, last = (torch.load(folder / f"{part}.pt", weights_only=True) for part in ("best", "last"))
        for key, value in last["model"].items():
            if key.startswith(recipe.frozen):
                assert torch.allclose(first["state"][key], value), key


def test_auxiliary_classifier_is_cross_entropy_of_its_own_head() -> None:
    output = tiny("iacnn")(torch.rand(4, 1, 48, 48))
    loss = build("auxiliary-classifier", output, reads="expression")
    targets = torch.tensor([0, 3, 6, 1])
    slow = 0.0
    for row in range(4):
        z = loss.classifier.weight @ output.aux["expression"][row] + loss.classifier.bias
        slow += float((z.exp().sum().log() - z[targets[row]]).detach()) / 4
    assert float(loss(output, targets).detach()) == pytest.approx(slow, rel=1e-5)
    with pytest.raises(RecipeError, match="mend dim"):
        build("auxiliary-classifier", output, dim=3)(output, targets)
