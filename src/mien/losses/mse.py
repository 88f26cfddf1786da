"""Mean squared error, for valence, arousal and the like."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.losses import LOSSES
from mien.losses.base import Loss, read
from mien.models import Output


@LOSSES.register(
    "mse",
    paper="Legendre, Nouvelles méthodes pour la détermination des orbites des comètes, 1805",
    needs=("logits",),
    targets="dimensions",
)
class MSELoss(Loss):
    """L = mean over known values of (x - y)^2.

    Targets are numbers [N, V], such as valence and arousal; NaN means that nobody has said. Without any the loss is 0.

    Paper: Legendre, "Nouvelles méthodes pour la détermination des orbites des comètes", 1805 (least squares).

    Args:
        reads: which output holds the predictions [N, V]: `logits` or a key of `aux`.
    """

    def __init__(self, reads: str = "logits") -> None:
        super().__init__()
        self.reads = reads

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        x = read(output, self.reads)
        y, weight = known(targets, x)
        return (weight * (x - y).square()).sum() / weight.sum().clamp_min(1)


def known(targets: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Targets with 0 for NaN, and 1 where they were numbers, else 0; both [N, V] in the precision of `like`.

    Raises:
        ValueError: the shapes do not agree.
    """
    if targets.shape != like.shape:
        raise ValueError(f"targets {list(targets.shape)} do not fit predictions {list(like.shape)}; they must be alike")
    given = ~torch.isnan(targets)
    return torch.nan_to_num(targets, nan=0.0).to(like.dtype), given.to(like.dtype)
