"""Transformation-invariant pooling: the largest of the features over transformed copies of the input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class TransformSet(nn.Module):
    """Copies of a picture, each mirrored, turned or rescaled in one fixed way.

    Args:
        transforms: (mirror: 1 or -1, degrees, zoom) of each copy; the first should change nothing: (1, 0, 1).
    """

    def __init__(self, transforms: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.transforms = [(float(m), math.radians(d), float(z)) for m, d, z in transforms]

    def __len__(self) -> int:
        return len(self.transforms)

    def _turn(self, x: Tensor, mirror: float, angle: float, zoom: float) -> Tensor:
        height, width = int(x.shape[-2]), int(x.shape[-1])
        # pixel centres in units of half a side, from output to input
        v = ((2 * torch.arange(height, device=x.device) + 1) / height - 1).to(x.dtype)[:, None]
        u = ((2 * torch.arange(width, device=x.device) + 1) / width - 1).to(x.dtype)[None, :]
        column = mirror * (math.cos(angle) * u - math.sin(angle) * v) / zoom
        row = (math.sin(angle) * u + math.cos(angle) * v) / zoom
        grid = torch.stack([column, row], 2)[None].expand(x.shape[0], -1, -1, -1)
        return functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures [N, C, H, W] to their copies [P N, C, H, W], all of the first transform first."""
        copies = []
        for mirror, angle, zoom in self.transforms:
            if angle == 0 and zoom == 1:
                copies.append(x if mirror > 0 else x.flip(3))
            else:
                copies.append(self._turn(x, mirror, angle, zoom))
        return torch.cat(copies)


def transform_pool(features: Tensor, copies: int) -> Tensor:
    """Element-wise maximum over copies: [P N, D] to [N, D].

    Paper: Laptev et al., "TI-pooling: transformation-invariant pooling for feature learning in convolutional neural
        networks", CVPR 2016, eq. (1): g_k(x) = max over transforms f of f_k(phi(x)).

    >>> transform_pool(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), 2)
    tensor([[3., 4.]])
    """
    pooled: Tensor = features.reshape(copies, -1, *features.shape[1:]).amax(0)
    return pooled
