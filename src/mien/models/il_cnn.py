"""IL-CNN: a plain network whose features an island loss draws together by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mien.layers.prelu_trunk import PReLUTrunk
from mien.models import MODELS, Inputs, Output, face


class ILCNN(nn.Module):
    """Three convolutions with PReLU, batch norm and pooling, two fully connected layers, a classifier.

    Train it with softmax and island loss on the embedding, the second fully connected layer:
    L = L_s + lambda (L_c + lambda_1 sum_(j != k) (cos(c_j, c_k) + 1)).

    Paper: Cai et al., "Island loss for learning discriminative features in facial expression recognition", FG 2018
        (arXiv 1710.03144).
    Differs: kernels, widths and the 48-pixel input are ours, the order of layers is from memory of the paper. The
        embedding has no activation, so that centres may point anywhere.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of the three convolutions.
        hidden: units of the first fully connected layer.
        dim: D.
        dropout: after the first fully connected layer, in [0, 1).
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 64, 128),
        hidden: int = 512,
        dim: int = 256,
        dropout: float = 0.5,
        size: int = 48,
    ) -> None:
        super().__init__()
        self.trunk = PReLUTrunk(channels, widths, size=size)
        self.first = nn.Sequential(nn.Linear(self.trunk.outputs, hidden), nn.PReLU(hidden), nn.Dropout(dropout))
        self.second = nn.Linear(hidden, dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, inputs: Inputs) -> Output:
        features = self.trunk(face(inputs))
        embedding: Tensor = self.second(self.first(features.flatten(1)))
        return Output(self.head(embedding), embedding, {"features": features})


@MODELS.register("il-cnn", paper="Cai et al. 2018, IL-CNN", parameters=2_672_456, size=48, modality="face")
def il_cnn(classes: int = 8, tiny: bool = False, **arguments: Any) -> ILCNN:
    """Made for the loss `island`; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (4, 4, 6), "hidden": 16, "dim": 8} if tiny else {}
    return ILCNN(classes, **{**own, **arguments})
