"""MobileNetV2: inverted residuals with linear bottlenecks."""

from __future__ import annotations

from typing import Any

from torch import nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.inverted_residual import InvertedResidual, divisible
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face

# expansion t, channels c, repeats n, stride s (Sandler et al., table 2)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """Inverted residuals: narrow shortcuts around wide depthwise convolutions, ReLU6, no activation on the narrow side.

    Paper: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, tables 1-2.

    Differs: the stem has stride 1, so that 48 px end in a 3x3 map (224 px end in 7x7 there); each picture is
        standardised.

    Args:
        classes: K.
        channels: of the picture.
        width: factor of all channels; the last convolution never has fewer than `last`.
        repeats: largest number of blocks of a stage; 0 leaves the paper's.
        last: channels of the last convolution at width 1, D of the embedding.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        width: float = 1.0,
        repeats: int = 0,
        last: int = 1280,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()

        def act(_: int) -> nn.Module:
            return nn.ReLU6()

        inputs = divisible(32 * width)
        layers: list[nn.Module] = [Standardise(), conv_unit(channels, inputs, 3, act=act)]
        for expansion, c, n, stride in STAGES:
            outputs = divisible(c * width)
            for block in range(min(n, repeats or n)):
                hidden = inputs * expansion
                layers.append(InvertedResidual(inputs, hidden, outputs, 3, 1 if block else stride, act))
                inputs = outputs
        dim = divisible(last * max(1.0, width))
        layers.append(conv_unit(inputs, dim, 1, act=act))
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.layers(face(inputs))
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("mobilenet-v2", paper="Sandler et al. 2018", parameters=2_233_544, size=48, modality="face")
def mobilenet_v2(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> MobileNetV2:
    """MobileNetV2 at width 1 with a stem of stride 1."""
    return MobileNetV2(classes, **own({}, tiny, {"width": 0.1, "repeats": 2, "last": 32}, arguments))
