"""A random forest as a layer: its trees are buffers, so that it is kept, moved and exported like any network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import RecipeError

LEAST = 1e-3
"""Share below which votes are not told apart, so that their logarithm is finite."""


class Forest(nn.Module):
    """Mean of the class shares in the leaves that B trees lead a sample to: [N, F] to [N, K].

    Tree b goes from node m to `left[b, m]` where x[feature[b, m]] <= threshold[b, m], else to `right[b, m]`; a leaf
    leads to itself. Before the trees are grown each is one leaf that knows nothing.

    Paper: Breiman, "Random forests", Machine Learning 45, 2001.
    Differs: shares of the leaves are averaged, as in scikit-learn, where Breiman's trees vote.

    Args:
        classes: K.
        trees: B.
        depth: steps from the root at most.
        nodes: M, room for each tree.
    """

    def __init__(self, classes: int, trees: int = 200, depth: int = 14, nodes: int = 511) -> None:
        super().__init__()
        self.depth, self.nodes = depth, nodes
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(trees, nodes, dtype=torch.long))
        self.register_buffer("threshold", torch.zeros(trees, nodes))
        self.register_buffer("share", torch.full((trees, nodes, classes), 1 / classes))
        self.feature: Tensor
        self.left: Tensor
        self.right: Tensor
        self.threshold: Tensor
        self.share: Tensor

    def plant(self, number: int, tree: dict[str, np.ndarray]) -> None:
        """Take one grown tree: `feature`, `threshold`, `left`, `right` [m], `share` [m, K].

        Raises:
            RecipeError: it has more nodes than there is room for.
        """
        size = len(tree["feature"])
        if size > self.nodes:
            raise RecipeError(f"a tree of {size} nodes, room for {self.nodes}; raise nodes, or grow less deep")
        for name, values in tree.items():
            buffer: Tensor = getattr(self, name)
            buffer[number, :size] = torch.from_numpy(values).to(buffer)

    def forward(self, x: Tensor) -> Tensor:
        trees = self.feature.shape[0]
        first = torch.arange(trees, device=x.device) * self.nodes
        at = first.expand(x.shape[0], trees)
        feature, threshold = self.feature.flatten(), self.threshold.flatten()
        left, right = ((side + first[:, None]).flatten() for side in (self.left, self.right))
        for _ in range(self.depth):
            lower = x.gather(1, feature[at]) <= threshold[at]
            at = torch.where(lower, left[at], right[at])
        return self.share.flatten(0, 1)[at].mean(1)


def log_votes(share: Tensor) -> Tensor:
    """Logarithm of shares [N, K], none below `LEAST`."""
    return share.clamp_min(LEAST).log()
