"""Losses against slow loops over the printed formulas, gradients against finite differences, edge cases, the family."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from mien.errors import RecipeError, UnknownName  # noqa: E402
from mien.losses import LOSSES  # noqa: E402
from mien.losses.base import build, labels_of, logits_of, read  # noqa: E402
from mien.losses.margin import give_head, psi  # noqa: E402
from mien.models import Output  # noqa: E402

N, K, D, HEADS = 7, 4, 5, 3
COUNTS = [90, 3, 20, 11]
LABELS = [0, 2, 1, 2, 3, 0, 2]
READY = [name for name in LOSSES.names() if "needs" in LOSSES.facts(name)]


def batch(seed: int = 0, labels: list[int] | None = None, dtype: torch.dtype = torch.float64) -> tuple[Output, Tensor]:
    """An output with everything that a loss may read, and soft targets whose largest share is the label."""
    generator = torch.Generator().manual_seed(seed)
    labels = LABELS if labels is None else labels
    n = len(labels)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    aux = {"heads": draw(n, HEADS, D), "features": draw(n, D, 2, 2)}
    share = torch.rand(n, K, generator=generator, dtype=torch.float64)
    targets = 0.4 * share / share.sum(1, keepdim=True) + 0.6 * torch.eye(K, dtype=torch.float64)[labels]
    return Output(draw(n, K), draw(n, D), aux), targets


def make(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(1)
    return build(name, batch()[0], **{"counts": COUNTS, **arguments}).double()


def log_softmax(z: np.ndarray) -> list[float]:
    total = math.log(sum(math.exp(v - max(z)) for v in z)) + max(z)
    return [v - total for v in z]


def rows(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def same(loss: Tensor, slow: float) -> None:
    assert float(loss.detach()) == pytest.approx(slow, rel=1e-5, abs=1e-9)


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


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    def dot(u: np.ndarray, v: np.ndarray) -> float:
        return sum(float(p) * float(q) for p, q in zip(u, v, strict=True))

    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


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


# --- margins ---


def slow_psi(theta: float, m: int) -> float:
    k = min(int(m * theta / math.pi), m - 1)
    return (-1) ** k * math.cos(m * theta) - 2 * k


@pytest.mark.parametrize("m", [1, 2, 3, 4, 5])
def test_psi(m: int) -> None:
    theta = np.linspace(0, math.pi, 101)
    values = psi(torch.from_numpy(np.cos(theta)), m).numpy()
    np.testing.assert_allclose(values, [slow_psi(float(t), m) for t in theta], atol=1e-9)
    assert (np.diff(values) <= 1e-12).all(), "falls with the angle"


def slow_margin(x: np.ndarray, w: np.ndarray, name: str, m: float, s: float, easing: float) -> float:
    total = 0.0
    for i, y in enumerate(LABELS):
        long_x, z = math.sqrt(sum(x[i] ** 2)), []
        for j in range(K):
            theta = math.acos(cosine(x[i], w[j]))
            if name in ("am-softmax", "cosface"):
                z.append(s * (math.cos(theta) - (m if j == y else 0)))
                continue
            size = long_x * (math.sqrt(sum(w[j] ** 2)) if name == "l-softmax" else 1)
            hard = slow_psi(theta, int(m)) if j == y else math.cos(theta)
            z.append(size * (easing * math.cos(theta) + hard) / (1 + easing))
        total -= log_softmax(np.array(z))[y] / N
    return total


@pytest.mark.parametrize(("name", "m"), [("l-softmax", 2), ("l-softmax", 3), ("a-softmax", 4), ("a-softmax", 1)])
@pytest.mark.parametrize("easing", [0.0, 6.0])
def test_angular_margins(name: str, m: int, easing: float) -> None:
    output, targets = batch()
    loss = make(name, margin=m, start=easing, decay=0.0, floor=0.0)
    x, w = rows(output.embedding), rows(loss.head.weight)
    same(loss(output, targets), slow_margin(x, w, name, m, 1.0, easing))


@pytest.mark.parametrize("name", ["am-softmax", "cosface"])
def test_cosine_margins(name: str) -> None:
    output, targets = batch()
    loss = make(name, margin=0.2, scale=11.0)
    x, w = rows(output.embedding), rows(loss.head.weight)
    same(loss(output, targets), slow_margin(x, w, name, 0.2, 11.0, 0.0))


def test_margins_ease_with_the_batches_seen_in_training() -> None:
    output, targets = batch()
    loss = make("a-softmax", start=10.0, decay=1.0, floor=2.0)
    seen = []
    for _ in range(5):
        loss(output, targets)
        seen.append(float(loss.easing()))
    assert seen == pytest.approx([5.0, 10 / 3, 2.5, 2.0, 2.0])
    loss.eval()(output, targets)
    assert int(loss.batches) == 5
    again = make("a-softmax", start=10.0, decay=1.0, floor=2.0)
    again.load_state_dict(loss.state_dict())
    assert float(again.easing()) == 2.0


@pytest.mark.parametrize("name", ["l-softmax", "a-softmax", "am-softmax", "cosface"])
def test_the_head_of_a_margin_loss_classifies(name: str) -> None:
    assert LOSSES.facts(name)["head"]
    loss, x = make(name), batch()[0].embedding
    z, w = rows(loss.logits(x)), rows(loss.head.weight)
    assert torch.equal(loss.head(x), loss.logits(x))
    for i, j in itertools.product(range(N), range(K)):
        size = {"l-softmax": math.sqrt(sum(w[j] ** 2)), "a-softmax": 1.0}
        scale = size[name] * math.sqrt(sum(rows(x)[i] ** 2)) if name in size else loss.head.scale
        assert z[i, j] == pytest.approx(scale * cosine(rows(x)[i], w[j]))


def test_a_network_takes_the_head_of_a_margin_loss() -> None:
    loss = make("am-softmax").float()
    network = nn.Sequential(nn.Linear(3, D), nn.ReLU(), nn.Sequential(nn.Dropout(0.0), nn.Linear(D, K)))
    assert give_head(network, loss) == "2.1"
    x = torch.randn(2, 3)
    assert torch.equal(network(x), loss.logits(network[:2](x)))
    with pytest.raises(RecipeError, match="from 5 to 4; this network has none"):
        give_head(network, loss)


def test_cosface_can_take_the_least_scale() -> None:
    scale = LOSSES.create("cosface", classes=7, dim=3, scale=0, posterior=0.99).head.scale
    # a face on its class vector, all class vectors alike far apart: cos 1 and -1 / (K - 1)
    top, rest = math.exp(scale), 6 * math.exp(-scale / 6)
    assert top / (top + rest) == pytest.approx(0.99)


def test_a_margin_on_vectors_of_no_length_stays_finite() -> None:
    for name in ("l-softmax", "a-softmax", "am-softmax", "cosface"):
        x = torch.zeros(2, D, dtype=torch.float64, requires_grad=True)
        value = make(name)(Output(x, x), torch.tensor([0, 1]))
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(x.grad).all(), name


# --- pairs and triplets ---


def distance(a: np.ndarray, b: np.ndarray, power: float = 2) -> float:
    return float(sum(abs(p - q) ** power for p, q in zip(a, b, strict=True)) ** (1 / power))


def slow_triplet(x: np.ndarray, groups: list[int], margin: float, mining: str, soft: bool, squared: bool) -> float:
    def d(i: int, j: int) -> float:
        return distance(x[i], x[j]) ** (2 if squared else 1)

    values = []
    for a in range(len(x)):
        positives = [p for p in range(len(x)) if p != a and groups[p] == groups[a]]
        negatives = [n for n in range(len(x)) if groups[n] != groups[a]]
        triplets = [(p, n) for p in positives for n in negatives]
        if mining == "hard" and triplets:
            triplets = [(max(positives, key=lambda p: d(a, p)), min(negatives, key=lambda n: d(a, n)))]
        for p, n in triplets:
            gap = d(a, p) - d(a, n)
            values.append(math.log(1 + math.exp(gap)) if soft else max(margin + gap, 0))
    if mining == "all" and not soft:
        values = [v for v in values if v > 0]
    return sum(values) / len(values) if values else 0.0


@pytest.mark.parametrize("mining", ["hard", "all"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("squared", [False, True])
def test_triplet(mining: str, soft: bool, squared: bool) -> None:
    output, targets = batch()
    x = rows(output.embedding)
    loss = make("triplet", margin=0.5, mining=mining, soft=soft, squared=squared, unit=False)
    same(loss(output, targets), slow_triplet(x, LABELS, 0.5, mining, soft, squared))
    unit = np.stack([v / math.sqrt(sum(v**2)) for v in x])
    loss = make("triplet", margin=0.5, mining=mining, soft=soft, squared=squared)
    same(loss(output, targets), slow_triplet(unit, LABELS, 0.5, mining, soft, squared))


@pytest.mark.parametrize("mining", ["hard", "all"])
@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 1, 2], [2]])
def test_no_triplet_is_nothing_with_a_way_back(mining: str, labels: list[int]) -> None:
    output, targets = batch(labels=labels)
    value = make("triplet", mining=mining)(output, targets)
    value.backward()
    assert float(value.detach()) == 0.0
    assert torch.equal(output.embedding.grad, torch.zeros_like(output.embedding))


def slow_contrastive(x: np.ndarray, groups: list[int], margin: float) -> float:
    values = []
    for i, j in itertools.combinations(range(len(x)), 2):
        d = distance(x[i], x[j])
        values.append(0.5 * d**2 if groups[i] == groups[j] else 0.5 * max(margin - d, 0) ** 2)
    return sum(values) / len(values)


def test_contrastive_by_expression_and_by_subject() -> None:
    output, targets = batch()
    x = rows(output.embedding)
    same(make("contrastive", margin=3.0)(output, targets), slow_contrastive(x, LABELS, 3.0))
    people = [1, 1, 1, 2, 2, 2, 3]
    loss = make("contrastive", margin=3.0, by="subject")
    same(loss(output, targets, subject=torch.tensor(people)), slow_contrastive(x, people, 3.0))
    with pytest.raises(RecipeError, match="there is expression, age"):
        loss(output, targets, age=torch.tensor(people))


@pytest.mark.parametrize("kind", ["l2", "l1", "cosine"])
def test_deepid2(kind: str) -> None:
    output, targets = batch()
    x, z = rows(output.embedding), rows(output.logits)
    loss = make("deepid2", weight=0.3, margin=4.0, distance=kind)
    if kind == "cosine":
        loss.factor.data.fill_(2.0)
        loss.shift.data.fill_(-0.5)
    verification = []
    for i, j in itertools.combinations(range(N), 2):
        like = LABELS[i] == LABELS[j]
        if kind == "cosine":
            likely = 1 / (1 + math.exp(-(2.0 * cosine(x[i], x[j]) - 0.5)))
            verification.append(0.5 * (like - likely) ** 2)
        elif kind == "l1":
            d = distance(x[i], x[j], 1)
            verification.append(d if like else max(4.0 - d, 0))
        else:
            d = distance(x[i], x[j])
            verification.append(0.5 * d**2 if like else 0.5 * max(4.0 - d, 0) ** 2)
    softmax = -sum(log_softmax(z[i])[LABELS[i]] for i in range(N)) / N
    same(loss(output, targets), softmax + 0.3 * sum(verification) / len(verification))


def test_one_face_has_no_pair() -> None:
    output, targets = batch(labels=[2])
    value = make("contrastive")(output, targets)
    value.backward()
    assert float(value.detach()) == 0.0
    assert torch.equal(make("deepid2")(output, targets), make("cross-entropy")(output, targets))


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


# --- gradients ---

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "focal": [{"gamma": 0.0}, {"gamma": 2.0}],
    "improved-island": [{"tau": 4.0}],
    "partition": [{"pooled": True}, {"pooled": False}],
    "l-softmax": [{"start": 0.0}, {}],
    "a-softmax": [{"start": 0.0, "floor": 0.0}],
    "triplet": [{"mining": "hard"}, {"mining": "all"}, {"soft": True, "squared": True}],
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
