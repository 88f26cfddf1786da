"""Cross-entropy weighted by the effective number of each class's faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, distribution_of, logits_of
from mien.losses.focal import modulated
from mien.models import Output


@LOSSES.register(
    "class-balanced",
    paper="Cui et al., Class-balanced loss based on effective number of samples, CVPR 2019",
    needs=("logits", "counts"),
)
class ClassBalanced(Loss):
    """L = -1/N sum_n sum_k t_nk w_k (1 - p_nk)^gamma log p_nk, with w_k proportional to (1 - beta) / (1 - beta^n_k).

    The weights are scaled to sum to the number of classes. beta = 0 weighs all classes alike, beta -> 1 by 1 / n_k.

    Paper: Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019, section 4.

    Differs: softmax for the focal variant too (gamma > 0), where the paper has sigmoids. A class without faces has
        weight 0, and the others sum to their own number.

    Args:
        counts: faces n_k of each class in the training split, [K], at least one of them above 0.
        beta: in [0, 1).
        gamma: of the focal variant, >= 0; 0 is the softmax variant.
    """

    weight: Tensor

    def __init__(self, counts: Sequence[float], beta: float = 0.999, gamma: float = 0.0) -> None:
        super().__init__()
        self.gamma = bounded("gamma", gamma, 0)
        bounded("beta", beta, 0, 1, "[)")
        n = torch.tensor(list(counts), dtype=torch.double)
        if n.ndim != 1 or not (torch.isfinite(n).all() and (n >= 0).all() and (n > 0).any()):
            raise RecipeError(f"counts = {list(counts)}; give the number of training faces of each class, not all 0")
        # 64 bits, for 1 - beta^n loses its digits where beta is next to 1
        effective = n.clamp(max=1) if beta == 0 else -torch.expm1(n * torch.log(torch.tensor(beta).double()))
        weight = torch.where(n > 0, (1 - beta) / effective, 0.0)
        weight = weight * (n > 0).sum() / weight.sum()
        self.register_buffer("weight", weight.float())

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        logits = logits_of(output)
        share = distribution_of(targets, logits)
        return -(share * self.weight * modulated(logits, self.gamma)).sum(1).mean()
