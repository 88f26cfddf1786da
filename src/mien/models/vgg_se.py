"""VGG with squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mien.layers.resnet import conv_norm, initialise
from mien.layers.se import SqueezeExcite
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class VGGSE(nn.Module):
    """VGG-16 with batch norm, and squeeze-and-excitation after each of its five blocks of convolutions.

    Paper: Gan et al., "Multiple attention network for facial expression recognition", IEEE Access 8, 2020, listed as
        VGG + SE by Liang and Dong; Simonyan and Zisserman, "Very deep convolutional networks", ICLR 2015,
        configuration D; Hu et al., "Squeeze-and-excitation networks", CVPR 2018.
    Differs: built from those words, the paper's own text was not at hand. Global average instead of the last pool and
        the layers of 4096, for 48 px; each picture is standardised inside the network.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each block.
        depths: 3x3 convolutions of each block; 2x2 max pools lie between blocks.
        reduction: of squeeze-and-excitation.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
        reduction: int = 16,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [Standardise()]
        inputs = channels
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if index:
                layers.append(nn.MaxPool2d(2))
            for _ in range(depth):
                layers += [conv_norm(inputs, width, 3), nn.ReLU()]
                inputs = width
            layers.append(SqueezeExcite(width, reduction))
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.layers(face(inputs))
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register(
    "vgg-se", paper="Gan et al. 2020, as listed by Liang and Dong", parameters=14_799_716, size=48, modality="face"
)
def vgg_se(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> VGGSE:
    """VGG-16 with squeeze-and-excitation; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (8, 8, 16, 16, 16), "depths": (1, 1, 2, 2, 2)} if tiny else {}
    return VGGSE(classes, **{**own, **arguments})
