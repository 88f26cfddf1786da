"""Contrastive loss: like faces together, unlike faces at least a margin apart."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, nothing, read
from mien.losses.pairs import alike, distances, groups_of, upper
from mien.models import Output


@LOSSES.register(
    "contrastive",
    paper="Hadsell et al., Dimensionality reduction by learning an invariant mapping, CVPR 2006",
    needs=("embedding",),
)
class ContrastiveLoss(Loss):
    """L = mean over pairs i < j of 1/2 d^2 if alike, else 1/2 max(margin - d, 0)^2, with d = ||x_i - x_j||.

    A batch of one face gives 0.

    Paper: Hadsell et al., "Dimensionality reduction by learning an invariant mapping", CVPR 2006, eq. (4).

    Args:
        margin: > 0.
        unit: scale embeddings to unit length first, so that d lies in [0, 2].
        by: `expression`, or a tensor of the batch such as `subject` that says which faces are alike: the
            identity-sensitive loss of Meng et al. ("Identity-aware CNN", FG 2017) is this one by `subject`.
        reads: which output holds the vectors: `embedding` or a key of `aux`.
    """

    def __init__(
        self, margin: float = 1.0, unit: bool = False, by: str = "expression", reads: str = "embedding"
    ) -> None:
        super().__init__()
        self.margin = bounded("margin", margin, 0, ends="()")
        self.unit, self.by, self.reads = unit, by, reads

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        x = read(output, self.reads)
        if len(x) < 2:
            return nothing(x)
        d = upper(distances(functional.normalize(x, dim=1) if self.unit else x))
        same = upper(alike(groups_of(targets, extra, self.by)))
        return verification(d, same, self.margin).mean()


def verification(d: Tensor, same: Tensor, margin: float) -> Tensor:
    """1/2 d^2 of each pair alike, 1/2 max(margin - d, 0)^2 of each other, [P]."""
    return 0.5 * d.where(same, (margin - d).clamp_min(0)).square()
