"""Improved island loss: only faces outside their class's radius count."""

from __future__ import annotations

from torch import Tensor

from mien.losses import LOSSES
from mien.losses.base import bounded
from mien.losses.island import IslandLoss


@LOSSES.register(
    "improved-island",
    paper="Ge et al., Facial expression recognition based on deep learning, CMPB 2022",
    needs=("embedding", "classes", "dim"),
)
class ImprovedIslandLoss(IslandLoss):
    """L_IL = L_c + lambda_1 sum_j sum_(k != j) (cos(c_j, c_k) + 1), L_c = 1/2 sum_i max(||x_i - c_yi||^2 - tau, 0).

    To be added to softmax: L = L_s + lambda L_IL, where lambda is the weight of this term in the recipe and L_s is
    `cross-entropy`, the mean over the batch of eq. (4). The centres move by (5)-(6):
    c_j <- c_j - rate * (sum_i [y_i = j] (c_j - x_i) / (1 + n_j) + repulsion_j), the repulsion being that of `island`.

    Paper: Ge et al., "Facial expression recognition based on deep learning", Computer Methods and Programs in
        Biomedicine, 2022, eqs. (1)-(6).

    Differs: the printed (3) has no lambda, which the text below it defines; the printed denominators of (5) are taken
        for ||c_k|| ||c_j|| and ||c_k|| ||c_j||^3. tau and the weights have no values in the paper; those here are ours,
        lambda_1 after `island`.

    Args:
        classes: K, >= 2.
        dim: D of the embedding, >= 1.
        rate: a, the step of the centres, in [0, 1].
        spread: lambda_1, the weight of the term between centres, >= 0. Where embeddings are shorter than about 2,
            lower it: 10 makes the centres swing.
        tau: squared radius within which a face adds nothing, >= 0. With 0 this is `island`.
        masked: leave the faces within the radius out of the centres' step as well; (5) prints them in.
        reduction: `sum` of L_c over the batch, as printed, or `mean`.
        reads: which output holds the vectors: `embedding` or a key of `aux`.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        rate: float = 0.5,
        spread: float = 10.0,
        tau: float = 1.0,
        masked: bool = False,
        reduction: str = "sum",
        reads: str = "embedding",
    ) -> None:
        super().__init__(classes, dim, rate, spread, reduction, reads)
        self.tau = bounded("tau", tau, 0)
        self.masked = masked

    def distance(self, x: Tensor, labels: Tensor) -> Tensor:
        return (super().distance(x, labels) - self.tau).clamp_min(0)

    def counted(self, x: Tensor, labels: Tensor) -> Tensor:
        if not self.masked:
            return super().counted(x, labels)
        return (self.distance(x, labels) > 0).to(x.dtype)
