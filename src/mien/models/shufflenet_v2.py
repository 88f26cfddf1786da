"""ShuffleNetV2: channel split and channel shuffle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


def shuffle(x: Tensor, groups: int = 2) -> Tensor:
    """Interleave groups of channels: with two groups of [N, C, H, W], 0, C/2, 1, C/2 + 1, ...

    >>> shuffle(torch.arange(6.0).reshape(1, 6, 1, 1)).flatten().tolist()
    [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    """
    parts = x.chunk(groups, 1)
    return torch.stack(parts, 2).flatten(1, 2)


class ShuffleUnit(nn.Module):
    """Half of the channels pass by, half go through 1x1, 3x3 depthwise, 1x1; where it strides, both halves are made.

    Args:
        inputs: channels that come in.
        outputs: channels that go out; with stride 1 as many as come in.
        stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.split = stride == 1
        entering = half if self.split else inputs
        self.main = nn.Sequential(
            conv_unit(entering, half, 1),
            conv_unit(half, half, 3, stride, groups=half, act=None),
            conv_unit(half, half, 1),
        )
        if not self.split:
            self.aside = nn.Sequential(
                conv_unit(inputs, inputs, 3, stride, groups=inputs, act=None), conv_unit(inputs, half, 1)
            )

    def forward(self, x: Tensor) -> Tensor:
        if self.split:
            aside, main = x.chunk(2, 1)
        else:
            aside, main = self.aside(x), x
        return shuffle(torch.cat([aside, self.main(main)], 1))


class ShuffleNetV2(nn.Module):
    """Three stages of units that keep channels equal, avoid group convolution and mix by shuffling.

    Paper: Ma et al., "ShuffleNet V2: practical guidelines for efficient CNN architecture design", ECCV 2018, table 5.

    Differs: the stem has stride 1 and no max-pooling, so that 48 px end in a 6x6 map (224 px end in 7x7 there); each
        picture is standardised.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of the stem, the three stages (even) and the last convolution; those of 1x in the paper.
        repeats: units of each stage.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (24, 116, 232, 464, 1024),
        repeats: Sequence[int] = (4, 8, 4),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        stem, *stages, last = widths
        layers: list[nn.Module] = [Standardise(), conv_unit(channels, stem, 3)]
        inputs = stem
        for outputs, depth in zip(stages, repeats, strict=True):
            for unit in range(depth):
                layers.append(ShuffleUnit(inputs, outputs, 1 if unit else 2))
                inputs = outputs
        layers.append(conv_unit(inputs, last, 1))
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(last, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.layers(face(inputs))
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("shufflenet-v2", paper="Ma et al. 2018", parameters=1_261_372, size=48, modality="face")
def shufflenet_v2(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> ShuffleNetV2:
    """ShuffleNetV2 1x with a stem of stride 1."""
    return ShuffleNetV2(classes, **own({}, tiny, {"widths": (8, 16, 24, 32, 32), "repeats": (2, 2, 2)}, arguments))
