"""A bidirectional LSTM that steps beyond a sample's end do not reach."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def lengths(there: Tensor) -> Tensor:
    """Steps up to the last one that is there, int64 [N], at least 1.

    >>> lengths(torch.tensor([[True, False, True, False], [False, False, False, False]])).tolist()
    [3, 1]
    """
    steps = torch.arange(1, there.shape[1] + 1, device=there.device)
    return (there * steps).amax(1).clamp_min(1)


class MaskedLSTM(nn.Module):
    """Two LSTMs, one from the first step on and one from the last that is there back: [N, T, D] to [N, T, 2 H].

    Each sample is turned within its own length, so that padding changes nothing; gaps inside it count as steps of
    zeros. Unlike packed sequences this exports to ONNX.

    Paper: Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 1997; Graves, Schmidhuber, "Framewise
        phoneme classification with bidirectional LSTM", Neural Networks 2005.

    Args:
        dim: D.
        hidden: H of each direction.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.onward = nn.LSTM(dim, hidden, batch_first=True)
        self.back = nn.LSTM(dim, hidden, batch_first=True)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Features [N, T, D] and what is there, bool [N, T]; 0 beyond each sample's end."""
        length = lengths(there)[:, None]
        step = torch.arange(x.shape[1], device=x.device)[None]
        within = step < length
        turned = torch.where(within, length - 1 - step, step)[:, :, None]
        x = x * there[:, :, None].to(x.dtype)
        onward = self.onward(x)[0]
        back = self.back(x.gather(1, turned.expand_as(x)))[0]
        back = back.gather(1, turned.expand_as(back))
        return torch.cat([onward, back], 2) * within[:, :, None].to(x.dtype)
