"""Networks with attention, deformable convolution, involution: layers against slow loops, the family on tiny ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.errors import RecipeError  # noqa: E402
from mien.layers.cbam import ChannelAttention, SpatialAttention  # noqa: E402
from mien.layers.cross_attention import CrossAttention  # noqa: E402
from mien.layers.csam import CSAM, ChannelSpatialFusion  # noqa: E402
from mien.layers.deform import DeformConv2d  # noqa: E402
from mien.layers.involution import Involution  # noqa: E402
from mien.layers.self_attention import SelfAttention2d, sine_positions  # noqa: E402
from mien.losses import LOSSES  # noqa: E402
from mien.losses.base import build  # noqa: E402
from mien.models import MODELS, Output  # noqa: E402
from mien.train.recipe import load_recipe, recipes  # noqa: E402
from mien.train.study import Study  # noqa: E402
from models_kit import count, export_gap, settled, stirred, tiny  # noqa: E402

NETWORKS = ["aren", "cbm-net", "deform-cbam", "irnet", "resnet-csam", "vgg-se", "vgg19-involution"]
RECIPES = [name for name in recipes() if name.split("-", 1)[-1] in NETWORKS]
DATASETS.names()


# --- layers against slow loops ---


def pixel(x: np.ndarray, row: float, column: float) -> float:
    """x [H, W] between its pixels, 0 outside."""
    total = 0.0
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
                total += x[r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return total


def test_deformable_convolution_against_a_loop() -> None:
    torch.manual_seed(0)
    layer = DeformConv2d(2, 3).eval()
    nn.init.normal_(layer.offsets.weight, std=0.3)
    x = torch.randn(2, 2, 5, 4)
    with torch.no_grad():
        fast, moved = layer(x).numpy(), layer.offsets(x).numpy()
    w = layer.mix.weight.detach().numpy().reshape(3, 2, 9)
    slow = np.zeros_like(fast)
    for n, o, row, column in np.ndindex(*fast.shape):
        for c in range(2):
            for tap in range(9):
                dx, dy = moved[n, 2 * tap : 2 * tap + 2, row, column]
                seen = pixel(x[n, c].numpy(), row + tap // 3 - 1 + dy, column + tap % 3 - 1 + dx)
                slow[n, o, row, column] += w[o, c, tap] * seen
    assert np.abs(fast - slow).max() < 1e-5


def test_deformable_convolution_starts_plain_and_its_offsets_learn_slowly() -> None:
    torch.manual_seed(0)
    layer, x = DeformConv2d(2, 3), torch.randn(2, 2, 6, 7)
    plain = functional.conv2d(x, layer.mix.weight.reshape(3, 2, 3, 3), padding=1)
    assert torch.allclose(layer(x), plain, atol=1e-5)
    nn.init.normal_(layer.offsets.weight, std=0.3)  # at whole pixels bilinear sampling has no one slope
    slopes = []
    for slowing in (1.0, 0.1):
        layer.slowing = slowing
        slopes.append(torch.autograd.grad(layer(x).square().sum(), layer.offsets.weight)[0])
    assert slopes[0].abs().sum() > 0
    assert torch.allclose(slopes[1], 0.1 * slopes[0], rtol=1e-3, atol=1e-5)


def test_involution_against_a_loop() -> None:
    torch.manual_seed(0)
    layer, x = Involution(4, kernel=3, group=2, reduction=2).eval(), torch.randn(2, 4, 4, 5)
    with torch.no_grad():
        fast = layer(x).numpy()
        weight = layer.span(layer.reduce(x)).reshape(2, 2, 9, 4, 5).numpy()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    slow = np.zeros_like(fast)
    for n, c, row, column in np.ndindex(*fast.shape):
        for k in range(9):
            slow[n, c, row, column] += weight[n, c // 2, k, row, column] * padded[n, c, row + k // 3, column + k % 3]
    assert np.abs(fast - slow).max() < 1e-5
    with pytest.raises(ValueError, match="choose a divisor"):
        Involution(6, group=4)


def test_self_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention2d(8, heads=2), torch.randn(2, 8, 3, 4)
    with torch.no_grad():
        fast = layer(x).flatten(2)
        ask, value = layer.ask.weight.flatten(1), layer.value.weight.flatten(1)
        tokens = x.flatten(2)
        placed = tokens + sine_positions(8, 3, 4, x.device).flatten(2)
        for n in range(2):
            q, k, v = (ask @ placed[n])[:8], (ask @ placed[n])[8:], value @ tokens[n]
            for h in range(2):
                part = slice(4 * h, 4 * h + 4)
                share = torch.softmax(q[part].T @ k[part] / 2, 1)  # 2: root of 4
                assert torch.allclose(fast[n, part], (share @ v[part].T).T, atol=1e-5)


def test_positions_differ_from_place_to_place() -> None:
    for side in (3, 6, 24):
        places = sine_positions(16, side, side, torch.device("cpu"))[0].flatten(1).T
        distance = torch.cdist(places, places) + 9 * torch.eye(side**2)
        assert float(distance.min()) > 0.1


def test_attention_gates_against_their_equations() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 5, 6)
    channel, spatial, both = ChannelAttention(16), SpatialAttention(3), CSAM(16).eval()
    with torch.no_grad():
        pools = [x.mean((2, 3))[:, :, None, None], x.flatten(2).max(2)[0][:, :, None, None]]
        gate = torch.sigmoid(sum(channel.mlp(p) for p in pools))
        assert torch.allclose(channel(x), gate * x, atol=1e-6)
        stacked = torch.stack([x.mean(1), x.max(1)[0]], 1)
        assert torch.allclose(spatial(x), torch.sigmoid(spatial.conv(stacked)) * x, atol=1e-6)
        gate = torch.sigmoid(both.channel(pools[0]) + both.place(x))
        assert gate.shape == x.shape
        assert torch.allclose(both(x), x * (1 + gate), atol=1e-6)
        fusion = ChannelSpatialFusion(16).eval()
        weight = fusion.fuse[0].weight.flatten(1)
        mixed = torch.einsum("oc,nchw->nohw", weight, torch.cat([fusion.channel(x), fusion.spatial(x)], 1))
        assert torch.allclose(fusion(x), x + torch.relu(mixed / math.sqrt(1 + 1e-5)), atol=1e-5)


def test_cross_attention_against_its_equations() -> None:
    torch.manual_seed(0)
    head, x = stirred(CrossAttention(16)).eval(), torch.rand(2, 16, 5, 6)
    with torch.no_grad():
        u = head.narrow(x)
        views = [norm(view(u)) for view, norm in zip(head.views, head.norms, strict=True)]
        assert [tuple(view.weight.shape[2:]) for view in head.views] == [(3, 3), (1, 3), (3, 1)]
        where = torch.relu(views[0] + views[1] + views[2]).sum(1) / 16
        z = (x * where[:, None]).flatten(2).sum(2) / 30
        assert torch.allclose(head(x), z * head.channel(z), atol=1e-6)


# --- the family ---


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [7, 8])
def test_shapes_and_a_gradient_for_every_parameter(name: str, classes: int) -> None:
    network = stirred(tiny(name, classes))
    output = network(torch.rand(4, 1, 48, 48))
    assert output.logits.shape == (4, classes)
    assert output.embedding.shape == (4, network.head.in_features)
    assert output.aux["features"].ndim == 4
    waiting = {key for key, _ in network.named_parameters()}
    for seed in range(6):  # the few ReLUs of a tiny gate may all be shut under one draw
        network = stirred(tiny(name, classes, seed=seed))
        labels = torch.arange(4)
        functional.cross_entropy(network(torch.rand(4, 1, 48, 48)).logits, labels).backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
        waiting -= {key for key, p in network.named_parameters() if float(p.grad.abs().max()) > 0}
        if not waiting:
            break
    assert not waiting


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [36, 45, 64])
def test_other_sizes_and_colour(name: str, side: int) -> None:
    network = tiny(name, channels=3).eval()
    with torch.no_grad():
        assert torch.isfinite(network(torch.rand(2, 3, side, side)).logits).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_agrees_with_single_faces(name: str) -> None:
    network, x = stirred(tiny(name)).eval(), torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        assert torch.allclose(network(x).logits[1], network({"face": x[1:2]}).logits[0], atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_declared_parameters(name: str) -> None:
    assert count(name) == MODELS.facts(name)["parameters"]


@pytest.mark.parametrize("name", NETWORKS)
def test_sixteen_bits_channels_last(name: str) -> None:
    network = tiny(name).to(memory_format=torch.channels_last)
    x = torch.rand(4, 1, 48, 48).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(x)
    output.logits.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = network(x).logits.float()
    with torch.no_grad():
        assert (rough - network(x).logits).abs().max() < 0.15


@pytest.mark.parametrize("name", NETWORKS)
def test_export_agrees(name: str) -> None:
    network = settled(stirred(tiny(name)), torch.rand(8, 1, 48, 48))
    assert export_gap(network, torch.rand(4, 1, 48, 48), torch.rand(3, 1, 48, 48)) < 1e-4


# --- what the papers' losses read ---


@pytest.mark.parametrize("name", ["irnet", "aren"])
def test_heads_feed_the_partition_loss(name: str) -> None:
    network = tiny(name)
    output = network(torch.rand(4, 1, 48, 48))
    heads = output.aux["heads"]
    assert heads.shape == (4, 4, network.head.in_features)
    value = build("partition", output)(output, torch.zeros(4).long())
    value.backward()
    where = network.heads if name == "irnet" else network.regions
    assert all(float(p.grad.abs().sum()) > 0 for key, p in where.named_parameters() if not key.endswith("bias"))
    if name == "irnet":
        assert torch.allclose(heads.exp().sum(1), torch.ones_like(heads[:, 0]), atol=1e-5)
        assert build("affinity", output)(output, torch.zeros(4).long()).isfinite()


def test_aren_heads_are_the_features_under_each_mask() -> None:
    network = stirred(tiny("aren")).eval()
    with torch.no_grad():
        aux = network(torch.rand(2, 1, 48, 48)).aux
    features, masks = aux["features"].flatten(2), aux["masks"].flatten(2)
    for n in range(2):
        for h in range(4):
            expected = (features[n] * masks[n, h]).sum(1) / masks[n, h].sum()
            assert torch.allclose(aux["heads"][n, h], expected, atol=1e-5)


def test_activation_maps_average_to_the_logits_and_turn_with_the_face() -> None:
    network = stirred(tiny("cbm-net"))
    x = torch.rand(3, 1, 48, 48)
    network.eval()
    with torch.no_grad():
        output, turned = network(x), network(x.flip(3))
    assert "mirrored" not in output.aux
    assert torch.allclose(output.aux["maps"].mean((2, 3)) + network.head.bias, output.logits, atol=1e-5)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # the same statistics as above
    aux = network(x).aux
    assert torch.allclose(aux["mirrored"], turned.aux["maps"].flip(3), atol=1e-5)
    assert torch.allclose(aux["maps"], output.aux["maps"], atol=1e-5)


def test_flip_consistency_against_a_loop() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 3, 2, 4, 4))
    slow = sum((one[i] - other[i]) ** 2 for i in np.ndindex(one.shape)) / one.size
    aux = {"maps": torch.tensor(one).requires_grad_(), "mirrored": torch.tensor(other).requires_grad_()}
    output, loss = Output(torch.zeros(3, 2), torch.zeros(3, 5), aux), LOSSES.create("flip-consistency")
    value = loss(output, torch.zeros(3).long())
    assert float(value.detach()) == pytest.approx(slow)
    assert torch.autograd.gradcheck(lambda m, o: loss(Output(m, m, {"maps": m, "mirrored": o}), m), tuple(aux.values()))
    with pytest.raises(RecipeError, match="'mirrored'"):
        loss(Output(torch.zeros(3, 2), torch.zeros(3, 5), {"maps": aux["maps"]}), torch.zeros(3))
    bad = {"maps": aux["maps"], "mirrored": aux["mirrored"][:, :, 1:]}
    with pytest.raises(RecipeError, match="alike"):
        loss(Output(torch.zeros(3, 2), torch.zeros(3, 5), bad), torch.zeros(3))


def test_a_symmetric_face_costs_the_consistency_nothing() -> None:
    network = tiny("cbm-net")
    half = torch.rand(2, 1, 48, 24)
    output = network(torch.cat([half, half.flip(3)], 3))
    x, y = output.aux["maps"], output.aux["mirrored"]
    assert torch.allclose(x, y.flip(3), atol=1e-5)  # the two faces are one and the same


# --- recipes ---


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_train_one_epoch(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name, epochs=1, batch=16, size=(48,), init="")
    recipe = load_recipe(name, epochs=1, batch=16, size=(48,), init="", arguments={**recipe.arguments, "tiny": True})
    FAKES[recipe.dataset](tmp_path / "data")
    study = Study.open(recipe, tmp_path / "data", tmp_path / "runs", torch.device("cpu"))
    study.train(lambda _: None)
    assert 0 <= study.test()["figures"][recipe.dataset]["accuracy"] <= 1


def test_each_network_has_a_recipe() -> None:
    assert {f"fer2013-{name}" for name in NETWORKS} <= set(RECIPES)
