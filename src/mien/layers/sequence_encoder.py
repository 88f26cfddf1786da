"""Features over time to one vector, with steps that are missing left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.layers.over_modalities import mean_there


class SequenceEncoder(nn.Module):
    """Each step through a layer, a bidirectional LSTM where there are several steps, then the mean over those there.

    Steps that are missing are packed away before the LSTM: what comes after a gap follows what came before it.

    Args:
        width: E, must be even.
        steps: T; a single step needs no LSTM.
    """

    def __init__(self, dim: int, width: int, steps: int = 1) -> None:
        super().__init__()
        self.step = nn.Sequential(nn.Linear(dim, width), nn.ReLU())
        self.lstm = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True) if steps > 1 else None

    def over_time(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Every step [N, T, E] of features [N, T, D], those that are there moved to the front; and where they are."""
        if x.shape[1] == 1:  # nothing to move; and sorting does not export
            return self.step(x) * there[:, :, None].to(x.dtype), there
        order = torch.argsort((~there).to(torch.int8), dim=1, stable=True)
        x = self.step(x.gather(1, order[:, :, None].expand_as(x)))
        front = there.gather(1, order)
        if self.lstm is None:
            return x * front[:, :, None].to(x.dtype), front
        length = front.sum(1).clamp_min(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
        x, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return x * front[:, :, None].to(x.dtype), front

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """One vector [N, E] of features [N, T, D] and their mask [N, T]; 0 where nothing is there."""
        return mean_there(*self.over_time(x, there))
