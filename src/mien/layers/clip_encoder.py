"""Transformer encoder blocks over the frames of clips of unequal length."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mien.layers.encoder_block import EncoderBlock


class ClipBlock(EncoderBlock):
    """An `EncoderBlock` whose attention leaves out the frames beyond each clip's end."""

    def look(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Self-attention of frames [N, T, D] to those for which the mask [N, T] is true."""
        q, k, v = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2)]
        seen = None if mask is None else mask[:, None, None]
        joined = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(2)
        y: Tensor = self.out(joined)
        return y

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.dropout(self.look(self.norm1(x), mask))
        y: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return y
