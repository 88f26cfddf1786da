"""Residual blocks and a trunk of four stages for small faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mien.layers.standardise import Standardise

# (stage from 0, input channels, width of the stage, stride) -> block
BlockMaker = Callable[[int, int, int, int], nn.Module]


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias that keeps the side (divided by the stride), then batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Identity, or average pool and 1x1 convolution where side or width change."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, conv_norm(inputs, outputs, 1))


def initialise(network: nn.Module) -> None:
    """He's normal weights for all convolutions (He et al., 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class BasicBlock(nn.Module):
    """y = relu(a(n2(c2(relu(n1(c1 x))))) + s(x)): two 3x3 convolutions, attention a, shortcut s.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        stride: of the first convolution.
        second: the second convolution, `outputs` to `outputs` channels; by default 3x3.
        attention: what the residual passes before it is added; by default nothing.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        second: nn.Module | None = None,
        attention: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.first = conv_norm(inputs, outputs, 3, stride)
        self.second = second or nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.attention = attention or nn.Identity()
        self.shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.second(torch.relu(self.first(x))))
        return torch.relu(self.attention(y) + self.shortcut(x))


def basic(stage: int, inputs: int, outputs: int, stride: int) -> nn.Module:
    """A plain `BasicBlock`: with widths of 64 to 512 and two a stage, ResNet-18."""
    return BasicBlock(inputs, outputs, stride)


class Trunk(nn.Module):
    """Standardisation, a 3x3 stem, and stages of residual blocks: [N, channels, S, S] to [N, D, S / 8, S / 8].

    Paper: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    Differs: 3x3 stem without pooling, for faces of 48 px; average-pooled shortcuts; each picture is standardised.

    Args:
        channels: of the picture.
        widths: of each stage.
        depths: blocks of each stage.
        make: gives a block.
        strides: of the first block of each stage.
        stem_stride: of the stem.
        expansion: channels that a block gives per width.
        after: gives what follows a stage of so many channels; by default nothing.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        make: BlockMaker = basic,
        strides: Sequence[int] = (1, 2, 2, 2),
        stem_stride: int = 1,
        expansion: int = 1,
        after: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(Standardise(), conv_norm(channels, widths[0], 3, stem_stride), nn.ReLU())
        inputs, stages = widths[0], []
        for stage, (width, depth, stride) in enumerate(zip(widths, depths, strides, strict=True)):
            blocks: list[nn.Module] = []
            for block in range(depth):
                blocks.append(make(stage, inputs, width, 1 if block else stride))
                inputs = width * expansion
            if after is not None:
                blocks.append(after(inputs))
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.width = inputs

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.stages(self.stem(x))
        return features
