"""Multiplicative combination: each modality's cross-entropy, weighted by how sure the modalities are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, labels_of, one_of, read
from mien.models import Output


@LOSSES.register("multiplicative", paper="Mittal et al., M3ER, AAAI 2020; Liu et al. 2018", needs=("by_modality",))
class Multiplicative(Loss):
    """L = -1/N sum_n sum_m w_nm log p_nm(y_n) over the modalities that are there.

    With `boost` (Mittal et al.) w_nm = p_nm(y_n)^(beta / (M - 1)): modalities that are right already count most. With
    `suppress` (Liu et al.) w_nm = prod over j != m of (1 - p_nj(y_n))^(beta / (M - 1)): a modality counts little where
    others are right already. Reads `aux["by_modality"]`, logits [N, M, K], and, where given, `aux["effective"]` [N, M],
    1 for modalities that are there. A single modality gets plain cross-entropy.

    Paper: Mittal et al., "M3ER: multiplicative multimodal emotion recognition using facial, textual, and speech cues",
        AAAI 2020; Liu et al., "Learn to combine modalities in multimodal deep learning", arXiv 1805.11730, 2018.
    Differs: the weights are taken as constants. As printed, with the gradient through them (`through`), `boost` has its
        least value not only where p = 1 but also where p = 0, and drives a modality that is wrong away from the truth.

    Args:
        kind: `boost` or `suppress`.
        beta: strength of the weighting, from 0 (none).
        through: let the gradient pass through the weights.
    """

    def __init__(self, kind: str = "boost", beta: float = 2.0, through: bool = False) -> None:
        super().__init__()
        self.kind = one_of("kind", kind, ("boost", "suppress"))
        self.beta = bounded("beta", beta, 0.0)
        self.through = through

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        logits = read(output, "by_modality")
        there = torch.ones(logits.shape[:2], dtype=logits.dtype, device=logits.device)
        if isinstance(output, Output) and "effective" in output.aux:
            there = output.aux["effective"].to(logits.dtype)
        place = labels_of(targets)[:, None, None].expand(-1, logits.shape[1], 1)
        logs = torch.log_softmax(logits, 2).gather(2, place)[:, :, 0]
        weight = self._weight(logs if self.through else logs.detach(), there)
        return -(weight * logs * there).sum(1).mean()

    def _weight(self, logs: Tensor, there: Tensor) -> Tensor:
        count = logs.shape[1]
        if count == 1:
            return torch.ones_like(logs)
        power = self.beta / (count - 1)
        if self.kind == "boost":
            return torch.exp(power * logs)
        # 1 - p as log1p(-p), kept off -inf; a modality that is not there suppresses nobody
        rest = torch.log1p(-torch.exp(logs).clamp_max(1 - 1e-6)) * there
        return torch.exp(power * (rest.sum(1, keepdim=True) - rest))
