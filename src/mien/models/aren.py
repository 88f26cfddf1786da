"""AREN: attention that enhances several regions, then fused channel and spatial attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.csam import ChannelSpatialFusion
from mien.layers.resnet import Trunk, conv_norm, initialise
from mien.models import MODELS, Inputs, Output, face


class RegionMask(nn.Module):
    """Where one region lies: m = sigmoid(conv3x3(relu(norm(conv1x1(x))))), [N, 1, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(4, channels // 4)
        self.layers = nn.Sequential(conv_norm(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.layers(x))


class AREN(nn.Module):
    """Region-enhanced attention network.

    With features F of ResNet-18 and masks m_h of H regions: R_h = (1 + m_h) F; E = 1/H sum_h R_h; embedding =
    avg(CSAF(E)). `aux["heads"]` is avg(m_h F) / avg(m_h), [N, H, D], what each region holds, for the zonal (partition)
    loss, which drives the regions apart.

    Paper: Chen et al., "Facial expression recognition based on region enhanced attention network", Journal of
        Computer-Aided Design & Computer Graphics, 2024, 10.3724/SP.J.1089.2024.19775: an attention-based region
        enhancement network, then a channel-spatial attention fusion network for global features, partition loss with
        cross-entropy. RAF-DB 88.81, FER+ 89.32, AffectNet 60.45.
    Differs: built from the abstract, the paper's text was not at hand: backbone, form of the masks, their number and of
        the fusion are ours. 3x3 stem without pooling, for 48 px.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each stage.
        depths: blocks of each stage.
        regions: H.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        regions: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(channels, widths, depths)
        width = self.trunk.width
        self.regions = nn.ModuleList(RegionMask(width) for _ in range(regions))
        self.fusion = ChannelSpatialFusion(width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.trunk(face(inputs))
        masks = torch.cat([region(features) for region in self.regions], 1)
        share = masks / masks.sum((2, 3), keepdim=True)
        heads = torch.einsum("nrhw,nchw->nrc", share, features)
        enhanced = features * (1 + masks.mean(1, keepdim=True))
        embedding = self.fusion(enhanced).mean((2, 3))
        aux = {"features": features, "heads": heads, "masks": masks}
        return Output(self.head(self.dropout(embedding)), embedding, aux)


@MODELS.register("aren", paper="Chen et al., J. CAD & CG 2024", parameters=11_998_207, size=48, modality="face")
def aren(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> AREN:
    """Region-enhanced attention over ResNet-18; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1)} if tiny else {}
    return AREN(classes, **{**own, **arguments})
