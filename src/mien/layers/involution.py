"""Involution: a kernel for each place, shared by channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Involution(nn.Module):
    """y_c(p) = sum_k W_g(p, k) x_c(p + k), with W = W1 relu(norm(W0 x)), g the group of channel c, and K x K places k.

    Paper: Li et al., "Involution: inverting the inherence of convolution for visual recognition", CVPR 2021, eqs.
        (4)-(6).
    Differs: stride 1 only.

    Args:
        channels: C of the input and output.
        kernel: side K of the kernel, odd.
        group: channels that share a kernel; they must divide C.
        reduction: C / reduction channels in the bottleneck, at least 4.
    """

    def __init__(self, channels: int, kernel: int = 7, group: int = 16, reduction: int = 4) -> None:
        super().__init__()
        if channels % group:
            raise ValueError(f"involution of {channels} channels in groups of {group}; choose a divisor")
        self.kernel, self.groups = kernel, channels // group
        hidden = max(4, channels // reduction)
        self.reduce = nn.Sequential(nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU())
        self.span = nn.Conv2d(hidden, kernel**2 * self.groups, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        taps = self.kernel**2
        weight = self.span(self.reduce(x)).reshape(n, self.groups, 1, taps, h, w)
        seen = F.unfold(x, self.kernel, padding=self.kernel // 2)
        seen = seen.reshape(n, self.groups, c // self.groups, taps, h, w)
        mixed: Tensor = torch.mul(weight, seen).sum(3).reshape(n, c, h, w)
        return mixed
