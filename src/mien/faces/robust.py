"""The part of a movement that one rigid motion explains, whatever a few points do by themselves."""

from __future__ import annotations

import numpy as np


def explained(columns: tuple[np.ndarray, np.ndarray], moved: np.ndarray, rounds: int, least: float) -> np.ndarray:
    """Movements [M, 2] as a linear model sees them: float64 [M, 2].

    Least squares with Cauchy weights 1 / (1 + (r / s)^2), s the residuals' median, so that outliers count little.

    Args:
        columns: of the model, [M, P] each: what its P unknowns add to the movement to the right, and down.
        moved: [M, 2].
        rounds: of reweighting.
        least: smallest s.
    """
    system = np.concatenate(columns)
    goal = np.asarray(moved, np.float64).T.reshape(-1)
    weight = np.ones(len(moved))
    fit: np.ndarray = np.zeros(system.shape[1])
    for _ in range(rounds):
        both = np.tile(weight, 2)[:, None]
        fit = np.linalg.lstsq(system.T @ (system * both), system.T @ (goal * both[:, 0]), rcond=None)[0]
        rest = np.hypot(*(goal - system @ fit).reshape(2, -1))
        weight = 1 / (1 + (rest / max(float(np.median(rest)), least)) ** 2)
    return np.asarray((system @ fit).reshape(2, -1).T)
