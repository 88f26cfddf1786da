"""FaceNet2ExpNet: a small expression network whose convolutions first learn what a face network sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mien.layers.fixed_map import FixedMap
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class ExpNet(nn.Module):
    """Five 3x3 convolutions, four of them pooled, one fully connected layer, a classifier.

    First stage, `face-features`: the convolutions learn to give the last features of a frozen face network. Second
    stage: the fully connected layers join, and the recipe's loss trains all of it.

    Paper: Ding, Zhou, Chellappa, "FaceNet2ExpNet: regularizing a deep face recognition net for expression recognition",
        FG 2017 (arXiv 1609.06591).
    Differs: batch norm after each convolution; widths from memory of the paper; 48 pixels.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of the five convolutions.
        dim: D.
        dropout: before the classifier, in [0, 1).
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        dim: int = 256,
        dropout: float = 0.5,
        size: int = 48,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [FixedMap(size), Standardise()]
        inputs = channels
        for index, width in enumerate(widths):
            layers += [nn.Conv2d(inputs, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            if index < len(widths) - 1:
                layers.append(nn.MaxPool2d(2))
                size //= 2
            inputs = width
        self.convolutions = nn.Sequential(*layers)
        self.connected = nn.Sequential(nn.Linear(inputs * size * size, dim), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)

    def forward(self, inputs: Inputs) -> Output:
        features: Tensor = self.convolutions(face(inputs))
        embedding = self.connected(features.flatten(1))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register(
    "facenet2expnet", paper="Ding et al. 2017, FaceNet2ExpNet", parameters=5_093_064, size=48, modality="face"
)
def facenet2expnet(classes: int = 8, tiny: bool = False, **arguments: Any) -> ExpNet:
    """Start it with the stage `face-features`; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (4, 4, 6, 6, 6), "dim": 8} if tiny else {}
    return ExpNet(classes, **{**own, **arguments})
