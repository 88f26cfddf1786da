"""IACNN: expression and identity are learnt side by side, each by pairs of faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.prelu_trunk import PReLUTrunk
from mien.models import MODELS, Inputs, Output, face


class IACNN(nn.Module):
    """One of two identical streams that share all weights; the pairs of faces are those of the batch.

    Convolutions, then a fully connected layer for the expression (`aux["expression"]`) and one for the identity
    (`aux["identity"]`), joined by a third, which is the embedding. Train it with softmax on the logits and on the
    expression's layer (`auxiliary-classifier`), with `contrastive` by expression on the one and by subject on the
    other; the two streams' losses are sums over the same batch.

    Paper: Meng et al., "Identity-aware convolutional neural network for facial expression recognition", FG 2017.
    Differs: every pair of the batch is compared, not prepared pairs. Kernels, widths and the order of layers are from
        memory or ours. Data without people give unlike identities only.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of the three convolutions.
        branch: units of the layers for expression and for identity.
        dim: D.
        dropout: before the fully connected layers, in [0, 1).
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (64, 64, 128),
        branch: int = 256,
        dim: int = 256,
        dropout: float = 0.5,
        size: int = 48,
    ) -> None:
        super().__init__()
        self.trunk = PReLUTrunk(channels, widths, size=size)
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(self.trunk.outputs, branch)
        self.identity = nn.Linear(self.trunk.outputs, branch)
        self.joined = nn.Sequential(nn.PReLU(2 * branch), nn.Linear(2 * branch, dim), nn.PReLU(dim))
        self.head = nn.Linear(dim, classes)

    def forward(self, inputs: Inputs) -> Output:
        features = self.trunk(face(inputs))
        flat = self.dropout(features.flatten(1))
        expression, identity = self.expression(flat), self.identity(flat)
        embedding: Tensor = self.joined(torch.cat([expression, identity], 1))
        aux = {"features": features, "expression": expression, "identity": identity}
        return Output(self.head(embedding), embedding, aux)


@MODELS.register("iacnn", paper="Meng et al. 2017, IACNN", parameters=2_672_712, size=48, modality="face")
def iacnn(classes: int = 8, tiny: bool = False, **arguments: Any) -> IACNN:
    """Needs data that say who is shown; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (4, 4, 6), "branch": 8, "dim": 8} if tiny else {}
    return IACNN(classes, **{**own, **arguments})
