"""Growing a random forest: the one thing here that is learnt by splitting, not by steps down a loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mien.errors import RecipeError
from mien.layers.forest import Forest
from mien.train.stages import STAGES, Figures, Setting
from mien.train.views import as_inputs

BINS = 32


@STAGES.register("forest", paper="Breiman, Random forests, Machine Learning 2001")
@dataclass(frozen=True)
class GrowForest:
    """Grow the trees of a network's `forest` on what its `describe` says of the training rows.

    Each tree sees a bootstrap sample of the rows; each node looks at so many features drawn at random and takes the
    split that lowers Gini's impurity most.

    Paper: Breiman, "Random forests", Machine Learning 45, 2001.
    Differs: thresholds lie between 32 quantile bins of each feature, for speed; rows of rare classes may weigh more.

    Attributes:
        features: looked at in each node; 0 takes the square root of their number.
        least: rows in a leaf at least.
        balanced: every class weighs alike.
    """

    features: int = 0
    least: int = 2
    balanced: bool = True

    def __call__(self, setting: Setting) -> Figures:
        forest = setting.part("forest")
        if not isinstance(forest, Forest) or setting.streams is None:
            raise RecipeError("stage 'forest' grows the forest of a network over modalities, such as lbp-forest-av")
        random = np.random.default_rng(int(torch.randint(2**31, (1,), generator=setting.generator)))
        with torch.no_grad():
            x = torch.cat(
                [
                    setting.part("describe")(setting.given(as_inputs(setting.streams[i : i + 256]))).cpu()
                    for i in range(0, len(setting.streams), 256)
                ]
            ).numpy()
        truth = setting.classes.numpy()
        trees = forest.feature.shape[0]
        grower = Grower(x, truth, forest.share.shape[2], forest.depth, forest.nodes, self)
        unseen = np.zeros((len(x), forest.share.shape[2]))
        for number in range(trees):
            rows = random.integers(0, len(x), len(x))
            tree = grower.grow(rows, random)
            forest.plant(number, tree)
            out = np.setdiff1d(np.arange(len(x)), rows)
            unseen[out] += answer(tree, x[out], forest.depth)
        asked = unseen.sum(1) > 0
        right = float((unseen.argmax(1) == truth)[asked].mean()) if asked.any() else 0.0
        return {"trees": trees, "out_of_bag_accuracy": round(right, 4)}


class Grower:
    """Grows trees on rows x [N, F] of classes [N].

    Args:
        depth, nodes: of a tree at most.
    """

    def __init__(self, x: np.ndarray, truth: np.ndarray, classes: int, depth: int, nodes: int, how: GrowForest) -> None:
        self.truth, self.classes, self.depth, self.nodes, self.how = truth, classes, depth, nodes, how
        self.tried = min(x.shape[1], how.features or max(1, round(x.shape[1] ** 0.5)))
        quantiles = np.quantile(x, np.arange(1, BINS) / BINS, axis=0, method="lower")
        self.edges = quantiles.astype(np.float32).T  # [F, BINS - 1]
        # bin b holds values above edge b - 1, up to edge b
        self.binned = np.stack([np.searchsorted(e, v, "left") for e, v in zip(self.edges, x.T, strict=True)], 1)
        counts = np.bincount(truth, minlength=classes)
        self.weight = (len(truth) / classes / np.maximum(counts, 1) if how.balanced else np.ones(classes))[truth]

    def grow(self, rows: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """One tree on these rows, which may repeat: `feature`, `threshold`, `left`, `right` [m], `share` [m, K]."""
        tree: dict[str, list[object]] = {name: [] for name in ("feature", "threshold", "left", "right", "share")}
        waiting = [(self._leaf(tree, rows), rows, 0)]
        while waiting:
            node, held, deep = waiting.pop(0)
            split = self._split(held, random) if deep < self.depth and len(tree["feature"]) + 2 <= self.nodes else None
            if split is None:
                continue
            feature, edge = split
            lower = self.binned[held, feature] <= edge
            sides = [(self._leaf(tree, part), part, deep + 1) for part in (held[lower], held[~lower])]
            tree["feature"][node], tree["threshold"][node] = feature, self.edges[feature, edge]
            tree["left"][node], tree["right"][node] = sides[0][0], sides[1][0]
            waiting += sides
        return {name: np.array(values) for name, values in tree.items()}

    def _leaf(self, tree: dict[str, list[object]], rows: np.ndarray) -> int:
        """Add a node that leads to itself; its number."""
        number = len(tree["feature"])
        mass = np.bincount(self.truth[rows], self.weight[rows], self.classes)
        for name, value in (("feature", 0), ("threshold", 0.0), ("left", number), ("right", number)):
            tree[name].append(value)
        tree["share"].append(mass / mass.sum())
        return number

    def _split(self, rows: np.ndarray, random: np.random.Generator) -> tuple[int, int] | None:
        """Feature and edge that lower the impurity most; None where nothing does."""
        truth = self.truth[rows]
        if len(rows) < 2 * self.how.least or (truth == truth[0]).all():
            return None
        tried = random.choice(self.edges.shape[0], self.tried, replace=False)
        place = (np.arange(len(tried)) * BINS + self.binned[rows][:, tried]) * self.classes + truth[:, None]
        size = len(tried) * BINS * self.classes
        weight = np.repeat(self.weight[rows], len(tried))
        mass = np.bincount(place.ravel(), weight, size).reshape(len(tried), BINS, self.classes).cumsum(1)
        count = np.bincount(place.ravel() // self.classes, minlength=len(tried) * BINS).reshape(-1, BINS).cumsum(1)
        left, all_ = mass[:, :-1], mass[:, -1:]
        purity = sum((side**2).sum(2) / np.maximum(side.sum(2), 1e-12) for side in (left, all_ - left)) - (all_**2).sum(
            2
        ) / all_.sum(2)
        allowed = (count[:, :-1] >= self.how.least) & (len(rows) - count[:, :-1] >= self.how.least)
        purity = np.where(allowed, purity, -1)
        best = int(purity.argmax())
        if purity.flat[best] <= 1e-9:
            return None
        return int(tried[best // (BINS - 1)]), best % (BINS - 1)


def answer(tree: dict[str, np.ndarray], x: np.ndarray, depth: int) -> np.ndarray:
    """Class shares [N, K] of rows x [N, F] by one tree."""
    at = np.zeros(len(x), np.int64)
    for _ in range(depth):
        lower = x[np.arange(len(x)), tree["feature"][at]] <= tree["threshold"][at].astype(np.float32)
        at = np.where(lower, tree["left"][at], tree["right"][at])
    return np.asarray(tree["share"][at])
