"""Which faces to show of each class."""

from __future__ import annotations

import numpy as np


def choose(truth: np.ndarray, predicted: np.ndarray, classes: int, each: int, seed: int = 0) -> list[np.ndarray]:
    """Rows to show of each class: half of them right, half wrong where there are so many, the right ones first.

    Drawn by chance with a fixed seed, so that the same data and weights give the same sheet.

    Args:
        truth: [N], rows below 0 are left out.
        predicted: [N].
        classes: K.
        each: rows of each class.

    >>> choose(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2, 2)[1].tolist()
    [3]
    """
    random = np.random.default_rng(seed)
    chosen = []
    for k in range(classes):
        members = random.permutation(np.flatnonzero(truth == k))
        hit = predicted[members] == k
        right, wrong = members[hit], members[~hit]
        few = min(each // 2, len(wrong))
        taken = right[: each - few]
        chosen.append(np.concatenate([taken, wrong[: each - len(taken)]]))
    return chosen
