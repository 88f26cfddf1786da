"""Networks over clips and flow: padding, the family on tiny ones, pairs, export."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from mien.errors import RecipeError  # noqa: E402
from mien.layers.block_attention import cut_blocks  # noqa: E402
from mien.layers.irnn import Recurrent  # noqa: E402
from mien.losses import LOSSES  # noqa: E402
from mien.models import MODELS, Output  # noqa: E402
from mien.models.clips import FrameEncoder  # noqa: E402
from models_kit import count, export_gap, stirred, tiny  # noqa: E402

CLIPS = [
    "cnn-lstm-transformer",
    "cnn-rnn-last",
    "frame-aggregation",
    "frame-attention",
    "irnn-attention",
    "mfem-lstm",
    "ppdn",
    "resnet3d-18",
]
FLOWS = ["lkcnn", "ststnet"]
NETWORKS = [*CLIPS, *FLOWS]
ENCODED = ["cnn-lstm-transformer", "cnn-rnn-last", "frame-aggregation", "frame-attention", "irnn-attention"]
ORDERLY = ["cnn-lstm-transformer", "cnn-rnn-last", "frame-attention", "irnn-attention", "mfem-lstm", "resnet3d-18"]
SIDES = {"mfem-lstm": 64, "resnet3d-18": 32, "lkcnn": 28, "ststnet": 28}
T = 8


def inputs_of(name: str, n: int = 3, t: int = T, seed: int = 1) -> dict[str, Tensor]:
    """Smooth faces or flow that change from frame to frame."""
    generator, side = torch.Generator().manual_seed(seed), SIDES.get(name, 32)
    if name in FLOWS:
        return {"flow": torch.randn(n, 3, side, side, generator=generator)}
    coarse = torch.rand(n * t, 1, 8, 8, generator=generator)
    smooth = functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=False)
    return {"frames": smooth.reshape(n, t, 1, side, side)}


def test_lkcnn_weighs_blocks_by_their_own_place() -> None:
    network = stirred(tiny("lkcnn")).eval()
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        output = network(x)
        stream = network.streams[1]
        blocks = cut_blocks(network.norm(x)[:, 1:2], 8)
        alone = torch.stack([stream.layers(blocks[:, k]).amax((2, 3)) for k in range(4)], 1)
        weight = stream.attention.weights(alone)
    assert output.embedding.shape == (1, 3 * 4 * 8)
    assert torch.allclose(output.embedding.reshape(1, 3, 4, 8)[:, 1], alone * weight[:, :, None], atol=1e-5)
    assert torch.allclose(output.aux["attention"][:, 1], weight, atol=1e-6)


def test_resnet3d_takes_the_weights_of_its_flat_twin() -> None:
    flat, deep = stirred(tiny("resnet3d-18", flat=True)).eval(), tiny("resnet3d-18", stem=1).eval()
    deep.inflate(flat.state_dict())
    with torch.no_grad():
        picture = inputs_of("resnet3d-18", 2, 1)["frames"]
        still = deep.stem(picture.expand(-1, 4, -1, -1, -1).transpose(1, 2))
        assert torch.allclose(still[:, :, 2], flat.stem(picture.transpose(1, 2))[:, :, 0], atol=1e-5)
        first, second = flat.stages[0][0].first[0].weight, deep.stages[0][0].first[0].weight
        assert torch.allclose(second.sum(2), first[:, :, 0], atol=1e-6)
    with pytest.raises(RecipeError, match="lack"):
        deep.inflate({})
    with pytest.raises(RecipeError, match="inflates to"):
        deep.inflate({**flat.state_dict(), "stem.0.weight": torch.zeros(4, 1, 3, 3)})


# --- the family ---


def test_each_says_what_it_reads() -> None:
    for name in NETWORKS:
        assert MODELS.facts(name)["modality"] == ("flow" if name in FLOWS else "frames")
        assert MODELS.facts(name)["paper"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("classes", [3, 7])
def test_shapes_and_a_gradient_for_every_parameter(name: str, classes: int) -> None:
    given = inputs_of(name, 4)
    if name in CLIPS:
        given["length"] = torch.tensor([T, 5, 3, T])
    waiting: set[str] | None = None
    for seed in range(6):  # the few ReLUs of a tiny net may all be shut under one draw
        network = stirred(tiny(name, classes, seed=seed))
        if name in ("irnn-attention", "cnn-rnn-last", "frame-attention"):
            given["angles"] = torch.randn(4, T, 1, 68, 68)
        output = network(given)
        assert output.logits.shape == (4, classes)
        assert output.embedding.shape == (4, network.head.in_features)
        value = functional.cross_entropy(output.logits, torch.arange(4) % classes)
        value.backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
        none = {key for key, p in network.named_parameters() if float(p.grad.abs().max()) == 0}
        waiting = none if waiting is None else waiting & none
        if not waiting:
            break
    assert not waiting


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_agrees_with_single_ones(name: str) -> None:
    network, given = stirred(tiny(name)).eval(), inputs_of(name)
    bare = next(iter(given.values()))
    with torch.no_grad():
        together, alone = network(bare).logits, network({key: value[1:2] for key, value in given.items()}).logits
    assert torch.allclose(together[1], alone[0], atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=2e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_declared_parameters(name: str) -> None:
    with torch.device("meta"):
        network = MODELS.create(name)
    facts = MODELS.facts(name)
    assert network.head.out_features == facts.get("classes", 8)
    assert sum(p.numel() for p in network.parameters()) == facts["parameters"]


def test_resnet3d_has_the_count_of_others() -> None:
    # R3D-18, Kinetics-400, as spread with torchvision
    assert count("resnet3d-18", classes=400, channels=3, stem=3) == 33_371_472


@pytest.mark.parametrize("name", CLIPS)
def test_padding_changes_nothing(name: str) -> None:
    given = inputs_of(name, 3)
    length = torch.tensor([T, 2, 5])
    spoilt = given["frames"].clone()
    for n, end in enumerate(length.tolist()):
        spoilt[n, end:] = 1e4
    network = stirred(tiny(name)).eval()
    with torch.no_grad():
        clean = network({**given, "length": length}).logits
        assert torch.equal(clean, network({"frames": spoilt, "length": length}).logits)
        short = network({"frames": given["frames"][1:2, :2]}).logits
        assert torch.allclose(clean[1], short[0], atol=1e-5)
        whole = network({"frames": given["frames"][:1]}).logits
        assert torch.allclose(clean[0], whole[0], atol=1e-5)
        assert not torch.allclose(clean[2], network(given).logits[2], atol=1e-4)  # the length is read


@pytest.mark.parametrize("name", [name for name in CLIPS if name != "ppdn"])
def test_padding_stays_out_of_training_too(name: str) -> None:
    given, length = inputs_of(name, 3), torch.tensor([T, 2, 5])
    spoilt = given["frames"].clone()
    for n, end in enumerate(length.tolist()):
        spoilt[n, end:] = -7.0
    grads = []
    for frames in (given["frames"], spoilt):
        network = stirred(tiny(name, dropout=0.0))
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        network({"frames": frames, "length": length}).logits.square().sum().backward()
        grads.append(network)
    for one, two in zip(grads[0].named_buffers(), grads[1].buffers(), strict=True):
        assert torch.equal(one[1], two), one[0]  # the statistics of batch norm
    for (key, one), two in zip(grads[0].named_parameters(), grads[1].parameters(), strict=True):
        same = (one.grad is None and two.grad is None) or torch.equal(one.grad, two.grad)
        assert same, key


@pytest.mark.parametrize("name", CLIPS)
def test_lengths_are_checked(name: str) -> None:
    for wrong in ([0, 2], [3, T + 1]):
        with pytest.raises(RecipeError, match=f"must lie in 1 to {T}"):
            tiny(name)({**inputs_of(name, 2), "length": torch.tensor(wrong)})


@pytest.mark.parametrize("name", [*ORDERLY, "frame-aggregation"])
def test_only_what_reads_order_sees_it(name: str) -> None:
    network, given = stirred(tiny(name)).eval(), inputs_of(name)
    shuffled = given["frames"][:, torch.randperm(T, generator=torch.Generator().manual_seed(3))]
    with torch.no_grad():
        one, two = network(given).logits, network({"frames": shuffled}).logits
    assert torch.allclose(one, two, atol=1e-5) == (name not in ORDERLY)


@pytest.mark.parametrize("name", ENCODED)
def test_cached_embeddings_give_the_same(name: str) -> None:
    network, given, length = stirred(tiny(name)).eval(), inputs_of(name), torch.tensor([T, 3, 5])
    with torch.no_grad():
        x, mask = network.encoder({**given, "length": length})
        assert torch.equal(mask.sum(1), length)
        cached = tiny(name, encoder=None, dim=network.encoder.dim).eval()
        own = {key: value for key, value in network.state_dict().items() if not key.startswith("encoder.")}
        cached.load_state_dict(own)
        whole = network({**given, "length": length}).logits
        for reader in (network, cached):
            assert torch.allclose(reader({"embeddings": x + 9 * ~mask[:, :, None], "length": length}).logits, whole)
    with pytest.raises(RecipeError, match="reads embeddings"):
        cached(given)
    with pytest.raises(RecipeError, match="set dim = 5"):
        cached(torch.zeros(2, 3, 5))


def test_the_encoder_takes_the_weights_of_a_still_network_and_may_be_frozen() -> None:
    torch.manual_seed(1)
    still = stirred(MODELS.create("mini-s", classes=5, widths=(4, 6), depths=(1, 1))).eval()
    network = tiny("frame-aggregation", frozen=True)
    network.encoder.take(still.state_dict())
    faces = inputs_of("frame-aggregation", 2)["frames"]
    network.train()
    output = network(faces)
    with torch.no_grad():
        expected = torch.stack([still(clip).embedding.mean(0) for clip in faces])
    assert torch.allclose(output.embedding, expected, atol=1e-5)
    output.logits.sum().backward()
    assert all(p.grad is None for p in network.encoder.parameters())
    assert network.head.weight.grad is not None
    with pytest.raises(RecipeError, match="not the encoder's"):
        network.encoder.take({})
    with pytest.raises(RecipeError, match="no linear head"):
        FrameEncoder("ensemble", {"tiny": True})
    with pytest.raises(RecipeError, match="takes no weights"):
        FrameEncoder(None).take({})


def test_angle_maps_reach_the_encoder_of_each_frame() -> None:
    network, given = stirred(tiny("irnn-attention")).eval(), inputs_of("irnn-attention", 2)
    angles = 0.1 * torch.randn(2, T, 1, 68, 68, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with_angles = network.encoder({**given, "angles": angles})[0]
        still = network.encoder.network({"face": given["frames"][1, 2:3], "angles": angles[1, 2:3]}).embedding
        assert torch.allclose(with_angles[1, 2], still[0], atol=1e-5)
        assert not torch.allclose(with_angles, network.encoder(given)[0], atol=1e-4)


@pytest.mark.parametrize("pools", [("mean",), ("max",), ("std",), ("attention",), ("mean", "std", "max", "attention")])
def test_aggregation_of_features(pools: tuple[str, ...]) -> None:
    network = stirred(tiny("frame-aggregation", pools=pools)).eval()
    x = torch.randn(2, 5, network.encoder.dim)
    with torch.no_grad():
        output = network(x)
        known = {"mean": x.mean(1), "max": x.amax(1), "std": (x.var(1, unbiased=False) + 1e-5).sqrt()}
        if network.attention is not None:
            known["attention"] = network.attention(x)
        expected = torch.cat([known[pool] for pool in pools], 1)
    assert torch.allclose(output.embedding, expected, atol=1e-5)
    assert torch.allclose(output.logits, network.head(expected), atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "max", "attention"])
def test_aggregation_of_scores(pool: str) -> None:
    network = stirred(tiny("frame-aggregation", pools=(pool,), level="scores")).eval()
    x = torch.randn(2, 5, network.encoder.dim)
    with torch.no_grad():
        scores = torch.softmax(network.head(x), 2)
        if pool == "attention":
            expected = (scores * network.attention.weights(x)[:, :, None]).sum(1)
        else:
            expected = scores.mean(1) if pool == "mean" else scores.amax(1)
        found = network(x).logits
    assert torch.allclose(found.exp(), expected, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_sixteen_bits(name: str) -> None:
    network, given = tiny(name), inputs_of(name)
    if name in CLIPS:
        given["length"] = torch.tensor([T, 2, 5])
    with torch.autocast("cpu", torch.bfloat16):
        output = network(given)
    output.logits.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = network(given).logits.float()
    with torch.no_grad():
        assert (rough - network(given).logits).abs().max() < 0.15


# --- peak-piloted pairs ---


def test_ppdn_draws_weaker_frames_of_the_same_clip_and_reads_single_faces() -> None:
    network = tiny("ppdn", first=0.5)
    frames = torch.arange(10.0)[None, :, None, None, None] + 100 * torch.arange(3.0)[:, None, None, None, None]
    given = {"frames": frames, "length": torch.tensor([10, 7, 1])}
    seen: set[float] = set()
    for _ in range(60):
        peak, other = network.pair(given)
        assert peak[:, 0, 0, 0].tolist() == [9, 106, 200]
        seen |= set(other[:, 0, 0, 0].tolist())
    assert seen == {5, 6, 7, 8, 103, 104, 105, 200}
    peak, other = network.pair({**given, "peak": torch.tensor([4, 2, 0]), "nonpeak": torch.tensor([1, 0, 0])})
    assert peak[:, 0, 0, 0].tolist() == [4, 102, 200]
    assert other[:, 0, 0, 0].tolist() == [1, 100, 200]
    network = stirred(network).eval()
    clip = inputs_of("ppdn", 2)["frames"]
    with torch.no_grad():
        output = network(clip)
        assert not output.aux
        face = network({"face": clip[:, -1]})
        assert torch.allclose(output.logits, face.logits, atol=1e-6)
        pair = network({"frames": clip, "nonpeak": torch.tensor([3, 3])})
        assert torch.allclose(pair.aux["nonpeak_logits"], network(clip[:, 3]).logits, atol=1e-5)
        assert torch.allclose(pair.logits, face.logits, atol=1e-5)
    assert pair.aux["peak"].shape == pair.aux["nonpeak"].shape == (2, 18)


def softmax(values: list[float]) -> list[float]:
    top = [math.exp(v - max(values)) for v in values]
    return [v / sum(top) for v in top]


def pairs() -> Output:
    torch.manual_seed(0)
    peak, other = (torch.randn(3, 5, dtype=torch.double, requires_grad=True) for _ in range(2))
    logits = torch.randn(3, 4, dtype=torch.double, requires_grad=True)
    return Output(torch.zeros(3, 4), torch.zeros(3, 5), {"peak": peak, "nonpeak": other, "nonpeak_logits": logits})


def test_peak_piloted_loss_against_a_loop() -> None:
    output, labels = pairs(), [2, 0, 3]
    peak, other, z = (output.aux[key].detach().numpy() for key in ("peak", "nonpeak", "nonpeak_logits"))
    slow = 0.0
    for n in range(3):
        slow += 0.3 * sum((peak[n, d] - other[n, d]) ** 2 for d in range(5)) / 3
        slow -= math.log(softmax(z[n].tolist())[labels[n]]) / 3
    for suppress in (True, False):
        loss = LOSSES.create("peak-piloted", weight=0.3, suppress=suppress)
        assert float(loss(output, torch.tensor(labels)).detach()) == pytest.approx(slow)


def test_the_peaks_gradient_is_suppressed() -> None:
    for suppress in (True, False):
        output = pairs()
        LOSSES.create("peak-piloted", suppress=suppress)(output, torch.tensor([2, 0, 3])).backward()
        peak, other = output.aux["peak"], output.aux["nonpeak"]
        expected = 2 / 3 * (other - peak).detach()
        assert torch.allclose(other.grad, expected)
        assert (peak.grad is None) == suppress
        assert suppress or torch.allclose(peak.grad, -expected)
    loss = LOSSES.create("peak-piloted")

    def call(other: Tensor, logits: Tensor) -> Tensor:
        aux = {**pairs().aux, "nonpeak": other, "nonpeak_logits": logits}
        value: Tensor = loss(Output(logits, logits, aux), torch.tensor([2, 0, 3]))
        return value

    assert torch.autograd.gradcheck(call, (pairs().aux["nonpeak"], pairs().aux["nonpeak_logits"]))


def gap_after(weight: float, steps: int = 30) -> tuple[float, float]:
    """Squared distance between the responses to peak and weak frames before and after a few steps."""
    network, clip, labels = stirred(tiny("ppdn", dropout=0.0)), inputs_of("ppdn", 6)["frames"], torch.arange(6) % 3
    loss, optimiser = LOSSES.create("peak-piloted", weight=weight), torch.optim.Adam(network.parameters(), 3e-3)
    gaps = []
    for _ in range(steps):
        output = network({"frames": clip, "nonpeak": torch.full((6,), 4)})
        gaps.append(float((output.aux["peak"] - output.aux["nonpeak"]).detach().square().sum(1).mean()))
        optimiser.zero_grad()
        (functional.cross_entropy(output.logits, labels) + loss(output, labels)).backward()
        optimiser.step()
    return gaps[0], gaps[-1]


def test_the_weak_frame_follows_where_it_is_led() -> None:
    start, led = gap_after(10.0)
    assert led < 0.3 * start < gap_after(0.0)[1]


def test_the_loss_says_what_it_lacks() -> None:
    network = tiny("ppdn").eval()
    with pytest.raises(RecipeError, match="'peak'"):
        LOSSES.create("peak-piloted")(network(inputs_of("ppdn", 2)["frames"]), torch.zeros(2).long())


# --- files and errors ---


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_saved_and_loaded_give_the_same(name: str) -> None:
    network, buffer, given = stirred(tiny(name)).eval(), io.BytesIO(), inputs_of(name)
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    other = tiny(name, seed=9).eval()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    with torch.no_grad():
        assert torch.equal(network(given).logits, other(given).logits)


@pytest.mark.parametrize("name", NETWORKS)
def test_export_agrees(name: str) -> None:
    modality = MODELS.facts(name)["modality"]
    example, x = inputs_of(name, 2)[modality], inputs_of(name, 3, seed=4)[modality]
    assert export_gap(stirred(tiny(name)), example, x, modality) < 1e-4


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tiny("irnn-attention")({"face": torch.zeros(1, 1, 32, 32)}), "reads frames.*the input holds face"),
        (lambda: tiny("resnet3d-18")(torch.zeros(1, 1, 32, 32)), r"N, T, C, H, W\], not a tensor of shape"),
        (lambda: tiny("lkcnn")({"frames": torch.zeros(1)}), "reads flow"),
        (lambda: tiny("ststnet")(torch.zeros(1, 2, 28, 28)), "of u, v and strain"),
        (lambda: tiny("lkcnn", block=5), "must divide the size"),
        (lambda: tiny("lkcnn", block=2, units=4), "at least 4 px"),
        (lambda: tiny("ppdn", first=1.0), r"must lie in \[0, 1\)"),
        (lambda: tiny("frame-aggregation", pools=("median",)), "median.*mean, max, std, attention"),
        (lambda: tiny("frame-aggregation", level="votes"), "features, scores"),
        (lambda: tiny("frame-aggregation", level="scores", pools=("std",)), "takes one pool"),
        (lambda: tiny("cnn-rnn-last", cell="elman"), "irnn, lstm, gru"),
        (lambda: Recurrent("irnn", 2, 2, True), "forwards only"),
        (lambda: tiny("cnn-lstm-transformer", heads=3), "choose another number of heads"),
        (lambda: LOSSES.create("peak-piloted", weight=-1.0), "weight"),
    ],
)
def test_errors_name_the_value_and_the_cure(call: Callable[[], object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        call()
