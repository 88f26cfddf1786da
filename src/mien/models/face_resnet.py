"""The residual network that recognises faces in dlib, to fine-tune."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face

# channels of each stage, whether it begins with a block of half the size, and its blocks of the same size
STAGES = ((32, False, 3), (64, True, 3), (128, True, 2), (256, True, 2), (256, True, 0))
SIDE = 150


class Residual(nn.Module):
    """Two 3x3 convolutions beside the input; where they halve it, its means beside them, filled up with zeros."""

    def __init__(self, inputs: int, outputs: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2 if down else 1, 0 if down else 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            below, right = (x.shape[axis] - y.shape[axis] for axis in (2, 3))
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            y = F.pad(y, (0, right, 0, below))
        return F.relu(x + y)


class FaceResNet(nn.Module):
    """ResNet of 29 convolutions, whose batch norms are folded into biases.

    Source: King, "High quality face recognition with deep metric learning", 2017 (dlib).
    Differs: one grey channel, standardised inside the network; a linear layer for classes in place of the descriptor's.

    Args:
        classes: K.
        side: that the face is enlarged to, pixels.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(self, classes: int = 8, side: int = SIDE, dropout: float = 0.2) -> None:
        super().__init__()
        self.side = side
        self.standardise = Standardise()
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(1, 32, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2))]
        inputs = 32
        for outputs, down, blocks in STAGES:
            if down:
                layers.append(Residual(inputs, outputs, down=True))
            layers += [Residual(outputs, outputs, down=False) for _ in range(blocks)]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)

    def forward(self, inputs: Inputs) -> Output:
        x = self.standardise(face(inputs))
        x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        features = self.layers(x)
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("face-resnet", paper="King 2017", parameters=5_573_640, size=48, modality="face")
def face_resnet(classes: int = 8, **arguments: Any) -> FaceResNet:
    """dlib's ResNet at 150 px, to be started from one that recognises people (`scripts/read_identity.py`)."""
    return FaceResNet(classes, **arguments)
