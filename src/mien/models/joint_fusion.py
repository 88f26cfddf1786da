"""Joint training: an encoder for each modality, their embeddings side by side, one head; all trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.over_modalities import modality
from mien.layers.sequence_encoder import SequenceEncoder
from mien.models import MODELS, Inputs, Output

MOSI_SHAPES = {"audio": (1, 73), "video": (1, 100), "text": (1, 100)}
"""Shape of a sample of CMU-MOSI in each modality, [T, D]: what networks over features are built for by default."""


class JointFusion(nn.Module):
    """A modality that is missing adds zeros to the joint embedding.

    Paper: Poria et al., "A review of affective computing: from unimodal analysis to multimodal fusion", Information
        Fusion 37, 2017 (feature-level fusion), with encoders trained for the fused answer.
    Differs: a review's category, not one network; encoders are as small as utterance features need.

    Args:
        shapes: modality -> [T, D] of its features.
        width: E, numbers of each modality's embedding.
        drop: share of the embedding that is dropped in training.

    Raises:
        RecipeError: a modality is not of features over time.
    """

    def __init__(
        self, classes: int, shapes: Mapping[str, Sequence[int]], width: int = 64, drop: float = 0.3, tiny: bool = False
    ) -> None:
        super().__init__()
        self.names = tuple(shapes)
        width = 8 if tiny else width
        for name, shape in shapes.items():
            if len(shape) != 2:
                raise RecipeError(f"joint-fusion reads features [T, D]; {name} is {list(shape)}: name an extractor")
        self.encoders = nn.ModuleDict(
            {name: SequenceEncoder(shape[1], width, shape[0]) for name, shape in shapes.items()}
        )
        self.mix = nn.Sequential(nn.Linear(width * len(shapes), width), nn.ReLU(), nn.Dropout(drop))
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Inputs) -> Output:
        said: list[Tensor] = [self.encoders[name](*modality(inputs, name)) for name in self.names]
        embedding = self.mix(torch.cat(said, 1))
        aux = {f"embedding:{name}": part for name, part in zip(self.names, said, strict=True)}
        return Output(self.head(embedding), embedding, aux)


@MODELS.register(
    "joint-fusion", paper="Poria et al. 2017, feature level", parameters=30_146, classes=2, size=1, modality="streams"
)
def joint_fusion(
    classes: int = 2,
    shapes: Mapping[str, Sequence[int]] = MOSI_SHAPES,
    width: int = 64,
    drop: float = 0.3,
    tiny: bool = False,
) -> JointFusion:
    """Encoders side by side, by default of CMU-MOSI's three kinds of features."""
    return JointFusion(classes, shapes, width, drop, tiny)
