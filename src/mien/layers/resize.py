"""One side for all pictures, for networks whose linear layers see every place."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Resize(nn.Module):
    """Stretch pictures [N, C, H, W] to [N, C, side, side], bilinearly; those of that size pass as they are."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) == (self.side, self.side):
            return x
        return F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
