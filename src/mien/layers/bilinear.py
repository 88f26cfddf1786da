"""Bilinear pooling of two streams of convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.conv_unit import conv_unit


def bilinear_pool(a: Tensor, b: Tensor) -> Tensor:
    """Which features of two maps occur together: [N, A, H, W] and [N, B, H, W] to [N, A B], of length 1.

    X = 1/(H W) sum over places a_hw b_hw^T, then sign(X) sqrt(|X|), then X / ||X||.

    Paper: Lin, RoyChowdhury, Maji, "Bilinear CNN models for fine-grained visual recognition", ICCV 2015, section 2.1.
    """
    joint = torch.bmm(a.flatten(2), b.flatten(2).transpose(1, 2)).flatten(1) / (a.shape[2] * a.shape[3])
    # the root's slope has no bound at zero
    rooted = joint.sign() * (joint.abs() + 1e-8).sqrt()
    return nn.functional.normalize(rooted, dim=1)


class BilinearNetwork(nn.Module):
    """Two streams of convolutions over one picture, pooled together: [N, C, S, S] to [N, dim].

    Each stream halves the picture with each width; the first has 3x3 kernels, the second 5x5, so that they differ.

    Paper: Lin, RoyChowdhury, Maji, ICCV 2015.
    Differs: they pair networks trained on ImageNet (VGG-M and VGG-D); these streams are small and trained anew. A
        linear layer and a layer norm follow, for the numbers of a long vector of length 1 are small.

    Args:
        channels: C.
        widths: channels of each halving.
        dim: of the result.

    Raises:
        RecipeError: no widths.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], dim: int) -> None:
        super().__init__()
        if not widths:
            raise RecipeError("a bilinear network needs at least one width, such as widths = [16, 32]")
        self.streams = nn.ModuleList(self._stream(channels, widths, kernel) for kernel in (3, 5))
        self.reduce = nn.Sequential(nn.Linear(widths[-1] ** 2, dim), nn.LayerNorm(dim), nn.ReLU())

    @staticmethod
    def _stream(channels: int, widths: tuple[int, ...], kernel: int) -> nn.Sequential:
        units, inputs = [], channels
        for width in widths:
            units += [conv_unit(inputs, width, kernel), nn.AvgPool2d(2, ceil_mode=True)]
            inputs = width
        return nn.Sequential(*units)

    def forward(self, x: Tensor) -> Tensor:
        first, second = (stream(x) for stream in self.streams)
        found: Tensor = self.reduce(bilinear_pool(first, second))
        return found
