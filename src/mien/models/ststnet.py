"""STSTNet: three shallow streams over optical flow and strain, for micro-expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import own
from mien.layers.fixed_map import FixedMap
from mien.models import MODELS, Inputs, Output
from mien.models.clips import flow, linear_head


class STSTNet(nn.Module):
    """Three streams of one 3x3 convolution with 3, 5 and 8 filters over u, v and strain together.

    Each: convolution, ReLU, batch norm, max-pooling 3x3 of stride 3, dropout; 28 px give 10x10 maps. The 16 maps are
    averaged to 5x5 and read by one linear layer.

    Paper: Liong et al., "Shallow triple stream three-dimensional CNN (STSTNet) for micro-expression recognition", FG
        2019. The streams' kernels span all three channels, hence "three-dimensional".

    Differs: batch norm also at the input, which brings flow in pixels and flow as pictures to one scale.

    Args:
        classes: K.
        filters: of each stream.
        dropout: after each stream's pooling, in [0, 1).
    """

    def __init__(self, classes: int = 3, filters: Sequence[int] = (3, 5, 8), dropout: float = 0.5) -> None:
        super().__init__()
        self.fix = FixedMap(28)
        self.norm = nn.BatchNorm2d(3)
        self.streams = nn.ModuleList(self._stream(count, dropout) for count in filters)
        self.pool = nn.AvgPool2d(2)
        self.head = linear_head(5 * 5 * sum(filters), classes)

    @staticmethod
    def _stream(filters: int, dropout: float) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(3, filters, 3, 1, 1),
            nn.ReLU(),
            nn.BatchNorm2d(filters),
            nn.MaxPool2d(3, 3, 1),
            nn.Dropout(dropout),
        )

    def forward(self, inputs: Inputs) -> Output:
        x: Tensor = self.norm(self.fix(flow(inputs)))
        features = torch.cat([stream(x) for stream in self.streams], 1)
        embedding = self.pool(features).flatten(1)
        return Output(self.head(embedding), embedding, {"features": features})


@MODELS.register("ststnet", paper="Liong et al. 2019", parameters=1_689, size=28, classes=3, modality="flow")
def ststnet(classes: int = 3, *, tiny: bool = False, **arguments: Any) -> STSTNet:
    """16 filters over 28x28x3 flow."""
    return STSTNet(classes, **own({}, tiny, {"filters": (2, 2, 3)}, arguments))
