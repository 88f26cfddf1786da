"""Deformable convolution with CBAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mien.layers.cbam import CBAM
from mien.layers.deform import DeformConv2d
from mien.layers.resnet import BasicBlock, Trunk, initialise
from mien.models import MODELS, Inputs, Output, face


class DeformCBAM(nn.Module):
    """ResNet-18 with CBAM in each block and deformable second convolutions in the later stages.

    Paper: Ren, master's thesis, Guizhou Normal University, 2024, as described by Deng, "Deep learning based on facial
        expression recognition from images to videos": y(A0) = sum_n w(A_n) x(A0 + A_n + dA_n) with learnt offsets and
        bilinear sampling, CBAM's channel then spatial attention. FER2013 73.22.
    Differs: the thesis was not at hand, and the description names no backbone: ResNet-18 with a 3x3 stem of stride 1;
        which convolutions deform is our choice (Dai et al. 2017 take the last stages); offsets learn ten times slower.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each stage.
        depths: blocks of each stage.
        deformed: number of last stages whose second convolutions deform.
        slowing: factor of the offsets' gradient.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        deformed: int = 2,
        slowing: float = 0.1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()

        def block(stage: int, inputs: int, outputs: int, stride: int) -> nn.Module:
            deforms = stage >= len(widths) - deformed
            second = DeformConv2d(outputs, outputs, slowing=slowing) if deforms else None
            return BasicBlock(inputs, outputs, stride, second, CBAM(outputs))

        self.trunk = Trunk(channels, widths, depths, block)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.trunk.width, classes)
        initialise(self)
        for module in self.modules():
            if isinstance(module, DeformConv2d):
                module.reset_offsets()

    def forward(self, inputs: Inputs) -> Output:
        features = self.trunk(face(inputs))
        embedding = features.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register(
    "deform-cbam",
    paper="Ren 2024, as described by Deng; Dai et al. 2017",
    parameters=11_510_560,
    size=48,
    modality="face",
)
def deform_cbam(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> DeformCBAM:
    """Deformable ResNet-18 with CBAM; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1)} if tiny else {}
    return DeformCBAM(classes, **{**own, **arguments})
