"""ResNet-34 with multi-region attention, its levels fused, and a bidirectional LSTM: micro-expressions in clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mien.layers.conv_unit import own
from mien.layers.irnn import Recurrent
from mien.layers.mfem import MFEM
from mien.layers.mffm import MFFM
from mien.layers.over_time import mask_of
from mien.layers.resnet import basic, conv_norm, initialise
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output
from mien.models.clips import frames, linear_head


class MultiRegion(nn.Module):
    """Faces [n, C, S, S] to vectors [n, D]: ResNet-34, an MFEM after each stage but the first, all levels fused."""

    def __init__(self, channels: int, widths: Sequence[int], depths: Sequence[int], dim: int, side: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(Standardise(), conv_norm(channels, widths[0], 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        inputs, stages = widths[0], []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks: list[nn.Module] = []
            for block in range(depth):
                blocks.append(basic(stage, inputs, width, 2 if stage and not block else 1))
                inputs = width
            stages.append(nn.Sequential(*blocks, MFEM(width)))
        self.stages = nn.ModuleList(stages)
        initialise(self)
        self.fuse = MFFM(widths, dim, side)
        self.width = self.fuse.width

    def forward(self, x: Tensor) -> Tensor:
        x, levels = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        fused: Tensor = self.fuse(levels)
        return fused


class MFEMLSTM(nn.Module):
    """Each frame through ResNet-34 with MFEM, its levels fused by the MFFM, and a bidirectional LSTM over the frames.

    The embedding is the last state of both directions.

    Paper: the second micro-expression network of "Deep learning based on facial expression recognition from images to
        videos", section 4.2.2; ResNet-34 of He et al., "Deep residual learning for image recognition", CVPR 2016.

    Differs: the source of the description could not be read; what it leaves open is said in `MFEM` and `MFFM`. Blocks
        that stride have average-pooled shortcuts; each frame is standardised.

    Args:
        classes: K.
        channels: of the frames.
        widths: channels of the four stages after the stem.
        depths: blocks of each.
        dim: channels of the fused map.
        side: of the fused map, which becomes a vector of dim side^2 numbers.
        hidden: of each direction of the LSTM.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 3,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (3, 4, 6, 3),
        dim: int = 64,
        side: int = 4,
        hidden: int = 256,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.trunk = MultiRegion(channels, widths, depths, dim, side)
        self.rnn = Recurrent("lstm", self.trunk.width, hidden, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(self.rnn.width, classes)

    def forward(self, inputs: Inputs) -> Output:
        x, length = frames(inputs)
        mask = mask_of(length, x.shape[1])
        found = self.trunk(x.flatten(0, 1) if mask is None else x[mask])
        if mask is None:
            vectors = found.reshape(x.shape[0], x.shape[1], self.trunk.width)
        else:
            vectors = found.new_zeros(*mask.shape, self.trunk.width).masked_scatter(mask[:, :, None], found)
        states, embedding = self.rnn(vectors, mask)
        return Output(self.head(self.dropout(embedding)), embedding, {"states": states})


@MODELS.register(
    "mfem-lstm",
    paper="images to videos, section 4.2.2; He et al. 2016",
    parameters=24_253_563,
    size=128,
    frames=8,
    classes=3,
    modality="frames",
)
def mfem_lstm(classes: int = 3, *, tiny: bool = False, **arguments: Any) -> MFEMLSTM:
    """ResNet-34, 64 fused maps of 4x4, a bidirectional LSTM of 256 units."""
    small = {"widths": (4, 6, 8, 8), "depths": (1, 1, 1, 1), "dim": 4, "side": 2, "hidden": 6}
    return MFEMLSTM(classes, **own({}, tiny, small, arguments))
