"""CBM-Net: balance between categories, and class activation maps that turn with the face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.layers.resnet import Trunk, initialise
from mien.models import MODELS, Inputs, Output, face


class CBMNet(nn.Module):
    """ResNet-18 that shows its class activation maps of each face and, in training, of its mirror image.

    M_k(p) = sum_c w_kc F_c(p), with w the weights of the last linear layer and F the last features. In training
    `aux["maps"]` is M(x) and `aux["mirrored"]` is M of the mirrored face, turned back, both [N, K, h, w]: the loss
    `flip-consistency` compares them. The balance of the categories is the loss's part: `soft-cross-entropy` with
    tau = 1 (logits are modulated by the log of each class's frequency), or `class-balanced`.

    Paper: Liu, Wang and Liu, "Category balance modulation of facial expression recognition", Journal of Frontiers of
        Computer Science and Technology, 2023, listed by Liang and Dong as CBM-Net; Zhang et al., "Learn from all:
        erasing attention consistency", ECCV 2022, for the maps.
    Differs: the paper's text was not at hand: both parts are their nearest public relatives. 3x3 stem without pooling,
        for 48 px.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each stage.
        depths: blocks of each stage.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(channels, widths, depths)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.trunk.width, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        x = face(inputs)
        aux: dict[str, Tensor] = {}
        if self.training:
            features, other = self.trunk(torch.cat([x, x.flip(3)])).chunk(2)
            aux["mirrored"] = self.maps(other).flip(3)
        else:
            features = self.trunk(x)
        aux |= {"features": features, "maps": self.maps(features)}
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, aux)

    def maps(self, features: Tensor) -> Tensor:
        """Class activation maps [N, K, h, w] of features [N, D, h, w]."""
        return F.conv2d(features, self.head.weight[:, :, None, None])


@MODELS.register(
    "cbm-net",
    paper="Liu, Wang and Liu 2023, as listed by Liang and Dong",
    parameters=11_171_784,
    size=48,
    modality="face",
)
def cbm_net(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> CBMNet:
    """ResNet-18 with class activation maps of the mirrored face; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1)} if tiny else {}
    return CBMNet(classes, **{**own, **arguments})
