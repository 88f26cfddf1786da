"""Pictures cut into blocks, and attention over the blocks by what all of them hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cut_blocks(x: Tensor, side: int) -> Tensor:
    """Square blocks row by row: [N, C, H, W] to [N, B, C, side, side], H and W multiples of the side.

    >>> cut_blocks(torch.arange(16.0).reshape(1, 1, 4, 4), 2)[0, :, 0, 0, 0].tolist()
    [0.0, 2.0, 8.0, 10.0]
    """
    n, c, height, width = x.shape
    rows, columns = height // side, width // side
    x = x.reshape(n, c, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(n, rows * columns, c, side, side)


class BlockAttention(nn.Module):
    """w = sigmoid(W2 relu(W1 [F_1 ... F_B])), F'_k = w_k F_k: the weight of each place follows from all places.

    Paper: the relative position attention of "InceptionNeXt network with relative position information for
        microexpression recognition", WASA 2024, as "Deep learning based on facial expression recognition from images to
        videos" tells it in section 4.2.1: blocks side by side, ReLU, sigmoid, multiplication.

    Differs: only the abstract and the survey could be read; the two linear layers and one weight a block are ours.

    Args:
        blocks: B.
        dim: D of each block's feature; the input and output are [N, B, D].
        reduction: hidden units are B D // reduction, at least 4.
    """

    def __init__(self, blocks: int, dim: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(4, blocks * dim // reduction)
        self.reduce, self.expand = nn.Linear(blocks * dim, hidden), nn.Linear(hidden, blocks)

    def weights(self, x: Tensor) -> Tensor:
        """w [N, B] in (0, 1)."""
        return torch.sigmoid(self.expand(torch.relu(self.reduce(x.flatten(1)))))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)[:, :, None]
