"""Margin losses, pairs and triplets against slow loops over the printed formulas."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from losses_kit import LABELS, D, K, N, batch, cosine, log_softmax, make, rows, same  # noqa: E402
from mien.errors import RecipeError  # noqa: E402
from mien.losses import LOSSES  # noqa: E402
from mien.losses.margin import give_head, psi  # noqa: E402
from mien.models import Output  # noqa: E402

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
    published = make("a-softmax", start=5.0, decay=1e6)  # SphereFace's training files ease down to 5
    published(output, targets)
    assert float(published.easing()) == 5.0
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
