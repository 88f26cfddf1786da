"""Losses over logits, of centres, attention and dimensions, against slow loops over the printed formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from losses_kit import COUNTS, HEADS, LABELS, D, K, N, batch, cosine, log_softmax, make, rows, same  # noqa: E402
from mien.errors import RecipeError  # noqa: E402
from mien.losses import LOSSES  # noqa: E402
from mien.models import Output  # noqa: E402

# --- over logits ---


def test_cross_entropy_takes_the_largest_share() -> None:
    output, targets = batch()
    z = rows(output.logits)
    slow = -sum(log_softmax(z[i])[LABELS[i]] for i in range(N)) / N
    same(make("cross-entropy")(output, targets), slow)
    same(make("cross-entropy")(output.logits, torch.tensor(LABELS)), slow)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.6])
def test_label_smoothing(epsilon: float) -> None:
    output, targets = batch()
    z, t, slow = rows(output.logits), rows(targets), 0.0
    for i, k in itertools.product(range(N), range(K)):
        slow -= ((1 - epsilon) * t[i][k] + epsilon / K) * log_softmax(z[i])[k] / N
    same(make("label-smoothing", smoothing=epsilon)(output, targets), slow)


@pytest.mark.parametrize(("tau", "epsilon"), [(0.0, 0.0), (0.7, 0.0), (0.7, 0.2)])
def test_soft_cross_entropy_with_priors_and_smoothing(tau: float, epsilon: float) -> None:
    output, targets = batch()
    prior = [(k + 1) / (K * (K + 1) / 2) for k in range(K)]
    z, t, slow = rows(output.logits), rows(targets), 0.0
    for i, k in itertools.product(range(N), range(K)):
        moved = log_softmax([z[i][c] + tau * math.log(prior[c]) for c in range(K)])
        slow -= ((1 - epsilon) * t[i][k] + epsilon / K) * moved[k] / N
    same(make("soft-cross-entropy", prior=prior, tau=tau, smoothing=epsilon)(output, targets), slow)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma: float) -> None:
    output, targets = batch()
    z, t, slow = rows(output.logits), rows(targets), 0.0
    for i, k in itertools.product(range(N), range(K)):
        score = log_softmax(z[i])[k]
        slow -= t[i][k] * (1 - math.exp(score)) ** gamma * score / N
    same(make("focal", gamma=gamma)(output, targets), slow)


def test_focal_has_a_finite_slope_on_certain_faces() -> None:
    z = torch.tensor([[80.0, 0.0]], requires_grad=True)
    LOSSES.create("focal", gamma=0.5)(z, torch.tensor([0])).backward()
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_class_balanced(beta: float, gamma: float) -> None:
    output, targets = batch()
    effective = [sum(beta**i for i in range(n)) for n in COUNTS]
    weight = [1 / e for e in effective]
    weight = [w * K / sum(weight) for w in weight]
    z, t, slow = rows(output.logits), rows(targets), 0.0
    for i, k in itertools.product(range(N), range(K)):
        score = log_softmax(z[i])[k]
        slow -= weight[k] * t[i][k] * (1 - math.exp(score)) ** gamma * score / N
    same(make("class-balanced", beta=beta, gamma=gamma)(output, targets), slow)


def test_class_balanced_gives_no_weight_to_an_absent_class() -> None:
    for beta in (0.0, 0.99):
        loss = LOSSES.create("class-balanced", counts=[10, 0, 10], beta=beta)
        assert loss.weight.tolist() == pytest.approx([1.0, 0.0, 1.0])


# --- centres ---


def slow_attraction(x: np.ndarray, c: np.ndarray, tau: float = 0.0) -> float:
    return 0.5 * sum(
        max(sum((a - b) ** 2 for a, b in zip(x[i], c[y], strict=True)) - tau, 0) for i, y in enumerate(LABELS)
    )


def slow_pairs(c: np.ndarray) -> float:
    return sum(cosine(c[j], c[k]) + 1 for j in range(K) for k in range(K) if k != j)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_center_loss(reduction: str) -> None:
    output, targets = batch()
    loss = make("center", reduction=reduction)
    slow = slow_attraction(rows(output.embedding), rows(loss.centres)) / (N if reduction == "mean" else 1)
    same(loss(output, targets), slow)


@pytest.mark.parametrize("name", ["island", "improved-island"])
def test_island_losses(name: str) -> None:
    output, targets = batch()
    tau = 4.0 if name == "improved-island" else 0.0
    loss = make(name, spread=3.0, reduction="sum", **({"tau": tau} if tau else {}))
    x, c = rows(output.embedding), rows(loss.centres)
    squares = [sum((x[i] - c[y]) ** 2) for i, y in enumerate(LABELS)]
    assert not tau or min(squares) < tau < max(squares)
    same(loss(output, targets), slow_attraction(x, c, tau) + 3.0 * slow_pairs(c))


def test_improved_island_is_printed_as_a_sum_and_without_its_mask() -> None:
    loss = make("improved-island")
    assert (loss.reduction, loss.masked) == ("sum", False)


@pytest.mark.parametrize(("name", "masked"), [("island", False), ("improved-island", False), ("improved-island", True)])
def test_step_of_the_centres_equations_5_and_6(name: str, masked: bool) -> None:
    output, targets = batch()
    rate, spread, tau = 0.3, 2.0, 4.0
    more = {"tau": tau, "masked": masked} if name == "improved-island" else {}
    loss = make(name, rate=rate, spread=spread, **more)
    x, c = rows(output.embedding), rows(loss.centres).copy()
    expected = np.zeros((K, D))
    for j in range(K):
        n, pull = 0, np.zeros(D)
        for i in range(N):
            if LABELS[i] == j and (not masked or sum((x[i] - c[j]) ** 2) > tau):
                n, pull = n + 1, pull + (c[j] - x[i])
        push = np.zeros(D)
        for k in range(K):
            if k != j:
                a, b = math.sqrt(sum(c[k] ** 2)), math.sqrt(sum(c[j] ** 2))
                push += c[k] / (a * b) - sum(c[k] * c[j]) / (a * b**3) * c[j]
        expected[j] = c[j] - rate * (pull / (1 + n) + spread / (K - 1) * push)
    loss(output, targets)
    np.testing.assert_allclose(rows(loss.centres), expected, rtol=1e-10)


def test_repulsion_is_the_gradient_of_the_pairs_over_2_k_minus_1() -> None:
    loss = make("improved-island", spread=7.0)
    centres = loss.centres.clone().requires_grad_()
    slope = torch.autograd.grad(loss.pairs(centres), centres)[0]
    torch.testing.assert_close(loss.repulsion(), slope / (2 * (K - 1)))
    assert torch.autograd.gradcheck(loss.pairs, (centres,))


def test_improved_island_without_radius_is_island() -> None:
    output, targets = batch()
    arguments = {"spread": 2.0, "reduction": "sum"}
    old, new = make("island", **arguments), make("improved-island", tau=0.0, **arguments)
    assert torch.equal(old(output, targets), new(output, targets))
    assert torch.equal(old.centres, new.centres)


def test_faces_within_the_radius_feel_nothing() -> None:
    output, targets = batch()
    loss = make("improved-island", tau=1e6).eval()
    loss(output, targets).backward()
    assert output.embedding.grad.abs().sum() == 0


def test_centres_move_only_in_training_with_gradients() -> None:
    output, targets = batch()
    loss = make("center")
    before = loss.centres.clone()
    with torch.no_grad():
        loss(output, targets)
    loss.eval()(output, targets)
    assert torch.equal(loss.centres, before)
    loss.train()(output, targets)
    assert not torch.equal(loss.centres, before)


def test_a_class_absent_from_the_batch_keeps_its_centre() -> None:
    output, targets = batch(labels=[1, 1, 1])
    loss = make("center", rate=1.0)
    before = loss.centres.clone()
    loss(output, targets)
    assert torch.equal(loss.centres[[0, 2, 3]], before[[0, 2, 3]])
    expected = before[1] - (3 * before[1] - output.embedding.detach().sum(0)) / 4
    torch.testing.assert_close(loss.centres[1], expected)


def test_centres_move_by_the_batches_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    output, targets = batch()
    alone, shared = make("island"), make("island")
    alone.update(output.embedding.detach().repeat(2, 1), torch.tensor(LABELS * 2))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(2))  # two of the same batch
    shared(output, targets)
    torch.testing.assert_close(shared.centres, alone.centres)


def test_centres_find_the_class_means_and_part() -> None:
    torch.manual_seed(0)
    means = torch.eye(3, 6, dtype=torch.float64) + 1
    loss = LOSSES.create("center", classes=3, dim=6, rate=0.5).double()
    for _ in range(60):
        loss.update(means.repeat(9, 1), torch.arange(3).repeat(9))
    torch.testing.assert_close(loss.centres, means, atol=1e-3, rtol=0)
    island = LOSSES.create("island", classes=3, dim=6, spread=1.0).double()
    island.load_state_dict(loss.state_dict())
    for _ in range(60):
        island.update(means.repeat(9, 1), torch.arange(3).repeat(9))
    assert slow_pairs_of(island.centres) < slow_pairs_of(loss.centres)


def slow_pairs_of(centres: Tensor) -> float:
    c = rows(centres)
    return sum(cosine(c[j], c[k]) for j in range(len(c)) for k in range(len(c)) if j != k)


def test_the_joint_loss_is_softmax_plus_lambda_island() -> None:
    output, targets = batch()
    island = make("improved-island").eval()
    joint = make("cross-entropy")(output, targets) + 0.01 * island(output, targets)
    x, c, z = rows(output.embedding), rows(island.centres), rows(output.logits)
    softmax = -sum(log_softmax(z[i])[LABELS[i]] for i in range(N)) / N
    same(joint, softmax + 0.01 * (slow_attraction(x, c, 1.0) + 10 * slow_pairs(c)))


# --- attention ---


@pytest.mark.parametrize("pooled", [True, False])
def test_partition(pooled: bool) -> None:
    output, targets = batch()
    h = rows(output.aux["heads"])
    variances = []
    for i, j in itertools.product(range(N), range(D)):
        mean = sum(h[i, :, j]) / HEADS
        variances.append(sum((v - mean) ** 2 for v in h[i, :, j]) / (HEADS - 1))
    slow = sum(math.log(1 + HEADS / v) for v in variances) / len(variances)
    if pooled:
        slow = math.log(1 + HEADS / (sum(variances) / len(variances)))
    same(make("partition", pooled=pooled)(output, targets), slow)


def test_partition_of_one_head_is_nothing_and_of_equal_heads_finite() -> None:
    loss = make("partition")
    for heads in (torch.randn(2, 1, D), torch.ones(2, 3, D)):
        h = heads.requires_grad_()
        value = loss(Output(h[:, 0], h[:, 0], {"heads": h}), torch.zeros(2, D))
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(h.grad).all()
    with pytest.raises(RecipeError, match="heads, D"):
        loss(Output(h[:, 0], h[:, 0], {"heads": h[:, 0]}), torch.zeros(2, D))


def test_affinity() -> None:
    output, targets = batch()
    loss = make("affinity")
    c, f = rows(loss.centres), rows(output.aux["features"])
    spread = 0.0
    for d in range(D):
        mean = sum(c[:, d]) / K
        spread += sum((v - mean) ** 2 for v in c[:, d]) / (K - 1)
    slow = 0.0
    for i, y in enumerate(LABELS):
        for d in range(D):
            slow += (f[i, d].sum() / 4 - c[y, d]) ** 2 / spread / N
    value = loss(output, targets)
    same(value, slow)
    value.backward()
    assert loss.centres.grad is not None
    with pytest.raises(RecipeError, match="mend dim"):
        make("affinity", dim=9)(output, targets)


# --- dimensions ---


def slow_ccc(x: list[float], y: list[float]) -> float:
    n = len(x)
    mx, my = sum(x) / n, sum(y) / n
    both = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / n
    vx, vy = sum((a - mx) ** 2 for a in x) / n, sum((b - my) ** 2 for b in y) / n
    return 2 * both / (vx + vy + (mx - my) ** 2)


def dimensions() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(N, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    y = x.detach() * 0.5 + torch.randn(N, 2, generator=generator, dtype=torch.float64)
    y[2, 0] = y[5, 0] = y[0, 1] = float("nan")
    return x, y


def test_ccc_and_mse_leave_out_what_nobody_said() -> None:
    x, y = dimensions()
    there = ~torch.isnan(y)
    parts = [(x[there[:, v], v].tolist(), y[there[:, v], v].tolist()) for v in (0, 1)]
    same(LOSSES.create("ccc")(x, y), 1 - (slow_ccc(*parts[0]) + slow_ccc(*parts[1])) / 2)
    same(LOSSES.create("ccc")(x * 0.01, y * 0.01), 1 - (slow_ccc(*parts[0]) + slow_ccc(*parts[1])) / 2)  # no scale
    squares = [(a - b) ** 2 for p in parts for a, b in zip(*p, strict=True)]
    same(LOSSES.create("mse")(x, y), sum(squares) / len(squares))
    aux = {"dimensions": x}
    same(LOSSES.create("mse", reads="dimensions")(Output(x[:, :1], x, aux), y), sum(squares) / len(squares))


@pytest.mark.parametrize("name", ["ccc", "mse"])
def test_dimensions_without_targets(name: str) -> None:
    x, y = dimensions()
    value = LOSSES.create(name)(x, torch.full_like(y, torch.nan))
    value.backward()
    assert float(value.detach()) == 0.0
    assert torch.equal(x.grad, torch.zeros_like(x))
    with pytest.raises(ValueError, match="must be alike"):
        LOSSES.create(name)(x, y[:, :1])


def test_ccc_of_agreement_opposition_and_constants() -> None:
    x, _ = dimensions()
    loss = LOSSES.create("ccc")
    same(loss(x, x.detach()), 0.0)
    centred = x.detach() - x.detach().mean(0)
    same(loss(centred, -centred), 2.0)
    flat = torch.ones(N, 1, requires_grad=True)
    value = loss(flat, torch.ones(N, 1))
    value.backward()
    assert float(value.detach()) == 1.0
    assert torch.isfinite(flat.grad).all()
