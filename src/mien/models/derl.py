"""DeRL: what a generator removes from a face to make it neutral is the expression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.neutraliser import Neutraliser
from mien.models import MODELS, Inputs, Output, face


class LocalNet(nn.Module):
    """Convolution and pooling until the side is 3 or less, then one vector."""

    def __init__(self, inputs: int, side: int, width: int, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while True:
            layers += [nn.Conv2d(inputs, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
            if side <= 3:
                break
            layers.append(nn.MaxPool2d(2))
            side //= 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * side * side, dim), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        vector: Tensor = self.layers(x)
        return vector


class DeRL(nn.Module):
    """A generator makes the neutral face of a face; small networks read the residue in its layers.

    The stage `neutralise` trains the generator as a conditional GAN on pairs of a face and the same person's neutral
    one; the recipe then freezes it (`frozen = ["generator."]`). Each pair of encoder and decoder maps goes through a
    local network (`aux["local0"]`, the innermost, and so on), which the loss `auxiliary-classifier` trains on its own;
    all vectors together are the embedding of the last classifier. `aux["neutral"]` is the generated face.

    Paper: Yang, Ciftci, Yin, "Facial expression recognition by de-expression residue learning", CVPR 2018.
    Differs: five local networks, the outermost of which sees the face beside its neutral one; widths, sides and the
        generator's layers are ours, for 48 pixels.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of the generator's levels.
        local: channels of the local networks.
        dim: units of each local network's vector; D is five times as much with four levels.
        dropout: before the classifier, in [0, 1).
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 256),
        local: int = 64,
        dim: int = 64,
        dropout: float = 0.3,
        size: int = 48,
    ) -> None:
        super().__init__()
        self.generator = Neutraliser(channels, widths, size)
        inner = [width * (1 if index == len(widths) - 1 else 2) for index, width in enumerate(widths)]
        sides = [size // 2 ** (level + 1) for level in range(len(widths))]
        pairs = [*zip(inner[::-1], sides[::-1], strict=True), (2 * channels, size)]
        self.locals = nn.ModuleList(LocalNet(inputs, side, local, dim) for inputs, side in pairs)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim * len(pairs), classes)

    def forward(self, inputs: Inputs) -> Output:
        neutral, residues = self.generator(face(inputs))
        vectors = [local(residue) for local, residue in zip(self.locals, residues, strict=True)]
        embedding = torch.cat(vectors, 1)
        aux = {"features": residues[0], "neutral": neutral}
        aux |= {f"local{number}": vector for number, vector in enumerate(vectors)}
        return Output(self.head(self.dropout(embedding)), embedding, aux)


@MODELS.register("derl", paper="Yang et al. 2018, DeRL", parameters=2_041_833, size=48, modality="face")
def derl(classes: int = 8, tiny: bool = False, **arguments: Any) -> DeRL:
    """Start it with the stage `neutralise` and freeze `generator.`; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (4, 4, 6, 6), "local": 4, "dim": 4} if tiny else {}
    return DeRL(classes, **{**own, **arguments})
