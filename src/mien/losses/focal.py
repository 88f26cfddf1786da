"""Cross-entropy that turns away from faces which are already right."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, distribution_of, logits_of
from mien.models import Output


@LOSSES.register("focal", paper="Lin et al., Focal loss for dense object detection, ICCV 2017", needs=("logits",))
class Focal(Loss):
    """L = -1/N sum_n sum_k t_nk (1 - p_nk)^gamma log p_nk with p = softmax(z).

    With gamma = 0 this is cross-entropy with soft targets.

    Paper: Lin et al., "Focal loss for dense object detection", ICCV 2017, eq. (4).

    Differs: softmax over K classes in place of the paper's sigmoid of two; soft targets weigh the terms. The balance
        alpha_t of eq. (5) is `class-balanced` with its own `gamma`.

    Args:
        gamma: how fast the weight of a face falls as its own class becomes likely, >= 0.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = bounded("gamma", gamma, 0)

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        logits = logits_of(output)
        return -(distribution_of(targets, logits) * modulated(logits, self.gamma)).sum(1).mean()


def modulated(logits: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma log p of each class, [N, K]."""
    scores = torch.log_softmax(logits, 1)
    if gamma == 0:
        return scores
    # a power below 1 has an infinite slope at 0, where 1 - p arrives by rounding
    return (1 - scores.exp()).clamp_min(1e-7) ** gamma * scores
