"""Small residual networks for 48-pixel grey faces: the networks behind `mien-s` and `mien-m`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.resnet import conv_norm, initialise, shortcut
from mien.layers.se import SqueezeExcite
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class ResidualSE(nn.Module):
    """Two 3x3 convolutions, squeeze-and-excitation, and a shortcut (average-pooled where it strides)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(inputs, outputs, 3, stride)
        self.conv2 = conv_norm(outputs, outputs, 3)
        self.se = SqueezeExcite(outputs)
        self.shortcut = shortcut(inputs, outputs, stride)
        last = self.conv2[1]
        assert isinstance(last, nn.BatchNorm2d)
        # each block starts as its shortcut (Goyal et al., 2017)
        nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.se(self.conv2(torch.relu(self.conv1(x))))
        return torch.relu(y + self.shortcut(x))


class MiniResNet(nn.Module):
    """Residual network with squeeze-and-excitation for small grey faces.

    Paper: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; Hu et al., "Squeeze-and-Excitation
        Networks", CVPR 2018; average-pooled shortcuts as in He et al., "Bag of Tricks", CVPR 2019.
    Differs: each picture is standardised inside the network; widths and depths are ours.

    Args:
        classes: K.
        widths: channels of each stage.
        depths: residual blocks of each stage; every stage after the first halves the side.
        stem: channels of the stem's first convolution, which keeps the side; the second one halves it. 0 leaves the
            first one out.
        dropout: before the linear layer, in [0, 1).
        channels: channels of the picture.
    """

    def __init__(
        self,
        classes: int = 8,
        widths: Sequence[int] = (32, 64, 128),
        depths: Sequence[int] = (1, 2, 2),
        stem: int = 16,
        dropout: float = 0.0,
        channels: int = 1,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [Standardise()]
        if stem:
            layers += [conv_norm(channels, stem, 3), nn.ReLU()]
        layers += [conv_norm(stem or channels, widths[0], 3, 2), nn.ReLU()]
        self.stem = nn.Sequential(*layers)
        stages: list[nn.Module] = []
        inputs = widths[0]
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                stages.append(ResidualSE(inputs, width, 2 if index and not block else 1))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.stages(self.stem(face(inputs)))
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("mini-s", paper="ours, after SE-ResNet", parameters=894_884, size=48, modality="face")
def mini_s(classes: int = 8, **arguments: Any) -> MiniResNet:
    """The embedded default: under 1 M parameters, 14 M multiply-adds at 48 px."""
    own: dict[str, Any] = {"widths": (32, 64, 128, 192), "depths": (1, 1, 1, 1), "stem": 0, "dropout": 0.1}
    return MiniResNet(classes, **{**own, **arguments})


@MODELS.register("mini-m", paper="ours, after SE-ResNet", parameters=3_096_028, size=48, modality="face")
def mini_m(classes: int = 8, **arguments: Any) -> MiniResNet:
    """The larger one, for when accuracy counts more than speed."""
    own: dict[str, Any] = {"widths": (48, 96, 192, 320), "depths": (1, 2, 2, 1), "stem": 24, "dropout": 0.2}
    return MiniResNet(classes, **{**own, **arguments})


@MODELS.register("mini-s-fine", paper="ours, after SE-ResNet", parameters=687_540, size=48, modality="face")
def mini_s_fine(classes: int = 8, **arguments: Any) -> MiniResNet:
    """Like mini-s, with a first convolution at full resolution and more depth at 12 and 6 pixels."""
    own: dict[str, Any] = {"widths": (32, 64, 128), "depths": (1, 2, 2), "stem": 16, "dropout": 0.1}
    return MiniResNet(classes, **{**own, **arguments})
