"""Large kernels over blocks of optical flow and strain: micro-expressions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.block_attention import BlockAttention, cut_blocks
from mien.layers.conv_unit import conv_unit, own
from mien.layers.fixed_map import FixedMap
from mien.layers.large_kernel import LargeKernelUnit
from mien.layers.resnet import initialise
from mien.models import MODELS, Inputs, Output
from mien.models.clips import flow, linear_head


class BlockStream(nn.Module):
    """One flow picture [N, 1, S, S] to its weighted block features [N, B, D]; all blocks share their convolutions."""

    def __init__(self, size: int, block: int, width: int, units: int, kernel: int, ratio: float) -> None:
        super().__init__()
        self.block = block
        layers: list[nn.Module] = [conv_unit(1, width, 3)]
        for unit in range(units):
            layers.append(LargeKernelUnit(width, kernel, ratio))
            if unit % 2:
                layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers)
        self.attention = BlockAttention((size // block) ** 2, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The features and the blocks' weights [N, B]."""
        blocks = cut_blocks(x, self.block)
        found = self.layers(blocks.flatten(0, 1)).amax((2, 3))
        features = found.reshape(x.shape[0], blocks.shape[1], found.shape[1])
        weight = self.attention.weights(features)
        return features * weight[:, :, None], weight


class LKCNN(nn.Module):
    """Three streams, u, v and strain; in each the picture is cut into blocks, which are weighted by place.

    Each block passes a 3x3 convolution, four Inception depthwise units (3x3, 1xk, kx1, identity) and max-poolings; the
    blocks' features, scaled by relative position attention, and those of the three streams are put side by side.

    Paper: "InceptionNeXt network with relative position information for microexpression recognition" (LKCNN), WASA
        2024, LNCS 14999, chapter 15, as told in "Deep learning based on facial expression recognition from images to
        videos", section 4.2.1; its convolution is that of Yu et al., "InceptionNeXt", CVPR 2024.

    Differs: only the abstract and that description could be read: width, the 1x1 convolutions and shortcuts around the
        depthwise ones, where to pool, and the attention's layers are ours. Batch norm at the input brings flow in
        pixels and flow as pictures to one scale.

    Args:
        classes: K.
        size: side S of the flow pictures; others are resampled.
        block: side of the blocks, pixels, a divisor of `size`.
        width: channels of each stream, D of a block.
        units: Inception depthwise units.
        kernel: k.
        ratio: share of the channels for each depthwise convolution.
        dropout: before the linear layer, in [0, 1).

    Raises:
        RecipeError: the blocks do not fill the picture, or are smaller than the max-poolings need.
    """

    def __init__(
        self,
        classes: int = 3,
        size: int = 28,
        block: int = 7,
        width: int = 32,
        units: int = 4,
        kernel: int = 11,
        ratio: float = 1 / 8,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if size % block or block >> (units // 2) == 0:
            raise RecipeError(
                f"blocks of {block} px in {size} px with {units} units; the block must divide the size and be at least "
                f"{2 ** (units // 2)} px"
            )
        self.fix = FixedMap(size)
        self.norm = nn.BatchNorm2d(3)
        self.streams = nn.ModuleList(BlockStream(size, block, width, units, kernel, ratio) for _ in range(3))
        initialise(self)
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(3 * (size // block) ** 2 * width, classes)

    def forward(self, inputs: Inputs) -> Output:
        x = self.norm(self.fix(flow(inputs)))
        found = [stream(x[:, index : index + 1]) for index, stream in enumerate(self.streams)]
        embedding = torch.cat([features.flatten(1) for features, _ in found], 1)
        weights = torch.stack([weight for _, weight in found], 1)
        return Output(self.head(self.dropout(embedding)), embedding, {"attention": weights})


@MODELS.register(
    "lkcnn", paper="WASA 2024, LNCS 14999, ch. 15", parameters=121_977, size=28, classes=3, modality="flow"
)
def lkcnn(classes: int = 3, *, tiny: bool = False, **arguments: Any) -> LKCNN:
    """28x28 flow in 16 blocks of 7 px, 32 channels."""
    return LKCNN(classes, **own({}, tiny, {"size": 16, "block": 8, "width": 8, "units": 2}, arguments))
