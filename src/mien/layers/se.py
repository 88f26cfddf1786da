"""Squeeze-and-excitation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Channel attention: scale each channel by a gate computed from all channels' means.

    s = sigmoid(W2 relu(W1 mean(x))), y = s * x.

    Paper: Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018, eqs (2)-(4).

    Args:
        channels: channels of the input [N, channels, H, W].
        reduction: channels of the bottleneck are channels // reduction, at least 4.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(torch.relu(self.reduce(gate))))
