"""ResNet-18 with convolutions over time, height and width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import own
from mien.layers.inflate import inflate_into
from mien.layers.over_time import evenly
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output
from mien.models.clips import frames, linear_head

Triple = tuple[int, int, int]


def unit(inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Sequential:
    """Convolution without bias, padded by half its kernel, then batch norm."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(outputs))


class Block3d(nn.Module):
    """Two convolutions of `depth` x 3 x 3 and a shortcut; a block that strides does so in time as well if depth > 1."""

    def __init__(self, inputs: int, outputs: int, stride: int, depth: int) -> None:
        super().__init__()
        step = (stride if depth > 1 else 1, stride, stride)
        self.first = unit(inputs, outputs, (depth, 3, 3), step)
        self.second = unit(outputs, outputs, (depth, 3, 3))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = unit(inputs, outputs, (1, 1, 1), step)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.shortcut(x))


class ResNet3d(nn.Module):
    """3D ResNet: four stages of residual blocks over clips, averaged over time and place.

    Paper: Hara, Kataoka, Satoh, "Can spatiotemporal 3D CNNs retrace the history of 2D CNNs and ImageNet?", CVPR 2018.

    Differs: 1x1x1 convolutions where a shortcut changes shape; no max-pooling after the stem, as in Tran et al., "A
        closer look at spatiotemporal convolutions for action recognition", CVPR 2018; each clip is standardised. Clips
        of another length are read at `frames` evenly spread frames.

    Args:
        classes: K.
        channels: of the frames.
        widths: channels of each stage; every stage after the first halves time, height and width.
        depths: blocks of each stage.
        frames: T that the network reads.
        stem: depth of the first convolution, (stem, 7, 7).
        flat: no convolution reaches over time: the same network over single pictures, whose trained weights `inflate`
            takes.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        frames: int = 16,
        stem: int = 7,
        flat: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.frames = 1 if flat else frames
        self.standardise = Standardise()
        self.stem = unit(channels, widths[0], (1 if flat else stem, 7, 7), (1, 2, 2))
        inputs, stages = widths[0], []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for block in range(depth):
                blocks.append(Block3d(inputs, width, 2 if stage and not block else 1, 1 if flat else 3))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def inflate(self, weights: Mapping[str, Tensor]) -> None:
        """Start from the weights of this network made with `flat=True` and trained on pictures, its head left out.

        Raises:
            RecipeError: the weights do not fit.
        """
        inflate_into(self, weights)

    def forward(self, inputs: Inputs) -> Output:
        clip = evenly(*frames(inputs), self.frames).transpose(1, 2)
        # one mean and deviation for the clip, so that frames stay comparable
        clip = self.standardise(clip.flatten(2, 3)).reshape(clip.shape)
        features = self.stages(torch.relu(self.stem(clip)))
        embedding = features.mean((2, 3, 4))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register(
    "resnet3d-18", paper="Hara, Kataoka, Satoh 2018", parameters=33_164_104, size=112, frames=16, modality="frames"
)
def resnet3d_18(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> ResNet3d:
    """16 grey frames of 112 px."""
    small = {"widths": (4, 6, 8, 8), "depths": (1, 1, 1, 1), "frames": 8}
    return ResNet3d(classes, **own({}, tiny, small, arguments))
