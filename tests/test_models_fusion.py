"""Networks over several modalities: shapes, gradients, counts, missing modalities; M3ER's check, proxies and loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from mien.datasets.streams import Streams  # noqa: E402
from mien.errors import RecipeError  # noqa: E402
from mien.fusions.cca import cca  # noqa: E402
from mien.layers.complementation import GatedComplement  # noqa: E402
from mien.layers.sequence_encoder import SequenceEncoder  # noqa: E402
from mien.losses.base import build  # noqa: E402
from mien.models import MODELS, Output  # noqa: E402
from mien.models.joint_fusion import MOSI_SHAPES  # noqa: E402
from mien.models.muse_fusion import aligned  # noqa: E402
from mien.train.recipe import load_recipe, recipes  # noqa: E402
from mien.train.stages import STAGES, Setting  # noqa: E402

NAMES = ("audio", "video", "text")
SHAPES = {"audio": (5, 6), "video": (3, 4), "text": (2, 8)}
CASES = [
    ("joint-fusion", {}),
    ("m3er", {}),
    ("bbfn", {}),
    ("muse-fusion", {"fusion": "early"}),
    ("muse-fusion", {"fusion": "late"}),
    ("muse-fusion", {"fusion": "attention"}),
]


def network(name: str, seed: int = 0, **arguments: Any) -> nn.Module:
    torch.manual_seed(seed)
    return MODELS.create(name, **{"classes": 3, "shapes": SHAPES, "tiny": True, **arguments}).eval()


def given(rows: int = 4, seed: int = 0, whole: bool = False) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = {}
    for name, (steps, dim) in SHAPES.items():
        length = torch.randint(1, steps + 1, (rows,), generator=generator)
        length[0] = steps
        there = torch.arange(steps) < (torch.full_like(length, steps) if whole else length)[:, None]
        inputs[name] = torch.randn(rows, steps, dim, generator=generator) * there[:, :, None]
        inputs[f"{name}_mask"] = there
    return inputs


def take(inputs: dict[str, Tensor], rows: Any) -> dict[str, Tensor]:
    return {name: x[rows] for name, x in inputs.items()}


@pytest.mark.parametrize(("name", "arguments"), CASES)
@pytest.mark.parametrize("classes", [2, 7])
def test_shapes_gradients_and_rows_alone(name: str, arguments: dict[str, Any], classes: int) -> None:
    made, inputs = network(name, classes=classes, **arguments), given()
    output: Output = made(inputs)
    assert output.logits.shape == (4, classes)
    assert output.embedding.shape[0] == 4
    assert torch.allclose(made(take(inputs, [2])).logits, output.logits[[2]], atol=1e-5)
    output.logits.square().sum().backward()
    if "separator" in output.aux:
        made(inputs).aux["separator"].sum().backward()
    assert not [key for key, p in made.named_parameters() if p.grad is None or not p.grad.abs().sum()]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_padding_says_nothing_and_masks_are_optional(name: str, arguments: dict[str, Any]) -> None:
    made, inputs = network(name, **arguments), given()
    noisy = dict(inputs)
    for modality in SHAPES:
        noisy[modality] = inputs[modality] + 9 * (~inputs[f"{modality}_mask"])[:, :, None]
    with torch.no_grad():
        assert torch.allclose(made(inputs).logits, made(noisy).logits, atol=1e-5)
        whole = given(whole=True)
        bare = {key: x for key, x in whole.items() if not key.endswith("_mask")}
        assert torch.equal(made(whole).logits, made(bare).logits)
        with pytest.raises(RecipeError, match="reads audio; the input holds video"):
            made({"video": whole["video"]})


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_a_missing_modality_is_borne(name: str, arguments: dict[str, Any]) -> None:
    made, inputs = network(name, **arguments), given()
    with torch.no_grad():
        whole = made(inputs).logits
        for gone in (("text",), ("audio", "text"), NAMES):
            part = {key: torch.zeros_like(x) if key.split("_")[0] in gone else x for key, x in inputs.items()}
            said = made(part).logits
            assert torch.isfinite(said).all(), gone
            assert not torch.allclose(said, whole), gone
    part = {key: torch.zeros_like(x) if key.startswith("text") else x for key, x in inputs.items()}
    made.train()(part).logits.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", ["joint-fusion", "m3er", "bbfn", "muse-fusion"])
def test_declared_parameters_are_true(name: str) -> None:
    made = MODELS.create(name)
    facts = MODELS.facts(name)
    assert sum(p.numel() for p in made.parameters()) == facts["parameters"]
    assert facts["modality"] == "streams"
    assert "Paper:" in (type(made).__doc__ or "")
    assert "Differs:" in (type(made).__doc__ or "")
    with pytest.raises(RecipeError, match=r"\[T, D\]"):
        MODELS.create(name, shapes={"text": (1, 3), "face": (1, 8, 8)})


@pytest.mark.parametrize("name", [n for n in recipes() if n.startswith("mosi-") and not load_recipe(n).joins])
def test_recipes_fit_their_networks(name: str) -> None:
    recipe = load_recipe(name)
    shapes = {name: MOSI_SHAPES[name] for name in recipe.modalities}
    torch.manual_seed(0)
    made = MODELS.create(recipe.model, classes=2, shapes=shapes, **recipe.arguments)
    output = made({m: torch.randn(4, *s) for m, s in shapes.items()})
    for term in recipe.loss:
        assert torch.isfinite(build(term.name, output, **term.arguments)(output, torch.eye(2)[[0, 1, 1, 0]]))


def test_encoder_leaves_gaps_out() -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(4, 6, steps=5).eval()
    x = torch.randn(1, 3, 4)
    gaps = torch.zeros(1, 5, 4)
    there = torch.tensor([[True, False, True, False, True]])
    gaps[0, there[0]] = x[0]
    with torch.no_grad():
        alone = encoder.lstm(encoder.step(x))[0].mean(1)
        assert torch.allclose(encoder(gaps, there), alone, atol=1e-6)
        assert not encoder(gaps, torch.zeros_like(there)).any()


def test_alignment_against_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, 2, generator=generator)
    there = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    spread, some = aligned(x, there, 7)
    for row in range(3):
        known = x[row][there[row]]
        for step in range(7):
            expected = known[step * len(known) // 7] if len(known) else torch.zeros(2)
            assert torch.equal(spread[row, step], expected)
        assert some[row].all() == bool(len(known))


def test_gates_let_through_what_they_should() -> None:
    torch.manual_seed(0)
    layer = GatedComplement(8, heads=2, drop=0.0).eval()
    x, other, there = torch.randn(2, 3, 8), torch.randn(2, 4, 8), torch.ones(2, 4, dtype=torch.bool)
    with torch.no_grad():
        for gate in (layer.compound, layer.retain):
            gate.weight.zero_()
        layer.compound.bias.fill_(-30)
        layer.retain.bias.fill_(30)
        kept = x + layer.forward_layer(x)
        assert torch.allclose(layer(x, other, there, torch.zeros(2, 16)), kept, atol=1e-5)
        layer.compound.bias.fill_(30)
        layer.retain.bias.fill_(-30)
        read = layer.other_norm(other)
        added = layer.attention(layer.norm(x), read, read)[0]
        taken = added + layer.forward_layer(added)
        assert torch.allclose(layer(x, other, there, torch.zeros(2, 16)), taken, atol=1e-5)
        nothing = layer(x, other, torch.zeros_like(there), torch.zeros(2, 16))
        zero = torch.zeros_like(x)
        assert torch.allclose(nothing, zero + layer.forward_layer(zero), atol=1e-5)


def test_attention_weighs_what_is_there() -> None:
    made, inputs = network("muse-fusion", fusion="attention"), given()
    inputs["text_mask"][1] = False
    weights = made(inputs).aux["attention"]
    assert torch.allclose(weights.sum(1), torch.ones(4))
    assert weights[1, 2] == 0
    assert (weights[0] > 0).all()


def test_canonical_correlations_are_those_of_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    random = np.random.default_rng(0)
    shared = random.normal(0, 1, (400, 2))
    x = shared @ random.normal(0, 1, (2, 5)) + random.normal(0, 1, (400, 5))
    y = shared @ random.normal(0, 1, (2, 4)) + random.normal(0, 1, (400, 4))
    a, b, correlations = cca(x, y, 3, ridge=0.0)
    theirs = decomposition.CCA(n_components=3, max_iter=5000, tol=1e-12).fit(x, y).transform(x, y)
    for place in range(3):
        first, second = (x - x.mean(0)) @ a[:, place], (y - y.mean(0)) @ b[:, place]
        assert np.corrcoef(first, second)[0, 1] == pytest.approx(correlations[place], abs=1e-8)
        assert np.corrcoef(*(t[:, place] for t in theirs))[0, 1] == pytest.approx(correlations[place], abs=1e-3)
        assert first.std() == pytest.approx(1, abs=1e-6)


def world(rows: int = 600, seed: int = 0, bad: str = "") -> Streams:
    """Three views of one hidden state; a modality called bad shows another state's."""
    random, maps = np.random.default_rng(seed), np.random.default_rng(99)
    state = random.normal(0, 1, (rows, 6))
    items, masks = {}, {}
    for name in NAMES:
        view = maps.normal(0, 1, (6, 10))
        seen = random.normal(0, 1, (rows, 6)) if name == bad else state
        items[name] = (seen @ view + 0.3 * random.normal(0, 1, (rows, 10)))[:, None].astype(np.float32)
        masks[name] = np.ones((rows, 1), bool)
    return Streams(items, masks)


def checked() -> tuple[nn.Module, dict[str, Any]]:
    """M3ER after its stage."""
    streams = world()
    torch.manual_seed(0)
    made = MODELS.create("m3er", classes=2, shapes=dict.fromkeys(NAMES, (1, 10)), components=6, tiny=True).eval()
    rows = torch.zeros(len(streams), dtype=torch.long)
    setting = Setting(
        model=made,
        pixels=torch.zeros(len(streams), 0),
        classes=rows,
        labels=("a", "b"),
        people=rows,
        runs=None,  # type: ignore[arg-type]
        device=torch.device("cpu"),
        generator=torch.Generator(),
        streams=streams,
    )
    return made, STAGES.create("check-modalities", ridge=0.01)(setting)


def test_a_modality_that_agrees_with_none_is_found() -> None:
    made, figures = checked()
    assert all(value > 0.9 for value in figures["correlation"].values())
    assert all(value > 0.97 for value in figures["effective"].values())
    for place, bad in enumerate(NAMES):
        streams = world(seed=1, bad=bad)
        inputs = {name: torch.from_numpy(array) for name, array in streams.items.items()}
        with torch.no_grad():
            good = made(inputs).aux["checked"].mean(0)
        # two unrelated states agree by chance in some rows, with one modality or the other
        assert good[place] < 0.7
        assert (np.delete(good.numpy(), place) > 0.97).all()


def test_proxies_are_close_to_what_is_missing() -> None:
    made, _ = checked()
    streams = world(seed=2)
    means = {name: torch.from_numpy(array[:, 0]) for name, array in streams.items.items()}
    there = torch.tensor([[True, True, False]]).expand(600, 3)
    proxy, known = made.proxy("text", means, there)
    assert known.all()
    left = ((proxy - means["text"]) ** 2).mean() / means["text"].var(0).mean()
    assert left < 0.1
    assert not made.proxy("text", means, torch.zeros(600, 3, dtype=torch.bool))[1].any()
    # in the network a missing modality answers by its proxy, and as if the proxy had been there
    inputs = {name: torch.from_numpy(array.copy()) for name, array in streams.items.items()}
    shown = {**inputs, "text": proxy[:, None]}
    gone = {**inputs, "text": inputs["text"] * 0, "text_mask": torch.zeros(600, 1, dtype=torch.bool)}
    made.check = False
    with torch.no_grad():
        assert torch.allclose(made(gone).logits, made(shown).logits, atol=1e-4)
        assert made(gone).aux["effective"].all()
        assert not made(gone).aux["checked"][:, 2].any()


def test_the_stage_is_for_m3er_alone() -> None:
    rows = torch.zeros(2, dtype=torch.long)
    cpu, generator = torch.device("cpu"), torch.Generator()
    setting = Setting(network("bbfn"), rows, rows, ("a",), rows, None, cpu, generator)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="is made for m3er, not for BBFN"):
        STAGES.create("check-modalities")(setting)


def test_fused_answer_is_the_confident_modalities() -> None:
    made, inputs = network("m3er", classes=2), given()
    with torch.no_grad():
        output = made(inputs)
    logs = torch.log_softmax(output.aux["by_modality"], 2)
    for row in range(4):
        total = torch.zeros(2)
        for m in range(3):
            sure = max(float(p) for p in logs[row, m].exp())
            total += sure ** (2.0 / 2) * logs[row, m]
        assert torch.allclose(total, output.logits[row], atol=1e-5)


@pytest.mark.parametrize("kind", ["boost", "suppress"])
def test_multiplicative_loss_against_a_loop(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, truth = torch.randn(5, 3, 4, generator=generator, dtype=torch.float64), [0, 3, 1, 1, 2]
    there = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 1], [1, 1, 0]]).double()
    output = Output(logits[:, 0], logits[:, 0], {"by_modality": logits, "effective": there})
    loss = build("multiplicative", output, kind=kind, beta=1.5)(output, torch.eye(4)[truth])
    total = 0.0
    for n in range(5):
        p = [float(torch.softmax(logits[n, m], 0)[truth[n]]) for m in range(3)]
        for m in range(3):
            if there[n, m]:
                weight = p[m] ** 0.75
                if kind == "suppress":
                    weight = float(np.prod([(1 - p[j]) ** 0.75 for j in range(3) if j != m and there[n, j]]))
                total -= weight * np.log(p[m]) / 5
    assert float(loss) == pytest.approx(total, rel=1e-6)


def test_boost_never_pushes_a_wrong_modality_further_away() -> None:
    logits = torch.tensor([[[-4.0, 4.0], [1.0, -1.0]]], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1.0, 0.0]])
    slopes = {}
    for through in (False, True):
        output = Output(logits[:, 0], logits[:, 0], {"by_modality": logits})
        value = build("multiplicative", output, through=through)(output, targets)
        slopes[through] = torch.autograd.grad(value, logits)[0][0, 0, 0]
    assert slopes[False] < 0 < slopes[True]  # as printed, the loss falls when the true class's logit falls further


def test_separation_against_a_loop() -> None:
    logits = torch.tensor([[[0.3, -1.0], [2.0, 0.5]]], dtype=torch.float64)
    output = Output(logits[:, 0], logits[:, 0], {"separator": logits})
    sigmoid = 1 / (1 + np.exp(-logits.numpy()[0]))
    slow = np.mean([-np.log(1 - pair[0]) for pair in sigmoid] + [-np.log(pair[1]) for pair in sigmoid])
    assert float(build("separation", output)(output, torch.eye(2)[[0]])) == pytest.approx(slow, rel=1e-9)
