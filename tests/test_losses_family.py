"""All losses: gradients against finite differences, edge cases, building, errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from losses_kit import COUNTS, LABELS, READY, D, K, N, batch, make  # noqa: E402
from mien.errors import RecipeError, UnknownName  # noqa: E402
from mien.losses import LOSSES  # noqa: E402
from mien.losses.base import build, labels_of, logits_of, read  # noqa: E402
from mien.models import Output  # noqa: E402

# --- gradients ---

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "focal": [{"gamma": 0.0}, {"gamma": 2.0}],
    "improved-island": [{"tau": 4.0}],
    "partition": [{"pooled": True}, {"pooled": False}],
    "l-softmax": [{"start": 0.0}, {}],
    "a-softmax": [{"start": 0.0, "floor": 0.0}],
    "triplet": [{"mining": "hard"}, {"mining": "all"}, {"soft": True, "squared": True}],
    # by default its weights are constants, which differences cannot know
    "multiplicative": [{"through": True}, {"kind": "suppress", "through": True}, {"beta": 0.0}],
    "deepid2": [{"distance": kind} for kind in ("l2", "l1", "cosine")],
}
CASES = [(name, options) for name in READY if name != "soft-cross-entropy" for options in OPTIONS.get(name, [{}])]


def parts_of(output: Output) -> dict[str, Tensor]:
    return {"logits": output.logits, "embedding": output.embedding, **output.aux}


def call(loss: nn.Module, name: str, targets: Tensor) -> Callable[..., Tensor]:
    """The loss as a function of the tensors that it reads, in the order of its needs."""
    reads = [need for need in LOSSES.facts(name)["needs"] if need in parts_of(batch()[0])]

    def of(*tensors: Tensor) -> Tensor:
        given = dict(zip(reads, tensors, strict=True))
        blank = torch.zeros(len(targets), 1, dtype=targets.dtype)
        aux = {key: value for key, value in given.items() if key not in ("logits", "embedding")}
        value: Tensor = loss(Output(given.get("logits", blank), given.get("embedding", blank), aux), targets)
        return value

    return of


@pytest.mark.parametrize(("name", "options"), CASES)
def test_gradients_against_finite_differences(name: str, options: dict[str, Any]) -> None:
    output, targets = batch(seed=5)
    loss = make(name, **options).eval()
    reads = [parts_of(output)[need] for need in LOSSES.facts(name)["needs"] if need in parts_of(output)]
    assert reads, "every loss reads something"
    assert torch.autograd.gradcheck(call(loss, name, targets), tuple(reads))
    for parameter in loss.parameters():
        value, inputs = call(loss, name, targets), tuple(t.detach() for t in reads)
        slope = torch.autograd.grad(value(*inputs), parameter)[0].reshape(-1)
        flat = parameter.data.view(-1)
        for i in range(0, len(flat), 3):
            keep, step = float(flat[i]), 1e-6
            flat[i] = keep + step
            above = float(value(*inputs).detach())
            flat[i] = keep - step
            below = float(value(*inputs).detach())
            flat[i] = keep
            assert float(slope[i]) == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-7)


# --- the family ---


@pytest.mark.parametrize("name", READY)
def test_every_loss_is_a_finite_scalar_with_a_way_back(name: str) -> None:
    facts = LOSSES.facts(name)
    assert facts["paper"]
    for dtype in (torch.float32, torch.bfloat16):
        output, targets = batch(dtype=dtype)
        loss = make(name).float()
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(output, targets.float())
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        value.backward()
        for need in facts["needs"]:
            if need in parts_of(output):
                slope = parts_of(output)[need].grad
                assert slope is not None, need
                assert torch.isfinite(slope).all()
                assert slope.abs().sum() > 0, need
        for key, parameter in loss.named_parameters():
            assert parameter.grad is not None, key


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("labels", [[1], [1, 1, 1], [0, 1]])
def test_every_loss_bears_small_and_uniform_batches(name: str, labels: list[int]) -> None:
    output, targets = batch(labels=labels)
    value = make(name)(output, targets)
    value.backward()
    assert torch.isfinite(value)
    for tensor in parts_of(output).values():
        assert tensor.grad is None or torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize("name", READY)
def test_state_survives_a_round_trip(name: str) -> None:
    output, targets = batch()
    first = make(name)
    first(output, targets)
    second = build(name, output, counts=COUNTS).double()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(first.eval()(output, targets), second.eval()(output, targets))


@pytest.mark.parametrize("name", [n for n in READY if LOSSES.facts(n).get("targets") != "dimensions"])
def test_class_numbers_do_where_targets_are_one_hot(name: str) -> None:
    if name == "soft-cross-entropy":
        pytest.skip("takes distributions")
    output, _ = batch()
    loss, labels = make(name).eval(), torch.tensor(LABELS)
    one_hot = torch.eye(K, dtype=torch.float64)[labels]
    assert torch.equal(loss(output, labels), loss(output, one_hot))


# --- building and errors ---


def test_build_gives_what_a_loss_needs_and_no_more() -> None:
    output, _ = batch()
    assert build("center", output).centres.shape == (K, D)
    assert build("center", output, dim=9).centres.shape == (K, 9)
    aux = Output(output.logits, output.embedding, {"identity": torch.zeros(N, 3)})
    assert build("island", aux, reads="identity").centres.shape == (K, 3)
    assert build("affinity", output).centres.shape == (K, D)
    assert len(build("class-balanced", output, counts=COUNTS).weight) == K
    assert build("cross-entropy", output, counts=COUNTS) is not None
    with pytest.raises(RecipeError, match="'class-balanced': missing 1 required positional argument: 'counts'"):
        build("class-balanced", output)
    with pytest.raises(RecipeError, match="'focal': got an unexpected keyword argument 'gama'"):
        build("focal", output, gama=1)
    with pytest.raises(RecipeError, match="'focal'"):
        build("focal", output, gamma="two")
    with pytest.raises(UnknownName, match="improved-island"):
        build("nothing", output)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("label-smoothing", {"smoothing": 1.0}, r"smoothing = 1.0; it must lie in \[0, 1\)"),
        ("focal", {"gamma": -1.0}, r"\[0, inf\)"),
        ("class-balanced", {"beta": 1.0}, "beta"),
        ("class-balanced", {"counts": [0, 0]}, "not all 0"),
        ("class-balanced", {"counts": [1, -2]}, "counts"),
        ("center", {"rate": 1.5}, "rate"),
        ("center", {"reduction": "most"}, "choose one of mean, sum"),
        ("island", {"classes": 1}, "classes"),
        ("improved-island", {"tau": -1.0}, "tau"),
        ("affinity", {"classes": 1}, "classes"),
        ("l-softmax", {"margin": 0}, "margin"),
        ("am-softmax", {"scale": 0.0}, "scale"),
        ("cosface", {"margin": 1.5}, "margin"),
        ("cosface", {"posterior": 0.2}, "posterior"),
        ("triplet", {"mining": "soft"}, "hard, all"),
        ("triplet", {"margin": 0.0}, "margin"),
        ("contrastive", {"margin": float("nan")}, "margin"),
        ("deepid2", {"distance": "l3"}, "l2, l1, cosine"),
    ],
)
def test_wrong_values_are_named(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make(name, **arguments)


def test_a_network_that_lacks_what_a_loss_reads_is_named() -> None:
    output, targets = batch()
    with pytest.raises(RecipeError, match="reads 'embedding', but the network gives only logits"):
        make("center")(output.logits, targets)
    with pytest.raises(RecipeError, match="reads 'heads', but the network gives only embedding, logits"):
        make("partition")(Output(output.logits, output.embedding), targets)
    with pytest.raises(ValueError, match="must be alike"):
        make("focal")(output, targets[:, :2])


def test_what_is_read() -> None:
    output, targets = batch(dtype=torch.bfloat16)
    assert logits_of(output).dtype == read(output, "heads").dtype == torch.float32
    assert logits_of(output.logits.double()).dtype == torch.float64
    assert labels_of(targets).tolist() == labels_of(torch.tensor(LABELS)).tolist() == LABELS
    assert labels_of(torch.tensor([[0.5, 0.5]])).tolist() == [0], "the first of equals"
