"""Softmax regression with a squared penalty, and one such regression for every set of modalities that is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.errors import DataError

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4)
"""Penalties that `choose` tries on standardised features."""


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


class SoftmaxRegression:
    """Least sum over rows of the cross-entropy, plus l2 / 2 times the squared weights (not the biases).

    Fitted by Newton's method, each step found by conjugate gradients, halved until the value falls enough.

    Attributes:
        weight: [D + 1, K], the last row the biases.
    """

    def __init__(self, l2: float = 1.0, steps: int = 100) -> None:
        self.l2, self.steps = l2, steps
        self.weight = np.zeros((0, 0))

    def fit(self, x: np.ndarray, truth: np.ndarray, classes: int) -> SoftmaxRegression:
        """Learn from features [N, D] and classes [N]."""
        x = np.column_stack([x, np.ones(len(x))])
        target = np.eye(classes)[truth]
        penalty = np.full((x.shape[1], 1), self.l2)
        penalty[-1] = 0
        w = np.zeros((x.shape[1], classes))
        value = self._value(x, w, target, penalty)
        for _ in range(self.steps):
            p = softmax(x @ w)
            gradient = x.T @ (p - target) + penalty * w
            if np.abs(gradient).max() < 1e-7 * max(1, len(x)):
                break
            step = _newton(x, p, penalty, gradient)
            slope, size = float((step * gradient).sum()), 1.0
            while size > 1e-6:
                new = self._value(x, w - size * step, target, penalty)
                if new <= value - 1e-4 * size * slope:
                    break
                size /= 2
            else:
                break
            w, value = w - size * step, new
        self.weight = w
        return self

    @staticmethod
    def _value(x: np.ndarray, w: np.ndarray, target: np.ndarray, penalty: np.ndarray) -> float:
        z = x @ w
        top = z.max(1)
        logs = top + np.log(np.exp(z - top[:, None]).sum(1))
        return float((logs - (z * target).sum(1)).sum() + 0.5 * (penalty * w * w).sum())

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Scores [N, K] of features [N, D]."""
        return softmax(x @ self.weight[:-1] + self.weight[-1])


def _newton(x: np.ndarray, p: np.ndarray, penalty: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The step s with H s = gradient, by conjugate gradients; H is never written out."""
    step, left = np.zeros_like(gradient), gradient.copy()
    direction, size = left.copy(), float((left * left).sum())
    enough = 1e-10 * size
    for _ in range(200):
        along = p * (x @ direction)
        curved = x.T @ (along - p * along.sum(1, keepdims=True)) + penalty * direction
        below = float((direction * curved).sum())
        if size <= enough or below <= 1e-300:
            break
        rate = size / below
        step += rate * direction
        left -= rate * curved
        new = float((left * left).sum())
        direction = left + new / size * direction
        size = new
    return step if step.any() else gradient


def choose(
    x: np.ndarray, truth: np.ndarray, classes: int, group: np.ndarray, penalties: Sequence[float] = PENALTIES
) -> float:
    """The penalty of the least cross-entropy over five folds of whole groups, the strongest of equals."""
    names, place = np.unique(group, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[place] % min(5, len(names))
    if len(names) < 2:
        raise DataError("a penalty is chosen over groups of rows, and here is one group; name the penalty (l2)")
    found = []
    for l2 in sorted(penalties, reverse=True):
        lost = 0.0
        for part in range(int(fold.max()) + 1):
            seen = fold != part
            model = SoftmaxRegression(l2).fit(x[seen], truth[seen], classes)
            lost -= float(np.log(np.maximum(model(x[~seen])[np.arange((~seen).sum()), truth[~seen]], 1e-12)).sum())
        found.append((lost, l2))
    return min(found, key=lambda pair: pair[0])[1]


class ByPresence:
    """One regression for every set of modalities that is there, on their columns of the rows that have them all.

    Args:
        parts: modality -> features [N, D] of the training rows, rows of NaN where it is missing.
        truth: [N].
        l2: penalty of each regression.
    """

    def __init__(self, parts: dict[str, np.ndarray], truth: np.ndarray, classes: int, l2: float) -> None:
        self.names, self.truth, self.classes, self.l2 = tuple(parts), truth, classes, l2
        self.parts = parts
        self.models: dict[tuple[str, ...], SoftmaxRegression] = {}

    def __call__(self, parts: dict[str, np.ndarray], rows: int) -> np.ndarray:
        """Scores [N, K]; 1 / K where nothing is there, or no training row had what is there."""
        joint = np.full((rows, self.classes), 1 / self.classes)
        there = np.column_stack(
            [~np.isnan(parts[n]).any(1) if n in parts else np.zeros(rows, bool) for n in self.names]
        )
        for pattern in np.unique(there, axis=0):
            chosen = tuple(name for name, known in zip(self.names, pattern, strict=True) if known)
            model = self._model(chosen)
            if model is not None:
                mine = (there == pattern).all(1)
                joint[mine] = model(np.column_stack([parts[name][mine] for name in chosen]))
        return joint

    def _model(self, chosen: tuple[str, ...]) -> SoftmaxRegression | None:
        if not chosen:
            return None
        if chosen not in self.models:
            x = np.column_stack([self.parts[name] for name in chosen])
            known = ~np.isnan(x).any(1)
            if not known.any():
                return None
            self.models[chosen] = SoftmaxRegression(self.l2).fit(x[known], self.truth[known], self.classes)
        return self.models[chosen]
