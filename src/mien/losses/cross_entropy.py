"""Softmax cross-entropy with one class per face."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from mien.losses import LOSSES
from mien.losses.base import Loss, labels_of, logits_of
from mien.models import Output


@LOSSES.register(
    "cross-entropy",
    paper="Bridle, Probabilistic interpretation of feedforward classification network outputs, 1990",
    needs=("logits",),
)
class CrossEntropy(Loss):
    """L = -1/N sum_n log softmax(z_n)_y, where y is the class with the largest share of the target.

    The softmax loss L_s of the papers on centres and margins. `soft-cross-entropy` keeps the whole distribution.

    Paper: Bridle, "Probabilistic interpretation of feedforward classification network outputs", Neurocomputing, 1990.
    """

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        return functional.cross_entropy(logits_of(output), labels_of(targets))
