"""Convolutional block attention: which channels, then where."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """M_c = sigmoid(MLP(avg x) + MLP(max x)), y = M_c * x; one MLP for both pools.

    Paper: Woo et al., "CBAM: convolutional block attention module", ECCV 2018, eq. (2).

    Args:
        channels: C of the input [N, C, H, W].
        reduction: hidden channels are C // reduction, at least 4.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean, peak = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return x * torch.sigmoid(self.mlp(mean) + self.mlp(peak))


class SpatialAttention(nn.Module):
    """M_s = sigmoid(conv([avg_c x; max_c x])), y = M_s * x.

    Paper: Woo et al., "CBAM: convolutional block attention module", ECCV 2018, eq. (3).

    Args:
        kernel: side of the convolution, odd.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, 1, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv(pooled))


class CBAM(nn.Sequential):
    """Channel attention, then spatial attention."""

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__(ChannelAttention(channels, reduction), SpatialAttention(kernel))
