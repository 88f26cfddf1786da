"""Affinity loss: features near their class's centre, relative to the spread of the centres."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, labels_of, read
from mien.models import Output


@LOSSES.register(
    "affinity",
    paper="Wen et al., Distract your attention: multi-head cross attention network, Biomimetics 2023",
    needs=("features", "classes", "dim"),
)
class AffinityLoss(Loss):
    """L = 1/N sum_i ||x_i - c_yi||^2 / sigma_c^2, where sigma_c^2 is the sum over D of the variance of the K centres.

    Reads `aux["features"]`, the backbone's features before attention, [N, D] or [N, D, h, w], which are averaged over
    the area. The centres are parameters, drawn from a normal distribution: give them to the optimiser.

    Paper: Wen et al., "Distract your attention: multi-head cross attention network for facial expression recognition",
        Biomimetics 2023 (arXiv 2109.07270).

    Differs: nothing from the authors' code, whose mean over the batch and unbiased variance these are.

    Args:
        classes: K, >= 2.
        dim: D of the features, >= 1.
        reads: `features` or another key of `aux`, or `embedding`.
    """

    def __init__(self, classes: int, dim: int, reads: str = "features") -> None:
        super().__init__()
        bounded("classes", classes, 2)
        bounded("dim", dim, 1)
        self.reads = reads
        self.centres = nn.Parameter(torch.randn(classes, dim))

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        x = read(output, self.reads)
        x = x.flatten(2).mean(2) if x.ndim > 2 else x
        if x.shape[1] != self.centres.shape[1]:
            raise RecipeError(f"affinity has centres of {self.centres.shape[1]}, features of {x.shape[1]}; mend dim")
        spread = self.centres.var(0).sum().clamp_min(1e-12)
        return (x - self.centres[labels_of(targets)]).square().sum(1).mean() / spread
