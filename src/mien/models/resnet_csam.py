"""ResNet with channel-spatial attention and global average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mien.layers.csam import CSAM
from mien.layers.resnet import Trunk, initialise
from mien.models import MODELS, Inputs, Output, face


class ResNetCSAM(nn.Module):
    """ResNet-18 with channel-spatial attention after each stage and a head of global average pooling.

    Paper: Guo et al., "Facial expression recognition based on convolution network attention mechanism", Journal of
        Jilin University (Engineering), 10.13229/j.cnki.jdxbgxb20221345, listed by Liang and Dong as ResNet + CSAM +
        GAP.
    Differs: the paper's text was not at hand: depth 18, the form of the attention (Park et al., BAM, 2018) and its
        place are ours. 3x3 stem without pooling, for 48 px.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each stage.
        depths: blocks of each stage.
        reduction: of the attention.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        reduction: int = 16,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(channels, widths, depths, after=lambda width: CSAM(width, reduction))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.trunk.width, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.trunk(face(inputs))
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register(
    "resnet-csam",
    paper="Guo et al., J. Jilin University, as listed by Liang and Dong",
    parameters=11_262_988,
    size=48,
    modality="face",
)
def resnet_csam(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> ResNetCSAM:
    """ResNet-18 with channel-spatial attention; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1)} if tiny else {}
    return ResNetCSAM(classes, **{**own, **arguments})
