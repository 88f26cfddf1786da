"""DAE: a deep autoencoder's encoder, pre-trained to reconstruct faces, and a classifier on its code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.fixed_map import FixedMap
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class DAE(nn.Module):
    """Fully connected layers with ReLU down to a code, and a linear classifier.

    The stage `autoencode` trains each layer to reconstruct what it sees, then all of them, mirrored into a decoder, to
    reconstruct the face; the decoder is dropped and the recipe's loss fine-tunes encoder and classifier.

    Paper: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 2006; Vincent
        et al., "Stacked denoising autoencoders", JMLR 2010; named among the networks for expressions by Li and Deng,
        "Deep facial expression recognition: a survey".
    Differs: layers are started as denoising autoencoders, not as Boltzmann machines; widths are ours.

    Args:
        classes: K.
        channels: of the picture.
        widths: units of each layer; the last is the code.
        dropout: before the classifier, in [0, 1).
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (1024, 512, 256),
        dropout: float = 0.3,
        size: int = 48,
    ) -> None:
        super().__init__()
        self.prepare = nn.Sequential(FixedMap(size), Standardise())
        sides = [channels * size * size, *widths]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sides))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)

    def visible(self, x: Tensor) -> Tensor:
        """What the first layer sees of pictures [N, C, S, S]: standardised pixels [N, V]."""
        pixels: Tensor = self.prepare(x)
        return pixels.flatten(1)

    def code(self, v: Tensor, depth: int) -> Tensor:
        """Output of the first `depth` layers for standardised pixels [N, V]."""
        for layer in list(self.layers)[:depth]:
            v = torch.relu(layer(v))
        return v

    def forward(self, inputs: Inputs) -> Output:
        embedding = self.code(self.visible(face(inputs)), len(self.layers))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": embedding})


@MODELS.register(
    "dae", paper="Hinton and Salakhutdinov 2006; Li and Deng 2020", parameters=3_018_504, size=48, modality="face"
)
def dae(classes: int = 8, tiny: bool = False, **arguments: Any) -> DAE:
    """Start it with the stage `autoencode`; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (12, 8), "size": 12} if tiny else {}
    return DAE(classes, **{**own, **arguments})
