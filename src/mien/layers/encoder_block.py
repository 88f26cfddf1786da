"""One block of a transformer encoder."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and a two-layer perceptron, each with a shortcut.

    y = x + MSA(LN(x)), z = y + MLP(LN(y)); MSA = softmax(Q K^T / sqrt(D / heads)) V per head.

    Paper: Vaswani et al., "Attention is all you need", NeurIPS 2017; pre-norm as in Dosovitskiy et al., "An image is
        worth 16x16 words", ICLR 2021, eqs (2)-(3).

    Args:
        dim: D of the tokens [N, L, D], a multiple of `heads`.
        heads: of attention.
        expansion: of the perceptron's hidden layer.
        dropout: on both residual branches, in [0, 1).
    """

    def __init__(self, dim: int, heads: int, expansion: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise RecipeError(f"{heads} heads do not divide {dim} channels; choose another number of heads")
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, expansion * dim), nn.GELU(), nn.Linear(expansion * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def attend(self, x: Tensor) -> Tensor:
        """Self-attention of tokens [N, L, D]."""
        parts = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2)]
        joined = functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        y: Tensor = self.out(joined)
        return y

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attend(self.norm1(x)))
        y: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return y
