"""DeepID2: identification and verification at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, labels_of, logits_of, one_of, read
from mien.losses.contrastive import verification
from mien.losses.pairs import alike, distances, groups_of, upper
from mien.models import Output


@LOSSES.register(
    "deepid2",
    paper="Sun et al., Deep learning face representation by joint identification-verification, NIPS 2014",
    needs=("logits", "embedding"),
)
class DeepID2(Loss):
    """L = Ident + weight * Verif; Ident is softmax cross-entropy, Verif a mean over pairs i < j of the batch.

    - `l2`: 1/2 d^2 if alike, else 1/2 max(margin - d, 0)^2, with d = ||x_i - x_j||_2.
    - `l1`: d if alike, else max(margin - d, 0), with d = ||x_i - x_j||_1.
    - `cosine`: 1/2 (y - sigmoid(w cos(x_i, x_j) + b))^2, y = 1 if alike, else 0; w and b are learnt.

    Paper: Sun et al., "Deep learning face representation by joint identification-verification", NIPS 2014.

    Differs: classes are expressions; all pairs of the batch are compared; the margin is fixed, where the paper sets it
        to the threshold with the fewest verification errors on the latest pairs.

    Args:
        weight: lambda of the verification, >= 0.
        distance: `l2`, `l1` or `cosine`.
        margin: of `l2` and `l1`, > 0.
        by: `expression`, or a tensor of the batch such as `subject` that says which faces are alike.
        reads: which output holds the vectors: `embedding` or a key of `aux`.
    """

    def __init__(
        self,
        weight: float = 0.05,
        distance: str = "l2",
        margin: float = 1.0,
        by: str = "expression",
        reads: str = "embedding",
    ) -> None:
        super().__init__()
        self.weight = bounded("weight", weight, 0)
        self.distance = one_of("distance", distance, ("l2", "l1", "cosine"))
        self.margin = bounded("margin", margin, 0, ends="()")
        self.by, self.reads = by, reads
        if distance == "cosine":
            self.factor, self.shift = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        identification = functional.cross_entropy(logits_of(output), labels_of(targets))
        x = read(output, self.reads)
        if len(x) < 2:
            return identification
        same = upper(alike(groups_of(targets, extra, self.by)))
        return identification + self.weight * self.pairs(x, same).mean()

    def pairs(self, x: Tensor, same: Tensor) -> Tensor:
        """Verification of each pair of embeddings [N, D], [N (N - 1) / 2]."""
        if self.distance == "l2":
            return verification(upper(distances(x)), same, self.margin)
        if self.distance == "l1":
            d = upper(torch.cdist(x, x, p=1))
            return d.where(same, (self.margin - d).clamp_min(0))
        unit = functional.normalize(x, dim=1)
        likely = torch.sigmoid(self.factor * upper(unit @ unit.T) + self.shift)
        return 0.5 * (same.to(x.dtype) - likely).square()
