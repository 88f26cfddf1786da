"""Centre loss: faces are drawn to the centre of their class in the embedding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, labels_of, one_of, read
from mien.models import Output


@LOSSES.register(
    "center",
    paper="Wen et al., A discriminative feature learning approach for deep face recognition, ECCV 2016",
    needs=("embedding", "classes", "dim"),
)
class CenterLoss(Loss):
    """L_c = 1/2 sum_i ||x_i - c_yi||^2, to be added to softmax: L = L_s + lambda L_c.

    After each batch in training mode with gradients enabled the centres (a buffer, not a parameter) move by
    c_j <- c_j - rate * (sum_i [y_i = j] (c_j - x_i)) / (1 + n_j), where n_j counts the faces of class j in the batch.
    lambda is the weight of this term in the recipe (0.003 in the paper).

    Paper: Wen et al., "A discriminative feature learning approach for deep face recognition", ECCV 2016, eqs. (2)-(5).

    Differs: `mean` divides the sum by N, as the softmax term is; the paper sums both, so lambda keeps its meaning.

    Args:
        classes: K, >= 1.
        dim: D of the embedding, >= 1.
        rate: alpha, the step of the centres, in [0, 1].
        reduction: `mean` or `sum` over the batch.
        reads: which output holds the vectors: `embedding` or a key of `aux`.
    """

    centres: Tensor

    def __init__(
        self, classes: int, dim: int, rate: float = 0.5, reduction: str = "mean", reads: str = "embedding"
    ) -> None:
        super().__init__()
        bounded("classes", classes, 1)
        bounded("dim", dim, 1)
        self.rate = bounded("rate", rate, 0, 1)
        self.reduction = one_of("reduction", reduction, ("mean", "sum"))
        self.reads = reads
        # not zero, for the cosine of the island losses has no direction there
        self.register_buffer("centres", torch.randn(classes, dim) / dim**0.5)

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        x, labels = read(output, self.reads), labels_of(targets)
        value = self.attraction(x, labels) + self.pairs(self.centres)
        if self.learns:
            self.update(x, labels)
        return value

    def attraction(self, x: Tensor, labels: Tensor) -> Tensor:
        """L_c of embeddings [N, D], a scalar."""
        squares = self.distance(x, labels)
        return 0.5 * (squares.mean() if self.reduction == "mean" else squares.sum())

    def distance(self, x: Tensor, labels: Tensor) -> Tensor:
        """What each face adds to twice the loss, [N]."""
        return (x - self.centres[labels]).square().sum(1)

    def pairs(self, centres: Tensor) -> Tensor:
        """The term between centres [K, D]; none here."""
        return centres.new_zeros(())

    def repulsion(self) -> Tensor:
        """What drives the centres apart, [K, D]; nothing here."""
        return torch.zeros_like(self.centres)

    def counted(self, x: Tensor, labels: Tensor) -> Tensor:
        """Which faces move the centres, [N] of 0 and 1; all of them here."""
        return x.new_ones(len(x))

    @torch.no_grad()
    def update(self, x: Tensor, labels: Tensor) -> None:
        """Move the centres by one batch of embeddings [N, D] with class numbers [N]."""
        x = x.to(self.centres.dtype)
        weight = self.counted(x, labels)
        n = torch.zeros_like(self.centres[:, 0]).index_add_(0, labels, weight)
        total = torch.zeros_like(self.centres).index_add_(0, labels, x * weight[:, None])
        if dist.is_available() and dist.is_initialized():
            # the batch is that of all processes, so that their centres stay the same
            dist.all_reduce(n)
            dist.all_reduce(total)
        step = (n[:, None] * self.centres - total) / (1 + n[:, None]) + self.repulsion()
        self.centres = self.centres - self.rate * step
