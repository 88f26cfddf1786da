"""MobileNet (v1): a baseline from scratch, and a face network to fine-tune."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face

# output channels and stride of the thirteen depthwise separable blocks at width 1 (Howard et al., table 1)
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class SameConv(nn.Conv2d):
    """3x3 convolution with TensorFlow's padding: with stride 2 it pads the right and the bottom only.

    A strided depthwise convolution is trained as one of stride 1 whose every second output is kept: the same function,
    and several times faster backward on CPUs.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = 1, bias: bool = False) -> None:
        super().__init__(inputs, outputs, 3, stride, 0 if stride > 1 else 1, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 1:
            return super().forward(x)
        # an odd side is padded on both sides: that is what TensorFlow's SAME means there
        before = [side % 2 for side in x.shape[-2:]]
        x = F.pad(x, (before[1], 1, before[0], 1))
        if self.training and self.groups > 1:
            return F.conv2d(x, self.weight, self.bias, 1, 0, 1, self.groups)[:, :, ::2, ::2]
        return super().forward(x)


class MobileNet(nn.Module):
    """MobileNet of depthwise separable convolutions.

    Paper: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017.
    Differs: none as `mobilenet-v1`; as `mobilenet-face` the batch norms are folded into biases and each picture is
        standardised and enlarged inside the network.

    Args:
        classes: K.
        channels: of the picture.
        norm: batch norm after each convolution; without it each convolution has a bias.
        enlarge: factor by which the picture is enlarged before the first convolution; more than 1 also standardises it.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self, classes: int = 7, channels: int = 1, norm: bool = True, enlarge: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.standardise = Standardise() if enlarge > 1 else nn.Identity()
        self.norm = norm
        layers = [self._unit(SameConv(channels, 32, 2, bias=not norm))]
        inputs = 32
        for outputs, stride in BLOCKS:
            layers.append(self._unit(SameConv(inputs, inputs, stride, inputs, bias=not norm)))
            layers.append(self._unit(nn.Conv2d(inputs, outputs, 1, bias=not norm)))
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)

    def _unit(self, conv: nn.Conv2d) -> nn.Sequential:
        # Keras' batch norm: epsilon 1e-3, momentum .99
        norm: Sequence[nn.Module] = [nn.BatchNorm2d(conv.out_channels, 1e-3, 0.01)] if self.norm else []
        return nn.Sequential(conv, *norm, nn.ReLU6())

    def forward(self, inputs: Inputs) -> Output:
        x = self.standardise(face(inputs))
        if self.enlarge > 1:
            x = F.interpolate(x, scale_factor=float(self.enlarge), mode="bilinear", align_corners=False)
        features = self.layers(x)
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("mobilenet-v1", paper="Howard et al. 2017", parameters=3_213_575, classes=7, size=48, modality="face")
def mobilenet_v1(classes: int = 7, **arguments: Any) -> MobileNet:
    """A baseline for seven classes at 48 px; with batch-norm statistics (21,888) Keras counts 3,235,463."""
    return MobileNet(classes, **arguments)


@MODELS.register(
    "mobilenet-face", paper="Howard et al. 2017; Savchenko 2019", parameters=3_203_656, size=48, modality="face"
)
def mobilenet_face(classes: int = 8, **arguments: Any) -> MobileNet:
    """MobileNet at 144 px to be started from a network that recognises people (`scripts/read_faceres.py`)."""
    arguments = {"norm": False, "enlarge": 3, "dropout": 0.2, **arguments}
    return MobileNet(classes, **arguments)
