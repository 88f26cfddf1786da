"""Cross-entropy whose targets give a share to every class."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, distribution_of, logits_of
from mien.models import Output


@LOSSES.register(
    "label-smoothing",
    paper="Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016",
    needs=("logits",),
)
class LabelSmoothing(Loss):
    """L = -1/N sum_n sum_k q_nk log softmax(z_n)_k with q = (1 - epsilon) t + epsilon / K.

    Paper: Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016, section 7.

    Args:
        smoothing: epsilon, the share of each target that is spread evenly over the K classes, in [0, 1).
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        self.smoothing = bounded("smoothing", smoothing, 0, 1, "[)")

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        logits = logits_of(output)
        share = distribution_of(targets, logits)
        smooth = (1 - self.smoothing) * share + self.smoothing / logits.shape[1]
        return -(smooth * torch.log_softmax(logits, 1)).sum(1).mean()
