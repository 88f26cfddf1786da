"""Self-attention over the places of a feature map."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sine_positions(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """Sine and cosine of each place's row and column, [1, channels, height, width], at any size.

    Frequencies run from half a turn to eight turns over the side, so that neighbours differ at 6 px and at 24.

    Args:
        channels: a multiple of 4.
    """
    count = channels // 4
    turns = math.pi * 16 ** (torch.arange(count, device=device) / max(1, count - 1))
    rows = turns[:, None] * (torch.arange(height, device=device) + 0.5) / height
    columns = turns[:, None] * (torch.arange(width, device=device) + 0.5) / width
    down = torch.cat([rows.sin(), rows.cos()])[:, :, None].expand(-1, height, width)
    across = torch.cat([columns.sin(), columns.cos()])[:, None].expand(-1, height, width)
    return torch.cat([down, across])[None]


class SelfAttention2d(nn.Module):
    """softmax(q k^T / sqrt(d)) v over all places of a map, in several heads; q and k see positions as well.

    Paper: Vaswani et al., "Attention is all you need", NeurIPS 2017, eq. (1); in place of a residual block's 3x3
        convolution as in Srinivas et al., "Bottleneck transformers for visual recognition", CVPR 2021.
    Differs: absolute sine positions instead of learnt relative ones, which are tied to one size.

    Args:
        channels: C of the input and output [N, C, H, W], a multiple of 4 and of `heads`.
        heads: parallel attentions.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        placed = x + sine_positions(c, h, w, x.device).to(x.dtype)
        q, k = self._tokens(self.ask(placed), 2 * c).chunk(2, 1)
        v = self._tokens(self.value(x), c)
        seen = F.scaled_dot_product_attention(q, k, v)
        return seen.transpose(2, 3).reshape(n, c, h, w)

    def _tokens(self, x: Tensor, channels: int) -> Tensor:
        """[N, channels, H, W] as [N, heads or 2 heads, H * W, d]."""
        n, _, h, w = x.shape
        size = self.value.out_channels // self.heads
        return x.reshape(n, channels // size, size, h * w).transpose(2, 3)
