"""Numbers in place of classes: what a recipe with `dimensions` learns, such as valence and arousal, and its figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mien.datasets import Index
from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.metrics.bootstrap import bootstrap
from mien.metrics.regression import ccc, pearson, rmse
from mien.train.recipe import Recipe


def dimensioned(index: Index, recipe: Recipe) -> Index:
    """The index with columns of numbers as targets [N, V], NaN where nobody has said; rows without any are left out.

    The majority of a row is then 0 where it has a number, and -1 where it has none.

    Raises:
        RecipeError: there is no such column of numbers, or a term of the loss is for classes.
    """
    columns = []
    for name in recipe.dimensions:
        column = index.extra.get(name)
        if column is None or column.ndim > 1 or column.dtype.kind not in "fi":
            known = [key for key, array in index.extra.items() if array.ndim == 1 and array.dtype.kind == "f"]
            raise RecipeError(
                f"{recipe.name}: dimensions name {name!r}, which is no column of numbers of {recipe.dataset}; "
                f"there are {', '.join(known) or 'none'}"
            )
        columns.append(column.astype(np.float32))
    for term in recipe.loss:
        if LOSSES.facts(term.name).get("targets") != "dimensions":
            raise RecipeError(f"{recipe.name}: the loss {term.name!r} is for classes; dimensions take ccc or mse")
    targets = np.stack(columns, 1)
    majority = np.where(np.isfinite(targets).any(1), 0, -1).astype(np.int64)
    return replace(index, labels=recipe.dimensions, targets=targets, majority=majority)


def mean_ccc(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean over dimensions of the CCC of numbers [N, V] that are known; 0 for one that cannot be computed."""
    found = []
    for k in range(truth.shape[1]):
        known = np.isfinite(truth[:, k])
        value = ccc(truth[known, k], said[known, k])
        found.append(value if np.isfinite(value) else 0.0)
    return float(np.mean(found))


def figures(truth: np.ndarray, said: np.ndarray, names: tuple[str, ...], group: np.ndarray) -> dict[str, Any]:
    """CCC of each dimension with its interval over people, Pearson's correlation and RMSE; and the mean CCC.

    Args:
        truth: [N, V], NaN where unknown.
        said: [N, V].
        group: people [N].
    """
    found: dict[str, Any] = {"faces": int(np.isfinite(truth).any(1).sum()), "ccc": round(mean_ccc(truth, said), 4)}
    for k, name in enumerate(names):
        known = np.isfinite(truth[:, k])
        t, p = truth[known, k], said[known, k]
        interval = bootstrap(ccc, t, p, groups=group[known])
        found[name] = {
            "ccc": round(interval.value, 4),
            "low": round(interval.low, 4),
            "high": round(interval.high, 4),
            "pearson": round(pearson(t, p), 4),
            "rmse": round(rmse(t, p), 4),
        }
    return found
