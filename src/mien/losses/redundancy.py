"""Redundancy loss: feature maps, or kernels, of one layer shall not resemble each other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.losses.base import Loss, nothing, read
from mien.models import Output


@LOSSES.register(
    "redundancy",
    paper="Xie and Hu, Facial expression recognition with FRR-CNN, Electronics Letters 2017",
    needs=("features",),
)
class RedundancyLoss(Loss):
    """L = 1/N sum_i 1/(C (C - 1)) sum_(j != k) cos(f_ij, f_ik)^2 over the C maps f of a layer, flattened.

    Added to softmax for each layer with a small weight, it drives the kernels of the layer apart: 0 where all maps are
    orthogonal, 1 where all are alike or opposite.

    Paper: Xie, Hu, "Facial expression recognition with FRR-CNN", Electronics Letters 53(4), 2017, whose abstract says
        that kernels are made to diverge by "a more discriminative mutual difference among feature maps of the same
        layer".

    Differs: the formula is ours, for only the abstract could be read. A map that is zero everywhere adds nothing.

    Args:
        reads: key of `aux` that holds the maps [N, C, h, w] or [N, C, D]: `features`, `maps1`, ... or `kernels1`, ...
    """

    def __init__(self, reads: str = "features") -> None:
        super().__init__()
        self.reads = reads

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        maps = read(output, self.reads)
        if maps.ndim < 3:
            raise RecipeError(f"redundancy reads {self.reads!r} [N, C, h, w]; the network gives {list(maps.shape)}")
        maps = maps.flatten(2)
        count = maps.shape[1]
        if count < 2:
            return nothing(maps)
        unit = torch.nn.functional.normalize(maps, dim=2, eps=1e-6)
        likeness = (unit @ unit.transpose(1, 2)).square()
        off_diagonal = likeness.sum((1, 2)) - likeness.diagonal(dim1=1, dim2=2).sum(1)
        return off_diagonal.mean() / (count * (count - 1))
