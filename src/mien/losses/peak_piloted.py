"""Peak-piloted feature transformation: the responses to a weak expression are drawn to those to its peak."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, distribution_of, read
from mien.models import Output


@LOSSES.register(
    "peak-piloted",
    paper="Zhao et al., Peak-piloted deep network for facial expression recognition, ECCV 2016",
    reads=("peak", "nonpeak", "nonpeak_logits"),
)
class PeakPiloted(Loss):
    """L = weight / N sum_i ||f(x_i^p) - f(x_i^n)||^2 + 1/N sum_i CE(x_i^n), beside the peak faces' own cross-entropy.

    f are the responses of the led layers to the peak face x^p and the non-peak face x^n of one clip. Peak gradient
    suppression: f(x^p) is a constant in the first term, so that the peak leads and is not led.

    Reads `aux["peak"]`, `aux["nonpeak"]` [N, D] and `aux["nonpeak_logits"]` [N, K], which `ppdn` gives in training.

    Paper: Zhao et al., "Peak-piloted deep network for facial expression recognition", ECCV 2016: its objective, and
        peak gradient suppression.

    Differs: the peak faces' cross-entropy and the weight decay, parts of the paper's one sum, are a term of their own
        and the optimiser's; the weight is ours (1 there).

    Args:
        weight: of the first term, at least 0.
        suppress: peak gradient suppression; without it both faces are drawn to each other, the paper's ablation.
    """

    def __init__(self, weight: float = 1.0, suppress: bool = True) -> None:
        super().__init__()
        self.weight = bounded("weight", weight, 0)
        self.suppress = suppress

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        peak, other = read(output, "peak"), read(output, "nonpeak")
        if peak.shape != other.shape:
            raise RecipeError(
                f"peak-piloted compares 'peak' {list(peak.shape)} with 'nonpeak' {list(other.shape)}; "
                "they must be alike"
            )
        logits = read(output, "nonpeak_logits")
        led = (other - (peak.detach() if self.suppress else peak)).square().sum(1).mean()
        return self.weight * led + functional.cross_entropy(logits, distribution_of(targets, logits))
