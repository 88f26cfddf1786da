"""A small network for 68 facial landmarks: the one behind `landmarks68`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face
from mien.models.mini import ResidualSE

POINTS = 68


class LandmarkNet(nn.Module):
    """Regress the 68 iBUG points of a 64-pixel grey face.

    The last feature map keeps its 4 x 4 places (no global pooling): where a feature lies is the answer. The linear
    layer's output is added to a mean face, so that an untrained network starts from one.

    Paper: Feng et al., "Wing Loss for Robust Facial Landmark Localisation with CNNs", CVPR 2018 (plain regression).
    Differs: residual blocks with squeeze-and-excitation, 64 pixels, one channel; widths are ours.

    Args:
        classes: numbers to regress, 2 for each point.
        widths: channels of each stage; every stage halves the side.
        depths: residual blocks of each stage.
        places: channels of the last feature map.
        dropout: before the linear layer, in [0, 1).
        size: S.
    """

    mean: Tensor

    def __init__(
        self,
        classes: int = 2 * POINTS,
        widths: Sequence[int] = (32, 64, 80),
        depths: Sequence[int] = (1, 1, 1),
        places: int = 40,
        dropout: float = 0.0,
        size: int = 64,
    ) -> None:
        super().__init__()
        stem = nn.Conv2d(1, 16, 3, 2, 1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        self.stem = nn.Sequential(Standardise(), stem, nn.BatchNorm2d(16), nn.ReLU())
        stages: list[nn.Module] = []
        inputs = 16
        for width, depth in zip(widths, depths, strict=True):
            for block in range(depth):
                stages.append(ResidualSE(inputs, width, 1 if block else 2))
                inputs = width
        self.stages = nn.Sequential(*stages)
        self.places = nn.Sequential(nn.Conv2d(inputs, places, 1, bias=False), nn.BatchNorm2d(places), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        side = size // 2 ** (1 + len(widths))
        self.head = nn.Linear(places * side * side, classes)
        nn.init.normal_(self.head.weight, 0, 1e-3)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.full((classes,), 0.5))

    def embed(self, pixels: Tensor) -> Tensor:
        """Features [N, D] of grey pixels [N, 1, S, S] in [0, 1]; training runs this part in 16 bits."""
        features: Tensor = self.places(self.stages(self.stem(pixels)))
        return features.flatten(1)

    def locate(self, embedding: Tensor) -> Tensor:
        """x y of each point [N, 2 P]; needs 32 bits, for 16 hold a place only to 1/256 of the crop."""
        points: Tensor = self.head(self.dropout(embedding)) + self.mean
        return points

    def forward(self, inputs: Inputs) -> Output:
        embedding = self.embed(face(inputs))
        logits = self.locate(embedding)
        return Output(logits, embedding, {"points": logits.reshape(-1, self.head.out_features // 2, 2)})


@MODELS.register(
    "landmark-68", paper="ours, regression as in Feng et al. 2018", parameters=273_925, size=64, modality="face"
)
def landmark_68(classes: int = 2 * POINTS, **arguments: Any) -> LandmarkNet:
    """68 points of a 64-pixel grey face; `logits` [N, 136] are x y in [0, 1] of the crop, so is aux `points`."""
    return LandmarkNet(classes, **arguments)
