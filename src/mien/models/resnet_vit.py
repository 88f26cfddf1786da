"""ResNet stages, then a transformer encoder over their map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.encoder_block import EncoderBlock
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv_unit(inputs, outputs, 3, stride), conv_unit(outputs, outputs, 3, act=None))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = conv_unit(inputs, outputs, 1, stride, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


class ResNetViT(nn.Module):
    """A convolutional trunk whose last map is read as tokens, with a class token and learnt positions.

    z_0 = [class; map tokens] + positions, z_l = block_l(z_(l-1)), embedding = LN(z_L)[class].

    Paper: the hybrid of Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, section 3.1, with the trunk of
        He et al., "Deep residual learning for image recognition", CVPR 2016. Named for expressions in the survey of
        Liang and Dong, whose citation is He et al.

    Differs: the original hybrid for expressions could not be found. The trunk is ResNet-18 up to its third stage with a
        3x3 stem of stride 2 and no max-pooling, so that 48 px give 6x6 tokens (112 px give 7x7); positions are
        interpolated where the map has another side. Each picture is standardised.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each stage; every stage after the first halves the side; the last is D.
        depths: blocks of each stage.
        layers: of the encoder.
        heads: of attention.
        side: of the map that the positions are learnt for.
        dropout: in the encoder and before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256),
        depths: Sequence[int] = (2, 2, 2),
        layers: int = 4,
        heads: int = 8,
        side: int = 6,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        trunk: list[nn.Module] = [Standardise(), conv_unit(channels, widths[0], 3, 2)]
        dim = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                trunk.append(BasicBlock(dim, width, 2 if stage and not block else 1))
                dim = width
        self.trunk = nn.Sequential(*trunk)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, dim, side, side))
        self.encoder = nn.Sequential(*[EncoderBlock(dim, heads, dropout=dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        initialise(self)
        for parameter in (self.token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)

    def tokens(self, features: Tensor) -> Tensor:
        """Map [N, D, h, w] to tokens [N, h w, D] with their positions added."""
        positions: Tensor = self.positions
        size = features.shape[-2:]
        if positions.shape[-2:] != size:
            positions = functional.interpolate(positions, size=tuple(size), mode="bilinear", align_corners=False)
        return (features + positions).flatten(2).transpose(1, 2)

    def forward(self, inputs: Inputs) -> Output:
        features = self.trunk(face(inputs))
        tokens = self.tokens(features)
        token = self.token.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        embedding = self.norm(self.encoder(torch.cat([token, tokens], 1)))[:, 0]
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register(
    "resnet-vit", paper="Dosovitskiy et al. 2021; He et al. 2016", parameters=5_945_032, size=48, modality="face"
)
def resnet_vit(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> ResNetViT:
    """ResNet-18 to its third stage, then four encoder layers of eight heads."""
    small = {"widths": (8, 16, 16), "depths": (1, 1, 1), "layers": 2, "heads": 4}
    return ResNetViT(classes, **own({}, tiny, small, arguments))
