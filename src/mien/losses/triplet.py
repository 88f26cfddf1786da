"""Triplet loss: nearer to one's own class than to any other, by a margin."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, nothing, one_of, read
from mien.losses.pairs import alike, distances, groups_of
from mien.models import Output


@LOSSES.register(
    "triplet",
    paper="Schroff et al., FaceNet, CVPR 2015; Hermans et al., In defense of the triplet loss, arXiv 1703.07737, 2017",
    needs=("embedding",),
)
class TripletLoss(Loss):
    """L = mean over triplets (a, p, n) of max(margin + d(a, p) - d(a, n), 0), with p like a and n unlike a.

    `hard` takes for each anchor the farthest p and the nearest n (a mean over the anchors that have both); `all` takes
    every triplet. d is the Euclidean distance, or its square as in FaceNet. A batch without a triplet gives 0.

    Paper: Schroff et al., "FaceNet", CVPR 2015; Hermans et al., "In defense of the triplet loss for person
        re-identification", arXiv 1703.07737.

    Args:
        margin: > 0.
        mining: `hard` or `all`; `all` takes memory with the cube of N.
        soft: ln(1 + exp(x)) in place of max(margin + x, 0).
        active: with `all`, average only over triplets that add something.
        squared: use squared distances.
        unit: scale embeddings to unit length first.
        by: `expression`, or a tensor of the batch such as `subject` that says which faces are alike.
        reads: which output holds the vectors: `embedding` or a key of `aux`.
    """

    def __init__(
        self,
        margin: float = 0.2,
        mining: str = "hard",
        soft: bool = False,
        active: bool = True,
        squared: bool = False,
        unit: bool = True,
        by: str = "expression",
        reads: str = "embedding",
    ) -> None:
        super().__init__()
        self.margin = bounded("margin", margin, 0, ends="()")
        self.mining = one_of("mining", mining, ("hard", "all"))
        self.soft, self.active, self.squared, self.unit = soft, active, squared, unit
        self.by, self.reads = by, reads

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        x = read(output, self.reads)
        d = distances(functional.normalize(x, dim=1) if self.unit else x)
        d = d.square() if self.squared else d
        same = alike(groups_of(targets, extra, self.by))
        positive = same & ~torch.eye(len(x), dtype=torch.bool, device=x.device)
        gaps = self._hardest(d, positive, ~same) if self.mining == "hard" else self._all(d, positive, ~same)
        if not len(gaps):
            return nothing(x)
        if self.soft:
            return functional.softplus(gaps).mean()
        hinge = (self.margin + gaps).clamp_min(0)
        if self.mining == "all" and self.active:
            return hinge.sum() / (hinge > 0).sum().clamp_min(1)
        return hinge.mean()

    @staticmethod
    def _hardest(d: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        farthest = d.masked_fill(~positive, -torch.inf).amax(1)
        nearest = d.masked_fill(~negative, torch.inf).amin(1)
        found = positive.any(1) & negative.any(1)
        return farthest[found] - nearest[found]

    @staticmethod
    def _all(d: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        found = positive[:, :, None] & negative[:, None, :]
        return (d[:, :, None] - d[:, None, :])[found]
