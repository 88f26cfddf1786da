"""Which frames of a clip matter: compared with a code of the clip, O(n), or with each other, O(n^2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.layers.over_time import masked_softmax


class CodeAttention(nn.Module):
    """a_i = c^T V h_i, xi = softmax(a), f = sum_i xi_i h_i: n comparisons for n frames.

    Paper: Ge et al., "Facial expression recognition based on deep learning", Computer Methods and Programs in
        Biomedicine, 2022, eqs (7)-(9).
    Differs: (8) prints its denominator without the exponential; this is the softmax that its text means.

    Args:
        dim: H of the code c [N, H] and of the states h [N, T, H].
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.empty(dim, dim))
        nn.init.xavier_uniform_(self.mix)

    def forward(self, code: Tensor, states: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The clip's feature [N, H] and the frames' weights [N, T]."""
        score = torch.bmm(states, (code @ self.mix)[:, :, None])[:, :, 0]
        weight = masked_softmax(score, mask)
        return torch.bmm(weight[:, None], states)[:, 0], weight


class PairAttention(nn.Module):
    """b_ij = softmax_j(h_i^T V h_j), xi_j = 1/n sum_i b_ij, f = sum_j xi_j h_j: n^2 comparisons for n frames.

    A frame weighs as much as all frames together look at it.

    Paper: Ge et al. 2022, section 3.2, name the comparison of any two frames, "with time complexity O(n^2)", as the
        costly rival of theirs.
    Differs: they print no formula for it; this is ours. A frame is compared with itself as well.

    Args:
        dim: H of the states [N, T, H].
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.empty(dim, dim))
        nn.init.xavier_uniform_(self.mix)

    def forward(self, states: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The clip's feature [N, H] and the frames' weights [N, T]."""
        pairs = torch.bmm(states @ self.mix, states.transpose(1, 2))
        looks = masked_softmax(pairs, None if mask is None else mask[:, None])
        if mask is None:
            weight = looks.mean(1)
        else:
            asks = mask.to(looks.dtype)[:, :, None]
            weight = (looks * asks).sum(1) / asks.sum(1)
        return torch.bmm(weight[:, None], states)[:, 0], weight
