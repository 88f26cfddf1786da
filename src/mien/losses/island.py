"""Island loss: the centre loss, and centres that push each other apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mien.losses import LOSSES
from mien.losses.base import bounded
from mien.losses.center import CenterLoss


@LOSSES.register(
    "island",
    paper="Cai et al., Island loss for learning discriminative features in facial expression recognition, FG 2018",
    needs=("embedding", "classes", "dim"),
)
class IslandLoss(CenterLoss):
    """L_IL = L_c + lambda_1 sum_j sum_(k != j) (c_j . c_k / (||c_j|| ||c_k||) + 1), to be added to softmax.

    L = L_s + lambda L_IL; lambda is the weight of this term in the recipe (0.01 or so). The second term does not reach
    the network; it moves the centres, whose step has, beside that of the centre loss, the part
    lambda_1 / (K - 1) sum_(k != j) (c_k / (||c_k|| ||c_j||) - c_j (c_k . c_j) / (||c_k|| ||c_j||^3)),
    which is the gradient of the second term divided by 2 (K - 1).

    Paper: Cai et al., "Island loss for learning discriminative features in facial expression recognition", FG 2018
        (arXiv 1710.03144).

    Differs: `mean` divides L_c by N, as the softmax term is.

    Args:
        classes: K, >= 2.
        dim: D of the embedding, >= 1.
        rate: alpha, the step of the centres, in [0, 1].
        spread: lambda_1, the weight of the term between centres, >= 0. Where embeddings are shorter than about 2,
            lower it: 10 makes the centres swing.
        reduction: `mean` or `sum` of L_c over the batch.
        reads: which output holds the vectors: `embedding` or a key of `aux`.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        rate: float = 0.5,
        spread: float = 10.0,
        reduction: str = "mean",
        reads: str = "embedding",
    ) -> None:
        super().__init__(classes, dim, rate, reduction, reads)
        bounded("classes", classes, 2)
        self.spread = bounded("spread", spread, 0)

    def pairs(self, centres: Tensor) -> Tensor:
        """lambda_1 times the sum over ordered pairs of centres [K, D] of their cosine plus one."""
        unit: Tensor = functional.normalize(centres, dim=1)
        apart = ~torch.eye(len(centres), dtype=torch.bool, device=centres.device)
        return (unit @ unit.T + 1)[apart].sum() * self.spread

    def repulsion(self) -> Tensor:
        norm = torch.linalg.vector_norm(self.centres, dim=1, keepdim=True).clamp_min(1e-12)
        unit = self.centres / norm
        total = unit.sum(0)
        # k = j adds u_j - u_j (u_j . u_j) = 0, so the sum may run over all k
        across: Tensor = (total - unit * (unit @ total)[:, None]) / norm
        return self.spread / (len(self.centres) - 1) * across
