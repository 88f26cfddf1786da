"""Large kernels at little cost: depthwise convolution split into a square, two bands and nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InceptionDepthwise(nn.Module):
    """Channels in four groups: depthwise 3x3, 1xk, kx1, and the rest as they are.

    Of C channels, g = max(1, C ratio) go to each of the three convolutions.

    Paper: Yu et al., "InceptionNeXt: when Inception meets ConvNeXt", CVPR 2024, eqs (3)-(5).

    Args:
        channels: C of the input and output [N, C, H, W], more than 3 g.
        kernel: k of the bands, odd.
        square: side of the square kernel, odd.
        ratio: share of the channels for each convolution.
    """

    def __init__(self, channels: int, kernel: int = 11, square: int = 3, ratio: float = 1 / 8) -> None:
        super().__init__()
        part = max(1, int(channels * ratio))
        self.split = [part, part, part, channels - 3 * part]
        self.square = nn.Conv2d(part, part, square, 1, square // 2, groups=part)
        self.across = nn.Conv2d(part, part, (1, kernel), 1, (0, kernel // 2), groups=part)
        self.down = nn.Conv2d(part, part, (kernel, 1), 1, (kernel // 2, 0), groups=part)

    def forward(self, x: Tensor) -> Tensor:
        square, across, down, rest = torch.split(x, self.split, 1)
        return torch.cat([self.square(square), self.across(across), self.down(down), rest], 1)


class LargeKernelUnit(nn.Module):
    """y = x + relu(BN(P D x)): Inception depthwise convolution D, 1x1 convolution P."""

    def __init__(self, channels: int, kernel: int = 11, ratio: float = 1 / 8) -> None:
        super().__init__()
        self.depthwise = InceptionDepthwise(channels, kernel, ratio=ratio)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.pointwise(self.depthwise(x))))
