"""VGG-19 with CBAM, involution and dense connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mien.layers.cbam import CBAM
from mien.layers.involution import Involution
from mien.layers.resnet import conv_norm, initialise
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class VGG19Involution(nn.Module):
    """VGG-19 whose later blocks end in involution; CBAM after each block; each block sees all blocks before it.

    Dense connections: b_i = B_i(T_i([b_1; ...; b_(i-1)])), the earlier blocks max-pooled to one side, T_i a 1x1
    convolution with norm and ReLU to the width of block i - 1 (for i = 2 there is one block and T_2 is identity);
    features = T([b_1; ...; b_5]).

    Paper: Guo et al., "Attention mechanism and involution operator improved facial expression recognition", Computer
        Engineering and Applications, listed by Liang and Dong as VGG19 + CBAM + IGN + DEN; Li et al., "Involution",
        CVPR 2021; Huang et al., "Densely connected convolutional networks", CVPR 2017.
    Differs: the paper's text was not at hand. Involution (kernel 7, 16 channels a group, reduction 4) replaces the last
        3x3 convolution of the last three blocks, where it fits in memory. Global average instead of the last pool and
        the layers of 4096, for 48 px; each picture is standardised inside the network.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each block.
        depths: layers of each block, at least 2.
        involved: number of last blocks that end in involution.
        kernel: of involution.
        group: channels that share a kernel of involution; at most the width.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 4, 4, 4),
        involved: int = 3,
        kernel: int = 7,
        group: int = 16,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
        inputs, seen = channels, 0
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            layers: list[nn.Module] = []
            for layer in range(depth):
                last = layer == depth - 1 and index >= len(widths) - involved
                if last:
                    layers += [Involution(width, kernel, group), nn.BatchNorm2d(width), nn.ReLU()]
                else:
                    layers += [conv_norm(inputs, width, 3), nn.ReLU()]
                inputs = width
            self.blocks.append(nn.Sequential(*layers, CBAM(width)))
            seen += width
            plain = nn.Sequential(conv_norm(seen, width, 1), nn.ReLU())
            self.transitions.append(plain if index else nn.Identity())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        x = self.standardise(face(inputs))
        seen = None
        for block, transition in zip(self.blocks, self.transitions, strict=True):
            if seen is not None:
                x, seen = F.max_pool2d(x, 2), F.max_pool2d(seen, 2)
            made = block(x)
            seen = made if seen is None else torch.cat([seen, made], 1)
            x = transition(seen)
        embedding = x.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": x})


@MODELS.register(
    "vgg19-involution", paper="Guo et al., as listed by Liang and Dong", parameters=16_793_635, size=48, modality="face"
)
def vgg19_involution(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> VGG19Involution:
    """Dense VGG-19 with CBAM and involution; `tiny` is for tests."""
    small: dict[str, Any] = {"widths": (8, 8, 16, 16, 16), "depths": (2, 2, 2, 2, 2), "group": 8, "kernel": 3}
    return VGG19Involution(classes, **{**(small if tiny else {}), **arguments})
