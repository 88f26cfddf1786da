"""Layers of the networks over clips and flow, against slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from mien.layers.block_attention import BlockAttention  # noqa: E402
from mien.layers.inflate import inflate  # noqa: E402
from mien.layers.irnn import IRNN, Recurrent  # noqa: E402
from mien.layers.large_kernel import InceptionDepthwise  # noqa: E402
from mien.layers.mfem import MFEM  # noqa: E402
from mien.layers.mffm import MFFM, FeatureInteraction  # noqa: E402
from mien.layers.over_time import AttentionPool, evenly, mask_of, pool_max, pool_mean, pool_std  # noqa: E402
from mien.layers.video_attention import CodeAttention, PairAttention  # noqa: E402
from models_kit import stirred  # noqa: E402


def test_irnn_against_a_loop_and_its_start() -> None:
    torch.manual_seed(0)
    layer = IRNN(3, 4)
    assert torch.equal(layer.weight_hh_l0.detach(), torch.eye(4))
    assert not layer.bias_ih_l0.any()
    assert not layer.bias_hh_l0.any()
    positive = torch.rand(1, 5, 3)
    with torch.no_grad():
        layer.weight_ih_l0.abs_()
        summed = (positive @ layer.weight_ih_l0.T).cumsum(1)
        assert torch.allclose(layer(positive)[0], summed, atol=1e-6)  # at the start it sums over time
    layer = stirred(layer)
    x = torch.randn(2, 5, 3)
    w, u = layer.weight_hh_l0.detach().numpy(), layer.weight_ih_l0.detach().numpy()
    b = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().numpy()
    with torch.no_grad():
        fast = layer(x)[0].numpy()
    for n in range(2):
        h = np.zeros(4)
        for t in range(5):
            h = np.array([max(0.0, w[i] @ h + u[i] @ x[n, t].numpy() + b[i]) for i in range(4)])
            assert fast[n, t] == pytest.approx(h, abs=1e-5)


@pytest.mark.parametrize(("cell", "both"), [("irnn", False), ("lstm", False), ("lstm", True), ("gru", True)])
def test_recurrence_stops_at_each_clips_end(cell: str, both: bool) -> None:
    torch.manual_seed(0)
    layer, x, length = Recurrent(cell, 3, 4, both), torch.randn(3, 6, 3), torch.tensor([6, 2, 4])
    with torch.no_grad():
        states, last = layer(x, mask_of(length, 6))
        assert states.shape == (3, 6, layer.width)
        for n, end in enumerate(length.tolist()):
            alone, end_state = layer(x[n : n + 1, :end])
            assert torch.allclose(states[n, :end], alone[0], atol=1e-6)
            assert not states[n, end:].any()
            assert torch.allclose(last[n], end_state[0], atol=1e-6)
            assert torch.allclose(last[n, :4], alone[0, -1, :4], atol=1e-6)


def softmax(values: list[float]) -> list[float]:
    top = [math.exp(v - max(values)) for v in values]
    return [v / sum(top) for v in top]


def test_code_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    layer, c, h = CodeAttention(3), torch.randn(2, 3), torch.randn(2, 4, 3)
    length = [4, 2]
    with torch.no_grad():
        feature, weight = layer(c, h, mask_of(torch.tensor(length), 4))
    v = layer.mix.detach().numpy().astype(float)
    for n in range(2):
        a = [float(c[n].numpy() @ v @ h[n, i].numpy()) for i in range(length[n])]
        xi = softmax(a)
        assert weight[n, : length[n]].numpy() == pytest.approx(xi, abs=1e-5)
        assert not weight[n, length[n] :].any()
        slow = sum(xi[i] * h[n, i].numpy() for i in range(length[n]))
        assert feature[n].numpy() == pytest.approx(slow, abs=1e-5)


def test_pair_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    layer, h, length = PairAttention(3), torch.randn(2, 4, 3), [4, 3]
    with torch.no_grad():
        feature, weight = layer(h, mask_of(torch.tensor(length), 4))
        whole = layer(h[:1])
    assert torch.allclose(whole[0][0], feature[0], atol=1e-6)
    v = layer.mix.detach().numpy().astype(float)
    for n in range(2):
        rows = [
            softmax([float(h[n, i].numpy() @ v @ h[n, j].numpy()) for j in range(length[n])]) for i in range(length[n])
        ]
        xi = [sum(row[j] for row in rows) / length[n] for j in range(length[n])]
        assert weight[n, : length[n]].numpy() == pytest.approx(xi, abs=1e-5)
        slow = sum(xi[j] * h[n, j].numpy() for j in range(length[n]))
        assert feature[n].numpy() == pytest.approx(slow, abs=1e-5)


def test_comparisons_grow_with_the_clip_or_with_its_square() -> None:
    def operations(frames: int, pairs: bool) -> int:
        h = torch.randn(1, frames, 8)
        with FlopCounterMode(display=False) as counter:
            _ = PairAttention(8)(h) if pairs else CodeAttention(8)(h[:, 0], h)
        return counter.get_total_flops()

    one, two, four = (operations(n, False) for n in (32, 64, 128))
    assert four - two == 2 * (two - one)
    one, two, four = (operations(n, True) for n in (32, 64, 128))
    # a T^2 + b T: what is left of doubling T twice is quadratic
    assert four - 2 * two == 4 * (two - 2 * one) > 0


def test_pooling_over_time_against_loops() -> None:
    torch.manual_seed(0)
    x, length = torch.randn(3, 5, 4), [5, 1, 3]
    mask = mask_of(torch.tensor(length), 5)
    attention = AttentionPool(4, 6)
    with torch.no_grad():
        found = {"mean": pool_mean(x, mask), "max": pool_max(x, mask), "std": pool_std(x, mask)}
        attended = attention(x, mask)
    first, last = attention.score[0], attention.score[2]
    for n, end in enumerate(length):
        rows = x[n, :end].numpy().astype(float)
        assert found["mean"][n].numpy() == pytest.approx(rows.mean(0), abs=1e-5)
        assert found["max"][n].numpy() == pytest.approx(rows.max(0), abs=1e-5)
        assert found["std"][n].numpy() == pytest.approx(np.sqrt(rows.var(0) + 1e-5), abs=1e-4)
        w, b, v = first.weight.detach().numpy(), first.bias.detach().numpy(), last.weight.detach().numpy()[0]
        xi = softmax([float(v @ np.tanh(w @ row + b)) for row in rows])
        assert attended[n].numpy() == pytest.approx(sum(p * row for p, row in zip(xi, rows, strict=True)), abs=1e-5)


def test_frames_are_spread_evenly() -> None:
    clip = torch.arange(20.0).reshape(2, 10, 1)
    assert evenly(clip, None, 10) is clip
    assert evenly(clip, None, 4)[0, :, 0].tolist() == [0, 3, 6, 9]
    found = evenly(clip, torch.tensor([3, 10]), 5)[:, :, 0]
    assert found.tolist() == [[0, 0, 1, 2, 2], [10, 12, 14, 17, 19]]
    assert evenly(clip, torch.tensor([3, 10]), 1)[:, 0, 0].tolist() == [0, 10]


def test_mfem_against_a_loop() -> None:
    torch.manual_seed(0)
    layer, x = stirred(MFEM(8)).eval(), torch.randn(2, 8, 4, 3)
    with torch.no_grad():
        fast = layer(x).numpy()
        spatial = layer.spatial.conv
        kernel, bias = spatial.weight.numpy()[0], float(spatial.bias)
        gates = []
        for attention in layer.channel:
            w1, b1 = attention.mlp[0].weight.numpy()[:, :, 0, 0], attention.mlp[0].bias.numpy()
            w2, b2 = attention.mlp[2].weight.numpy()[:, :, 0, 0], attention.mlp[2].bias.numpy()
            gates.append((w1, b1, w2, b2))
    assert gates[0][0].shape == (4, 8)
    values = x.numpy().astype(float)
    for n, c, row, column in np.ndindex(*fast.shape):
        total = bias
        for k, pooled in enumerate((values[n].mean(0), values[n].max(0))):
            for i, j in np.ndindex(7, 7):
                r, s = row + i - 3, column + j - 3
                if 0 <= r < 4 and 0 <= s < 3:
                    total += kernel[k, i, j] * pooled[r, s]
        gate = 1 / (1 + math.exp(-total))
        for w1, b1, w2, b2 in gates:
            pools = values[n].mean((1, 2)), values[n].max((1, 2))
            out = sum((w2 @ np.maximum(0, w1 @ pooled + b1) + b2)[c] for pooled in pools)
            gate += 1 / (1 + math.exp(-out))
        assert fast[n, c, row, column] == pytest.approx(values[n, c, row, column] * (1 + gate / 3), abs=1e-5)


def test_interaction_against_a_loop_and_fusion_sees_all_levels() -> None:
    torch.manual_seed(0)
    layer = FeatureInteraction(3, 2)
    maps = [torch.randn(1, 2, 2, 2) for _ in range(3)]
    with torch.no_grad():
        fast = layer(maps)
    for level, c, row, column in np.ndindex(3, 2, 2, 2):
        others = [float(m[0, k, row, column]) for i, m in enumerate(maps) if i != level for k in range(2)]
        weight = layer.gates[level].weight.detach().numpy()[c, :, 0, 0]
        gate = 1 / (1 + math.exp(-(weight @ others + float(layer.gates[level].bias[c].detach()))))
        expected = float(maps[level][0, c, row, column]) * (1 + gate)
        assert float(fast[level][0, c, row, column]) == pytest.approx(expected, abs=1e-5)
    fuse = MFFM((3, 5), 4, 2)
    levels = [torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(2, 5, 2, 2, requires_grad=True)]
    fused = fuse(levels)
    assert fused.shape == (2, fuse.width) == (2, 16)
    fused.square().sum().backward()
    assert all(level.grad.abs().sum() > 0 for level in levels)


def test_inception_convolution_against_a_loop() -> None:
    torch.manual_seed(0)
    layer, x = InceptionDepthwise(8, kernel=11), torch.randn(1, 8, 7, 7)
    assert layer.split == [1, 1, 1, 5]
    with torch.no_grad():
        fast = layer(x)[0].numpy()
    assert (fast[3:] == x[0, 3:].numpy()).all()
    for channel, conv in enumerate((layer.square, layer.across, layer.down)):
        w, b = conv.weight.detach().numpy()[0, 0], float(conv.bias.detach())
        assert w.shape == ((3, 3), (1, 11), (11, 1))[channel]
        for row, column in np.ndindex(7, 7):
            total = b
            for i, j in np.ndindex(*w.shape):
                r, s = row + i - w.shape[0] // 2, column + j - w.shape[1] // 2
                if 0 <= r < 7 and 0 <= s < 7:
                    total += w[i, j] * float(x[0, channel, r, s])
            assert fast[channel, row, column] == pytest.approx(total, abs=1e-5)


def test_block_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    layer, x = BlockAttention(4, 3), torch.randn(2, 4, 3)
    with torch.no_grad():
        fast = layer(x).numpy()
    w1, b1 = layer.reduce.weight.detach().numpy(), layer.reduce.bias.detach().numpy()
    w2, b2 = layer.expand.weight.detach().numpy(), layer.expand.bias.detach().numpy()
    for n in range(2):
        side_by_side = np.concatenate([x[n, k].numpy() for k in range(4)])
        hidden = [max(0.0, float(row @ side_by_side + b)) for row, b in zip(w1, b1, strict=True)]
        for k in range(4):
            weight = 1 / (1 + math.exp(-float(w2[k] @ hidden + b2[k])))
            assert fast[n, k] == pytest.approx(weight * x[n, k].numpy(), abs=1e-5)


def test_an_inflated_filter_answers_a_still_clip_as_the_picture() -> None:
    torch.manual_seed(0)
    weight, picture = torch.randn(4, 3, 3, 3), torch.randn(2, 3, 8, 8)
    clip = picture[:, :, None].expand(-1, -1, 5, -1, -1)
    flat = functional.conv2d(picture, weight)
    assert torch.allclose(functional.conv3d(clip, inflate(weight, 5))[:, :, 0], flat, atol=1e-5)
