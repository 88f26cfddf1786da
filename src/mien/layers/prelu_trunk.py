"""The convolutions that the identity-aware and the island-loss network share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mien.layers.fixed_map import FixedMap
from mien.layers.standardise import Standardise


class PReLUTrunk(nn.Module):
    """Three times convolution, PReLU, batch norm and 2x2 max-pooling, then the map as a vector.

    Paper: Cai et al., "Island loss for learning discriminative features in facial expression recognition", FG 2018;
        Meng et al., "Identity-aware convolutional neural network for facial expression recognition", FG 2017.
    Differs: the order is from memory of the papers; kernels and widths are ours.

    Args:
        channels: of the picture.
        widths: channels of each convolution.
        kernels: sides of their kernels, odd.
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (64, 64, 128),
        kernels: Sequence[int] = (5, 5, 3),
        size: int = 48,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [FixedMap(size), Standardise()]
        inputs = channels
        for width, kernel in zip(widths, kernels, strict=True):
            layers += [nn.Conv2d(inputs, width, kernel, padding=kernel // 2), nn.PReLU(width), nn.BatchNorm2d(width)]
            layers.append(nn.MaxPool2d(2))
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.outputs = inputs * (size // 2 ** len(widths)) ** 2

    def forward(self, x: Tensor) -> Tensor:
        """Feature map [N, widths[-1], h, w] of pictures [N, C, S, S]."""
        features: Tensor = self.layers(x)
        return features
