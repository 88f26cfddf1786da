"""Pictures or feature maps of one fixed side, for layers whose weights are tied to places."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FixedMap(nn.Module):
    """Resamples pictures or maps [N, C, h, w] to [N, C, side, side], bilinearly; leaves those that have that side.

    >>> import torch
    >>> FixedMap(6)(torch.zeros(1, 2, 5, 7)).shape
    torch.Size([1, 2, 6, 6])
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) == (self.side, self.side):
            return x
        return F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
