"""Cross-entropy with soft targets, adjusted for the frequency of the classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.losses import LOSSES
from mien.models import Output


@LOSSES.register(
    "soft-cross-entropy",
    paper="Menon et al., Long-tail learning via logit adjustment, ICLR 2021",
    needs=("logits",),
)
class SoftCrossEntropy(nn.Module):
    """L = -1/N sum_n sum_k t_nk log softmax(z_n + tau log prior)_k.

    With tau = 0 this is cross-entropy with soft targets, as Barsoum et al. train FER+ ("PLD", ICMI 2016). With tau = 1
    the softmax of z alone is the posterior under equally frequent classes, so that rare classes are not drowned.

    Paper: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq (10).

    Args:
        prior: frequency of each class in the training targets, [K]; None means tau has no effect.
        tau: strength of the adjustment, >= 0.
        smoothing: share of each target that is spread evenly over the K classes, in [0, 1).
    """

    log_prior: Tensor

    def __init__(self, prior: Sequence[float] | None = None, tau: float = 0.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.tau = tau
        self.smoothing = smoothing
        log_prior = torch.zeros(1) if prior is None else torch.log(torch.tensor(list(prior)).clamp_min(1e-6))
        self.register_buffer("log_prior", log_prior)

    def forward(self, output: Output | Tensor, targets: Tensor, **extra: Tensor) -> Tensor:
        """Loss of an output, or of logits [N, K], with targets [N, K]."""
        logits = output if isinstance(output, Tensor) else output.logits
        if self.smoothing:
            targets = targets * (1 - self.smoothing) + self.smoothing / targets.shape[1]
        scores = torch.log_softmax(logits.float() + self.tau * self.log_prior, 1)
        return -(targets * scores).sum(1).mean()
