"""Gated complementation: one sequence takes from another what a control vector lets through."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GatedComplement(nn.Module):
    """x' = g_c * attention(x, other, other) + g_r * x, then a feed-forward layer with a residual.

    The compound gate g_c and the retain gate g_r, in (0, 1), come from a control vector of both modalities: how much of
    what the other one adds is taken, and how much of x itself is kept.

    Paper: Han et al., "Bi-bimodal modality fusion for correlation-controlled multimodal sentiment analysis", ICMI 2021,
        the gated complementation layer.
    Differs: no positions are added, for the sequences come from LSTMs, which know the order.

    Args:
        width: E.
        heads: of the attention.
        drop: share dropped after attention and feed-forward layer.
    """

    def __init__(self, width: int, heads: int = 4, drop: float = 0.1) -> None:
        super().__init__()
        self.norm, self.other_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.compound, self.retain = nn.Linear(2 * width, width), nn.Linear(2 * width, width)
        self.forward_layer = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(drop), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor, other: Tensor, there: Tensor, control: Tensor) -> Tensor:
        """x [N, T, E] with what `other` [N, S, E] adds, of which `there` [N, S] is there; control [N, 2 E]."""
        some = there.any(1)
        # where nothing is there, all is attended to and then dropped, for a softmax over nothing is no number
        hidden = ~there & some[:, None]
        read = self.other_norm(other)
        added = self.attention(self.norm(x), read, read, key_padding_mask=hidden, need_weights=False)[0]
        added = self.drop(added) * some[:, None, None].to(x.dtype)
        compound, retain = torch.sigmoid(self.compound(control)), torch.sigmoid(self.retain(control))
        x = compound[:, None] * added + retain[:, None] * x
        joined: Tensor = x + self.drop(self.forward_layer(x))
        return joined
