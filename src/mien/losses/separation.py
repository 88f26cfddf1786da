"""A discriminator must be able to tell two modalities apart, however much they have been fused."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from mien.losses import LOSSES
from mien.losses.base import Loss, read
from mien.models import Output


@LOSSES.register("separation", paper="Han et al., BBFN, ICMI 2021", needs=("separator",))
class Separation(Loss):
    """L = mean binary cross-entropy of discriminators: the first of each pair is the main modality, the second is not.

    Reads `aux["separator"]`, logits [N, S, 2] of S discriminators for the two modalities of each pair: above 0 where
    one is taken for the complementary modality. The network is trained with the discriminators, not against them, so
    that what is fused stays different. A term beside one that trains the classifier.

    Paper: Han et al., "Bi-bimodal modality fusion for correlation-controlled multimodal sentiment analysis", ICMI 2021,
        the modality-specific feature space separator.
    """

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        logits = read(output, "separator")
        which = torch.zeros_like(logits)
        which[..., 1] = 1
        return functional.binary_cross_entropy_with_logits(logits, which)
