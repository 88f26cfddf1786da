"""The Inception network of Mollahosseini et al. for expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face

# 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; pool projection: 3a, 3b, 4a, 4b of GoogLeNet
BLOCKS = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
)


class InceptionBlock(nn.Module):
    """1x1, 3x3, 5x5 convolutions and 3x3 max-pooling side by side, the larger ones after 1x1 reductions.

    Paper: Szegedy et al., "Going deeper with convolutions", CVPR 2015, fig. 2b.

    Args:
        inputs: channels that come in.
        widths: channels of 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; pool projection.
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pool = widths
        self.branches = nn.ModuleList(
            [
                conv_unit(inputs, one, 1),
                nn.Sequential(conv_unit(inputs, three_in, 1), conv_unit(three_in, three, 3)),
                nn.Sequential(conv_unit(inputs, five_in, 1), conv_unit(five_in, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_unit(inputs, pool, 1)),
            ]
        )
        self.outputs = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Inception(nn.Module):
    """Two convolutions with max-pooling, four Inception blocks, two linear layers.

    Paper: Mollahosseini, Chan, Mahoor, "Going deeper in facial expression recognition using deep neural networks",
        WACV 2016; Ge et al. (2022) compare with it as "two convolution layers, a maximum pooling layer and four
        inception layers".

    Differs: the widths are from memory: 7x7/2 with 64 and 3x3 with 192 channels, blocks 3a, 3b, 4a and 4b of GoogLeNet,
        linear layers of 4096 and 1024. Batch norm in place of local response normalisation; each picture is
        standardised.

    Args:
        classes: K.
        channels: of the picture.
        stem: channels of the two convolutions.
        blocks: widths of each Inception block; the side is halved before the third.
        hidden: units of the first linear layer.
        dim: D of the embedding, the second one.
        dropout: after both linear layers, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        stem: Sequence[int] = (64, 192),
        blocks: Sequence[Sequence[int]] = BLOCKS,
        hidden: int = 4096,
        dim: int = 1024,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [Standardise(), conv_unit(channels, stem[0], 7, 2), nn.MaxPool2d(3, 2, 1)]
        layers += [conv_unit(stem[0], stem[1], 3), nn.MaxPool2d(3, 2, 1)]
        inputs = stem[1]
        for index, widths in enumerate(blocks):
            if index == 2:
                layers.append(nn.MaxPool2d(3, 2, 1))
            block = InceptionBlock(inputs, widths)
            layers.append(block)
            inputs = block.outputs
        self.layers = nn.Sequential(*layers)
        self.fc1 = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.fc2 = nn.Sequential(nn.Linear(hidden, dim), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.layers(face(inputs))
        embedding = self.fc2(self.fc1(features.mean((2, 3))))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("inception", paper="Mollahosseini et al. 2016", parameters=7_799_064, size=48, modality="face")
def inception(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> Inception:
    """Four Inception blocks at 6x6 and 3x3."""
    blocks = tuple(tuple(max(2, width // 16) for width in block) for block in BLOCKS)
    return Inception(classes, **own({}, tiny, {"stem": (8, 16), "blocks": blocks, "hidden": 32, "dim": 16}, arguments))
