"""Light and classic networks: shapes, gradients, counts, ONNX, and what is particular to each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.errors import DataError, RecipeError  # noqa: E402
from mien.faces.angles import angle_changes, angle_map, apex  # noqa: E402
from mien.layers.conv_unit import Conv  # noqa: E402
from mien.layers.encoder_block import EncoderBlock  # noqa: E402
from mien.layers.fixed_map import FixedMap  # noqa: E402
from mien.layers.inverted_residual import HardSqueezeExcite, divisible  # noqa: E402
from mien.layers.transform_pool import TransformSet, transform_pool  # noqa: E402
from mien.losses.base import build  # noqa: E402
from mien.models import MODELS, Output  # noqa: E402
from mien.models.shufflenet_v2 import shuffle  # noqa: E402
from mien.train.recipe import load_recipe, recipes  # noqa: E402
from mien.train.study import Study  # noqa: E402
from models_kit import count, export_gap, settled, stirred, tiny  # noqa: E402

NAMES = [
    "alexnet",
    "alexnet-emotion",
    "frr-cnn",
    "inception",
    "mobilefacenet",
    "mobilenet-v2",
    "mobilenet-v3",
    "resnet-vit",
    "shufflenet-v2",
    "squeezenext",
]
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [7, 8])
def test_shapes_gradients_and_single_faces(name: str, classes: int) -> None:
    model = tiny(name, classes=classes)
    x = torch.rand(3, 1, 48, 48)
    output = model(x)
    assert output.logits.shape == (3, classes)
    assert output.embedding.shape == (3, model.head.in_features)
    assert output.aux["features"].shape[0] == 3
    output.logits.square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    model.eval()
    with torch.no_grad():
        assert torch.allclose(model(x).logits[1], model({"face": x[1:2]}).logits[0], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_declared_parameters(name: str) -> None:
    facts = MODELS.facts(name)
    assert count(name) == facts["parameters"]
    assert facts["paper"]


@pytest.mark.parametrize(
    ("name", "published", "arguments"),
    [
        ("mobilenet-v2", 3_504_872, {}),
        ("mobilenet-v3", 2_542_856, {}),
        ("mobilenet-v3", 5_483_032, {"body": "large"}),
        ("shufflenet-v2", 2_278_604, {}),
    ],
)
def test_published_counts_for_a_thousand_classes_and_colour(
    name: str, published: int, arguments: dict[str, Any]
) -> None:
    assert count(name, classes=1000, channels=3, **arguments) == published


def test_squeezenext_has_the_published_count_but_for_its_stem() -> None:
    with torch.device("meta"):
        model = MODELS.create("squeezenext", classes=1000, channels=3)
    biases = sum(m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    stem = 64 * 3 * (7 * 7 - 3 * 3)
    assert sum(p.numel() for p in model.parameters()) + biases + stem == 724_056


def test_mobilefacenet_stays_below_a_million() -> None:
    assert MODELS.facts("mobilefacenet")["parameters"] < 1_000_000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("side", "channels"), [(36, 1), (41, 3), (64, 1)])
def test_other_sizes_colour_and_half_precision(name: str, side: int, channels: int) -> None:
    model = tiny(name, channels=channels).to(memory_format=torch.channels_last)
    x = torch.rand(2, channels, side, side).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(x)
    assert torch.isfinite(output.logits).all()
    output.logits.float().square().sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_onnx_agrees(name: str) -> None:
    network = settled(stirred(tiny(name)), torch.rand(8, 1, 48, 48))
    assert export_gap(network, torch.rand(4, 1, 48, 48), torch.rand(3, 1, 48, 48)) < 1e-4


# --- layers ---


@pytest.mark.parametrize("side", [8, 9])
def test_strided_depthwise_convolution_is_the_same_in_training(side: int) -> None:
    conv, x = Conv(4, 4, 3, 2, 4), torch.rand(2, 4, side, side)
    assert torch.allclose(conv.train()(x), conv.eval()(x), atol=1e-6)


def test_fixed_map_leaves_its_own_side_alone() -> None:
    x = torch.rand(1, 2, 6, 6)
    assert FixedMap(6)(x) is x
    assert FixedMap(6)(torch.ones(1, 2, 4, 9)).unique().tolist() == [1.0]


def test_shuffle_interleaves_and_every_channel_meets_the_other_half() -> None:
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert shuffle(x).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert torch.equal(shuffle(shuffle(shuffle(x))), x)


def test_divisible_rounds_as_the_papers_do() -> None:
    assert [divisible(v) for v in (3, 12, 18, 22, 24.1, 11)] == [8, 16, 24, 24, 24, 16]


def test_hard_squeeze_excite_against_a_loop() -> None:
    layer, x = HardSqueezeExcite(3, 2), torch.randn(1, 3, 2, 2)
    mean = [float(x[0, c].mean()) for c in range(3)]
    w1, b1, w2, b2 = (p.detach().flatten(1).numpy() if p.ndim > 1 else p.detach().numpy() for p in layer.parameters())
    hidden = [max(0.0, sum(w1[h][c] * mean[c] for c in range(3)) + b1[h]) for h in range(2)]
    for c in range(3):
        gate = min(max(sum(w2[c][h] * hidden[h] for h in range(2)) + b2[c] + 3, 0), 6) / 6
        assert torch.allclose(layer(x)[0, c], x[0, c] * gate, atol=1e-6)


def test_attention_against_a_loop() -> None:
    block, x = EncoderBlock(4, 2).eval(), torch.randn(1, 3, 4)
    q, k, v = (part[0].detach() for part in block.qkv(x).chunk(3, 2))
    joined = torch.zeros(3, 4)
    for head in range(2):
        cut = slice(2 * head, 2 * head + 2)
        for i in range(3):
            scores = [math.exp(float(q[i, cut] @ k[j, cut]) / math.sqrt(2)) for j in range(3)]
            joined[i, cut] = sum(s / sum(scores) * v[j, cut] for j, s in enumerate(scores))
    assert torch.allclose(block.attend(x)[0], block.out(joined), atol=1e-5)
    with pytest.raises(RecipeError, match="3 heads do not divide 4"):
        EncoderBlock(4, 3)


def test_positions_tell_the_tokens_apart() -> None:
    model = tiny("resnet-vit").eval()
    features = torch.zeros(1, 16, 5, 5)  # another side than the one the positions are learnt for
    assert model.tokens(features).shape == (1, 25, 16)
    assert len(model.tokens(features)[0].unique(dim=0)) == 25


# --- FRR-CNN ---


def test_transforms_are_what_they_say() -> None:
    x = torch.rand(2, 1, 9, 9)
    copies = TransformSet([(1, 0, 1), (-1, 0, 1), (1, 90, 1), (1, 0, 1.5), (-1, 90, 1)])(x).unflatten(0, (5, 2))
    assert torch.equal(copies[0], x)
    assert torch.equal(copies[1], x.flip(3))
    assert torch.allclose(copies[2], x.rot90(1, (2, 3)), atol=1e-5)
    assert torch.allclose(copies[3][:, :, 4, 4], x[:, :, 4, 4], atol=1e-5)
    assert not torch.allclose(copies[3], x, atol=1e-2)
    assert torch.allclose(copies[4], x.flip(3).rot90(1, (2, 3)), atol=1e-5)


def test_pooled_features_do_not_change_with_a_transform_of_the_set() -> None:
    model, x = tiny("frr-cnn", transforms=((1, 0, 1), (-1, 0, 1))).eval(), torch.rand(2, 1, 48, 48)
    assert torch.allclose(model(x).embedding, model(x.flip(3)).embedding, atol=1e-5)
    one = tiny("frr-cnn", transforms=((1, 0, 1),)).eval()
    assert not torch.allclose(one(x).embedding, one(x.flip(3)).embedding, atol=1e-4)
    assert transform_pool(torch.tensor([[1.0], [5.0], [2.0], [3.0]]), 2).tolist() == [[2.0], [5.0]]


def test_redundancy_against_a_loop() -> None:
    maps = torch.randn(2, 3, 2, 2, requires_grad=True)
    output = Output(torch.zeros(2, 4), torch.zeros(2, 3), {"features": maps, "flat": torch.zeros(2, 3)})
    slow = 0.0
    for face in maps.detach().flatten(2).numpy():
        for j in range(3):
            for k in range(3):
                if j != k:
                    slow += (face[j] @ face[k] / np.linalg.norm(face[j]) / np.linalg.norm(face[k])) ** 2 / 12
    value = build("redundancy", output)(output, torch.zeros(2).long()).detach()
    assert float(value) == pytest.approx(slow, rel=1e-5)
    with pytest.raises(RecipeError, match="reads 'flat'"):
        build("redundancy", output, reads="flat")(output, torch.zeros(2).long())
    alike = Output(output.logits, output.embedding, {"features": torch.ones(2, 3, 2, 2)})
    assert float(build("redundancy", alike)(alike, torch.zeros(2).long())) == pytest.approx(1.0)


def test_kernels_diverge_under_the_penalty() -> None:
    model, x = tiny("frr-cnn"), torch.rand(4, 1, 48, 48)
    loss = build("redundancy", model(x), reads="kernels1")
    stepped = torch.optim.SGD(model.parameters(), lr=0.5)
    values = []
    for _ in range(5):
        value = loss(model(x), torch.zeros(4).long())
        stepped.zero_grad()
        value.backward()
        stepped.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.8 * values[0]


# --- AlexNet-Emotion ---


def test_angle_maps_join_in_and_a_face_without_one_has_not_moved() -> None:
    model, x = tiny("alexnet-emotion").eval(), torch.rand(2, 1, 48, 48)
    still, moved = torch.zeros(2, 1, 68, 68), torch.rand(2, 1, 68, 68)
    assert torch.equal(model(x).logits, model({"face": x, "angles": still}).logits)
    assert not torch.allclose(model(x).embedding, model({"face": x, "angles": moved}).embedding, atol=1e-4)
    without = tiny("alexnet-emotion", angles=0)
    assert not any("branch" in name for name, _ in without.named_parameters())
    rectified, signed = tiny("alexnet")(x).embedding.detach(), model(x).embedding.detach()
    assert float(rectified.min()) >= 0 > float(signed.min())


def points(frames: int = 3, seed: int = 0) -> np.ndarray:
    return np.repeat(np.random.default_rng(seed).uniform(0, 100, (1, 68, 2)), frames, 0)


def test_angles_against_a_loop() -> None:
    landmarks = np.random.default_rng(1).uniform(0, 100, (2, 68, 2))
    changes = angle_changes(landmarks, near=0.0)
    eyes = landmarks[:, 36:48].reshape(2, 2, 6, 2).mean(2)
    roll = [math.atan2(*(e[1] - e[0])[::-1]) for e in eyes]
    for i, j in ((0, 1), (5, 60), (60, 5), (33, 8)):
        now, before = (math.atan2(*(landmarks[t, j] - landmarks[t, i])[::-1]) for t in (1, 0))
        turn = now - before - (roll[1] - roll[0])
        turn = math.atan2(math.sin(turn), math.cos(turn))
        assert changes[1, i, j] == pytest.approx(turn, abs=1e-5)
    assert np.abs(changes[0]).max() == 0
    # to a whole turn: rounding may put one of the two to the other side of pi
    assert np.abs(np.sin(changes[1] - changes[1].T)).max() < 1e-5


def test_angles_do_not_see_where_the_head_is_how_large_or_how_tilted() -> None:
    landmarks = points()
    c, s = math.cos(2.5), math.sin(2.5)
    landmarks[1] = landmarks[1] @ np.array([[c, s], [-s, c]]) * 1.7 + 40
    landmarks[2, 48:68, 1] += 15 * np.sin(np.arange(20))  # the mouth moves
    changes = angle_changes(landmarks)
    assert np.abs(changes[1]).max() < 1e-5
    assert np.abs(changes[2, :48, :48]).max() < 1e-6 < np.abs(changes[2, :48, 48:]).max()
    assert apex(changes) == 2
    shown = angle_map(landmarks)
    assert shown.shape == (1, 68, 68)
    assert shown.dtype == np.float32
    assert np.abs(shown).max() <= 1
    assert np.array_equal(shown, angle_map(landmarks, frame=2))
    assert np.abs(angle_map(landmarks, frame=0)).max() == 0


def test_points_that_touch_have_no_direction() -> None:
    landmarks = points()
    landmarks[0, 66] = landmarks[0, 62]  # lips closed in the neutral frame
    landmarks[1, 66] = landmarks[1, 62] + [0.0, 9.0]
    assert angle_changes(landmarks)[1, 62, 66] == 0


@pytest.mark.parametrize(
    ("landmarks", "arguments", "words"),
    [
        (np.zeros((3, 5, 2)), {}, r"shape \[3, 5, 2\]; \[T, 68, 2\]"),
        (np.zeros((0, 68, 2)), {}, "T at least 1"),
        (np.full((2, 68, 2), np.nan), {}, "not finite"),
        (np.zeros((2, 68, 2)), {"neutral": 2}, "neutral frame 2 of 2"),
        (np.zeros((2, 68, 2)), {"frame": 7}, "frame 7 of 2"),
    ],
)
def test_angles_refuse_what_they_cannot_read(landmarks: np.ndarray, arguments: dict[str, int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        angle_map(landmarks, **arguments)


def test_unknown_body() -> None:
    with pytest.raises(RecipeError, match="choose one of small, large"):
        MODELS.create("mobilenet-v3", body="huge")


# --- recipes ---

DATASETS.names()
OURS = [name for name in recipes() if load_recipe(name).model in NAMES]


def test_every_network_has_a_recipe_and_alexnet_emotion_its_ablations() -> None:
    assert {f"fer2013-{name}" for name in NAMES} <= set(OURS)
    assert {f"ck48-alexnet-emotion{end}" for end in ("", "-random", "-softmax", "-no-angles")} <= set(OURS)


@pytest.mark.parametrize("name", [n for n in OURS if n.startswith("fer2013-")])
def test_recipes_train(name: str, tmp_path: Path) -> None:
    FAKES["fer2013"](tmp_path / "data", rows=60)
    recipe = load_recipe(name, epochs=1, batch=16)
    recipe.arguments["tiny"] = True
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", CPU)
    study.train(lambda _: None)
    assert (tmp_path / "runs" / name / "best.pt").is_file()


def test_folds_start_from_the_pretrained_net(tmp_path: Path) -> None:
    FAKES["fer2013"](tmp_path / "fer", rows=60)
    FAKES["ck48"](tmp_path / "ck", subjects=4)
    for name in [n for n in OURS if n.startswith("ck48-")]:
        recipe = load_recipe(name, epochs=1, batch=16, folds=2)
        recipe.arguments["tiny"] = True
        if recipe.init and not (tmp_path / "runs" / recipe.init).exists():
            first = load_recipe(recipe.init, epochs=1, batch=16)
            first.arguments["tiny"] = True
            Study.open(first, tmp_path / "fer", tmp_path / "runs", CPU).train(lambda _: None)
        study = Study.open(recipe, tmp_path / "ck", tmp_path / "runs", CPU)
        study.train(lambda _: None)
        assert len(study.test()["per_fold"]) == 2
