"""What an ensemble learns: convex weights of its members, or a linear classifier on their embeddings.

Both are found by full-batch L-BFGS from zero in 64 bits, without chance: the same members give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.models.ensemble import weighted_score

L2 = (1.0, 0.1, 0.01, 1e-3, 1e-4)
"""Penalties that `fit_features` tries, the strongest first."""

Line = dict[str, Any]


def minimise(
    parameters: Sequence[Tensor],
    value: Callable[[], Tensor],
    watch: Callable[[float], None] = lambda _: None,
    *,
    steps: int = 200,
    tolerance: float = 1e-9,
) -> float:
    """Step the parameters down a smooth function by L-BFGS, until a step gains less than `tolerance`.

    Args:
        value: the function, differentiable in the parameters.
        watch: told the function's value after each step, with the parameters as they then are.

    Returns:
        The least value.
    """
    solver = torch.optim.LBFGS(
        list(parameters), max_iter=1, tolerance_grad=1e-9, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        loss = value()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    last = float(value().detach())
    for _ in range(steps):
        solver.step(closure)  # type: ignore[no-untyped-call]
        now = float(value().detach())
        watch(now)
        if last - now < tolerance:
            return now
        last = now
    return last


def fit_weights(
    logits: np.ndarray, targets: np.ndarray, watch: Callable[[float, np.ndarray], None] = lambda *_: None
) -> np.ndarray:
    """The mix whose softmax weighs the members' scores with the least cross-entropy.

    The cross-entropy of sum_m w_m p_m is convex in w, so that its minimum over convex weights is the only one.

    Args:
        logits: of the members [N, M, K].
        targets: [N, K].
        watch: told the cross-entropy and the mix after each step.

    Returns:
        float64 [M]; convex weights are its softmax.
    """
    z, t = torch.from_numpy(logits).double(), torch.from_numpy(targets).double()
    mix = torch.zeros(logits.shape[1], dtype=torch.double, requires_grad=True)
    minimise(
        [mix],
        lambda: -(t * weighted_score(z, mix)).sum(1).mean(),
        lambda loss: watch(loss, mix.detach().numpy().copy()),
    )
    return mix.detach().numpy()


@dataclass
class Classifier:
    """Multinomial logistic regression on standardised embeddings.

    Attributes:
        centre, scale: mean and standard deviation of each feature on the training rows [D].
        weight: [K, D].
        bias: [K].
        l2: the penalty that was chosen.
        tried: a line for each penalty: `l2`, `loss` (cross-entropy on the training rows), and what `measure` gave.
        history: the same for each step of the chosen one.
    """

    centre: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    l2: float
    tried: list[Line]
    history: list[Line]


def fit_features(
    train: np.ndarray, targets: np.ndarray, val: np.ndarray, measure: Callable[[np.ndarray], Line]
) -> Classifier:
    """Least mean cross-entropy + l2 / 2 |W|^2 for each penalty of `L2`; the one that `measure` likes best is kept.

    Args:
        train: embeddings [N, D].
        targets: [N, K].
        val: embeddings of the validation rows [V, D].
        measure: figures of validation logits [V, K], among them `selected`; of equals, the stronger penalty is kept.
    """
    # a feature that never changes says nothing and keeps its scale
    centre, deviation = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    scale = np.where(deviation > 1e-6, deviation, 1.0)
    x, t = torch.from_numpy((train - centre) / scale), torch.from_numpy(targets).double()
    shown = torch.from_numpy((val - centre) / scale)
    weight = torch.zeros(targets.shape[1], train.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(targets.shape[1], dtype=torch.double, requires_grad=True)
    best: Classifier | None = None
    tried: list[Line] = []
    for l2 in L2:
        history: list[Line] = []

        def value(l2: float = l2) -> Tensor:
            entropy = -(t * torch.log_softmax(x @ weight.T + bias, 1)).sum(1).mean()
            return entropy + l2 / 2 * weight.square().sum()

        def watch(loss: float, l2: float = l2, history: list[Line] = history) -> None:
            with torch.no_grad():
                plain = loss - l2 / 2 * float(weight.square().sum())
                figures = measure((shown @ weight.T + bias).numpy())
            history.append({"l2": l2, "loss": round(plain, 6), **figures})

        minimise([weight, bias], value, watch, tolerance=1e-7)  # from where the stronger penalty ended
        tried.append(history[-1])
        if best is None or history[-1]["selected"] > max(line["selected"] for line in tried[:-1]):
            kept = (weight.detach().numpy().copy(), bias.detach().numpy().copy())
            best = Classifier(centre, scale, *kept, l2, tried, history)
    assert best is not None
    return best
