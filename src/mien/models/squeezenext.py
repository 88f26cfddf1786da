"""SqueezeNext: two-stage bottlenecks and separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class SqueezeNextBlock(nn.Module):
    """1x1 to C/2, 1x1 to C/4, 3x1 and 1x3 at C/2, 1x1 expansion, plus the shortcut.

    Where the block strides it squeezes half as much (C, C/2, C), where it loses channels twice as much.

    Args:
        inputs: C, channels that come in.
        outputs: channels that go out.
        stride: of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        share = 1 if stride == 2 else 4 if inputs > outputs else 2
        middle = inputs // share
        self.layers = nn.Sequential(
            conv_unit(inputs, middle, 1, stride),
            conv_unit(middle, middle // 2, 1),
            conv_unit(middle // 2, middle, (1, 3)),
            conv_unit(middle, middle, (3, 1)),
            conv_unit(middle, outputs, 1),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2 or inputs != outputs:
            self.shortcut = conv_unit(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


class SqueezeNext(nn.Module):
    """1.0-SqNxt-23: 21 blocks between a stem and a 1x1 bottleneck before the classifier.

    Paper: Gholami et al., "SqueezeNext: hardware-aware neural network design", CVPR workshops 2018.

    Differs: the stem is a 3x3 convolution of stride 1 without max-pooling (7x7, stride 2 there), so that 48 px end in a
        6x6 map; convolutions have no bias, for a batch norm follows each; each picture is standardised.

    Args:
        classes: K.
        channels: of the picture.
        stem: channels of the first convolution.
        widths: channels of the four stages; every stage after the first halves the side.
        depths: blocks of each stage.
        dim: D of the embedding, the channels of the last bottleneck.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        stem: int = 64,
        widths: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (6, 6, 8, 1),
        dim: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [Standardise(), conv_unit(channels, stem, 3)]
        inputs = stem
        for stage, (outputs, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                layers.append(SqueezeNextBlock(inputs, outputs, 2 if stage and not block else 1))
                inputs = outputs
        layers.append(conv_unit(inputs, dim, 1))
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.layers(face(inputs))
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("squeezenext", paper="Gholami et al. 2018", parameters=581_480, size=48, modality="face")
def squeezenext(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> SqueezeNext:
    """1.0-SqNxt-23 with a stem of stride 1."""
    small = {"stem": 16, "widths": (8, 16, 16, 32), "depths": (2, 1, 2, 1), "dim": 16}
    return SqueezeNext(classes, **own({}, tiny, small, arguments))
