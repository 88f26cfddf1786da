"""Channel and spatial attention side by side, in two forms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.layers.cbam import ChannelAttention, SpatialAttention
from mien.layers.resnet import conv_norm


class CSAM(nn.Module):
    """y = x + sigmoid(C(x) + S(x)) * x, C of the channels' means, S of a bottleneck that sees 5 x 5 places.

    C(x) = W1 relu(norm(W0 avg x)) is [N, C, 1, 1]; S(x), two 3x3 convolutions between two of 1x1, is [N, 1, H, W].

    Paper: Park et al., "BAM: bottleneck attention module", BMVC 2018, eqs. (1)-(3), for the form.
    Differs: plain instead of dilated convolutions, for maps of 6 px; no norm in C, so that single faces can be trained.

    Args:
        channels: C of the input [N, C, H, W].
        reduction: hidden channels are C // reduction, at least 4.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.channel = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.place = nn.Sequential(
            conv_norm(channels, hidden, 1),
            nn.ReLU(),
            conv_norm(hidden, hidden, 3),
            nn.ReLU(),
            conv_norm(hidden, hidden, 3),
            nn.ReLU(),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate = self.channel(x.mean((2, 3), keepdim=True)) + self.place(x)
        return x + x * torch.sigmoid(gate)


class ChannelSpatialFusion(nn.Module):
    """y = x + relu(norm(W [C(x); S(x)])): both kinds of attention on the same map, fused by a 1x1 convolution W.

    C and S are the channel and the spatial attention of CBAM, applied in parallel.

    Args:
        channels: C of the input and output [N, C, H, W].
        reduction: of the channel attention.
        kernel: of the spatial attention.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 3) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction)
        self.spatial = SpatialAttention(kernel)
        self.fuse = conv_norm(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.fuse(torch.cat([self.channel(x), self.spatial(x)], 1)))
