"""Partition (zonal) loss: attention heads shall look at different things."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.losses.base import Loss, nothing, read
from mien.models import Output


@LOSSES.register(
    "partition",
    paper="Wen et al., Distract your attention: multi-head cross attention network, Biomimetics 2023",
    needs=("heads",),
)
class PartitionLoss(Loss):
    """L = log(1 + H / v), v the mean over faces i and channels j of var_ij, the variance over the H heads.

    Reads `aux["heads"]`, what the heads of attention give, [N, H, D] or [N, H, D, h, w]. One head gives 0. The zonal
    loss of AREN has the same form, with regions in place of heads.

    Paper: Wen et al., "Distract your attention: multi-head cross attention network for facial expression recognition",
        Biomimetics 2023 (arXiv 2109.07270). AREN: J. of Computer-Aided Design & Computer Graphics 2024.

    Differs: this is the form of the authors' code, with unbiased variances; here v gets 1e-8 added.

    Args:
        pooled: one variance inside one logarithm; else 1/(N D) sum_i sum_j log(1 + H / var_ij).
        reads: key of `aux` that holds the heads.
    """

    def __init__(self, pooled: bool = True, reads: str = "heads") -> None:
        super().__init__()
        self.pooled, self.reads = pooled, reads

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        heads = read(output, self.reads)
        if heads.ndim < 3:
            raise RecipeError(f"partition reads {self.reads!r} [N, heads, D]; the network gives {list(heads.shape)}")
        if heads.shape[1] < 2:
            return nothing(heads)
        variance = heads.var(1)
        variance = variance.mean() if self.pooled else variance
        return torch.log1p(heads.shape[1] / (variance + 1e-8)).mean()
