"""IRNet: a residual network of self-attention with parallel heads of cross attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.cross_attention import CrossAttention
from mien.layers.resnet import Trunk, conv_norm, initialise, shortcut
from mien.layers.self_attention import SelfAttention2d
from mien.models import MODELS, Inputs, Output, face

EXPANSION = 4


class AttentionBottleneck(nn.Module):
    """ResNet's bottleneck with self-attention (then an average pool where it strides) for the 3x3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int, heads: int) -> None:
        super().__init__()
        self.narrow = conv_norm(inputs, width, 1)
        self.attention = SelfAttention2d(width, heads)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.norm = nn.BatchNorm2d(width)
        self.widen = conv_norm(width, width * EXPANSION, 1)
        self.shortcut = shortcut(inputs, width * EXPANSION, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention(torch.relu(self.narrow(x)))
        y = torch.relu(self.norm(self.pool(y)))
        return torch.relu(self.widen(y) + self.shortcut(x))


class IRNet(nn.Module):
    """ResNet-50 whose 3x3 convolutions are self-attention, then H heads of cross attention, fused and classified.

    With y_h [N, D] of head h: a_h = log softmax_h(y), over the heads; embedding = norm(sum_h a_h). `aux["heads"]` is a
    [N, H, D] for the partition loss, `aux["features"]` the map before the heads for the affinity loss.

    Paper: Qiu, master's thesis, Nanchang University, 2024, as described by Deng, "Deep learning based on facial
        expression recognition from images to videos": self-attention in place of the 3x3 convolutions of conv2 to
        conv5; parallel heads, each spatial attention then channel attention; batch norm. RAF-DB 90.40.
    Differs: the thesis was not at hand. Heads and their fusion follow Wen et al., "Distract your attention" (2023),
        with the batch norm before the linear layer instead of behind it. For 48 px: a stem of stride 2 without pooling,
        the last stage keeps its side, a 1x1 convolution brings 2048 channels to `embedding`.

    Args:
        classes: K.
        channels: of the picture.
        widths: of the bottlenecks of each stage; multiples of 4 and of `self_heads`.
        depths: blocks of each stage.
        embedding: D.
        heads: H of cross attention.
        self_heads: of self-attention.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (3, 4, 6, 3),
        embedding: int = 512,
        heads: int = 4,
        self_heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()

        def block(_: int, inputs: int, width: int, stride: int) -> nn.Module:
            return AttentionBottleneck(inputs, width, stride, self_heads)

        self.trunk = Trunk(channels, widths, depths, block, (1, 2, 2, 1), 2, EXPANSION)
        self.narrow = nn.Sequential(conv_norm(self.trunk.width, embedding, 1), nn.ReLU())
        self.heads = nn.ModuleList(CrossAttention(embedding) for _ in range(heads))
        self.norm = nn.BatchNorm1d(embedding)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embedding, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.narrow(self.trunk(face(inputs)))
        heads = torch.stack([head(features) for head in self.heads], 1)
        if len(self.heads) > 1:
            heads = torch.log_softmax(heads.float(), 1)
        embedding = self.norm(heads.sum(1))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features, "heads": heads})


@MODELS.register(
    "irnet",
    paper="Qiu 2024, as described by Deng; heads after Wen et al. 2023",
    parameters=25_551_688,
    size=48,
    modality="face",
)
def irnet(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> IRNet:
    """Residual self-attention with four heads of cross attention; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "embedding": 16} if tiny else {}
    return IRNet(classes, **{**own, **arguments})
