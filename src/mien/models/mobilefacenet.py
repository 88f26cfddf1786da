"""MobileFaceNet: below a million parameters, with a weighted last pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.fixed_map import FixedMap
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face

# expansion t, channels c, repeats n, stride s (Chen et al., table 1)
STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class Bottleneck(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; PReLU; a shortcut where nothing changes shape."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.layers = nn.Sequential(
            conv_unit(inputs, hidden, 1, act=nn.PReLU),
            conv_unit(hidden, hidden, 3, stride, groups=hidden, act=nn.PReLU),
            conv_unit(hidden, outputs, 1, act=None),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class MobileFaceNet(nn.Module):
    """MobileNetV2's bottlenecks and, in place of average pooling, one learnt weight per place and channel.

    The last map F [C, g, g] becomes G_c = sum_ij K_cij F_cij (global depthwise convolution), then a linear 1x1
    convolution gives the embedding.

    Paper: Chen et al., "MobileFaceNets: efficient CNNs for accurate real-time face verification on mobile devices",
        CCBR 2018, table 1.

    Differs: the stem has stride 1, so that 48 px give the 6x6 map that 112 px nearly give (7x7) there; a map of another
        side is resampled to it. Each picture is standardised. The head classifies expressions, not people.

    Args:
        classes: K.
        channels: of the picture.
        stem: channels of the first two convolutions.
        stages: (expansion, channels, repeats, stride) of each.
        last: channels before the global depthwise convolution.
        dim: D of the embedding.
        side: of the last map.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        stem: int = 64,
        stages: Sequence[Sequence[int]] = STAGES,
        last: int = 512,
        dim: int = 128,
        side: int = 6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            Standardise(),
            conv_unit(channels, stem, 3, act=nn.PReLU),
            conv_unit(stem, stem, 3, groups=stem, act=nn.PReLU),
        ]
        inputs = stem
        for expansion, width, repeats, stride in stages:
            for block in range(repeats):
                layers.append(Bottleneck(inputs, width, 1 if block else stride, expansion))
                inputs = width
        layers.append(conv_unit(inputs, last, 1, act=nn.PReLU))
        self.layers = nn.Sequential(*layers)
        self.fixed = FixedMap(side)
        pool = nn.Conv2d(last, last, side, groups=last, bias=False)
        self.pool = nn.Sequential(pool, nn.BatchNorm2d(last))
        self.embed = conv_unit(last, dim, 1, act=None)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        initialise(self)
        # starts as the mean over the map
        nn.init.constant_(pool.weight, 1 / side**2)

    def forward(self, inputs: Inputs) -> Output:
        features = self.layers(face(inputs))
        embedding = self.embed(self.pool(self.fixed(features))).flatten(1)
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("mobilefacenet", paper="Chen et al. 2018", parameters=996_360, size=48, modality="face")
def mobilefacenet(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> MobileFaceNet:
    """Under 1 M parameters, with a 128-d embedding."""
    small = {"stem": 8, "stages": [(t, c // 8, min(n, 2), s) for t, c, n, s in STAGES], "last": 32, "dim": 16}
    return MobileFaceNet(classes, **own({}, tiny, small, arguments))
