"""VGG-19 on the face and VGG-19 on the spectrum of the voice, fused before the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.over_modalities import modality
from mien.layers.speech import resampled
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output
from mien.models.cai_av import AV_SHAPES, check_av

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of the five stages of VGG-19."""


def vgg19(channels: int, width: float) -> tuple[nn.Sequential, int]:
    """The sixteen convolutions of VGG-19 with batch norm, and their last number of channels."""
    layers: list[nn.Module] = []
    inputs = channels
    for stage, depth in STAGES:
        outputs = max(1, round(stage * width))
        for _ in range(depth):
            layers.append(conv_unit(inputs, outputs, 3))
            inputs = outputs
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers), inputs


class VGG19AV(nn.Module):
    """e = FC([mean VGG-19(face); mean VGG-19(spectrum as a picture)]).

    Paper: Song, Zhang, Wei, "Research on audio-visual dual-modal emotion recognition fusion framework", Computer
        Engineering and Applications 56(6), 2020, as Liang and Dong's survey names it; the layers of Simonyan,
        Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.
    Differs: the paper could not be read: the features are fused, by one layer; batch norm; a mean over the last map in
        place of the two layers of 4,096 units; the spectrum of each sound is averaged to 64 steps, so that long and
        short ones give one picture.

    Args:
        classes: K.
        shapes: `audio` [T, D], `face` [C, S, S]; one of them alone leaves the other branch out.
        width: factor of the channels.
        steps: that a spectrum is averaged to.
        dim: D of the embedding.
        drop: before the last two layers, in [0, 1).

    Raises:
        RecipeError: other modalities or shapes.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        width: float = 1.0,
        steps: int = 64,
        dim: int = 256,
        drop: float = 0.4,
    ) -> None:
        super().__init__()
        check_av("vgg19-av", shapes)
        self.names, self.steps = tuple(shapes), steps
        self.standardise = Standardise()
        self.branches = nn.ModuleDict()
        inputs = 0
        for name in self.names:
            self.branches[name], found = vgg19(1 if name == "audio" else shapes[name][0], width)
            inputs += found
        self.fuse = nn.Sequential(nn.Dropout(drop), nn.Linear(inputs, dim), nn.ReLU(), nn.Dropout(drop))
        self.head = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        said: dict[str, Tensor] = {}
        for name in self.names:
            x, there = modality(inputs, name)
            picture = resampled(x, there, self.steps)[:, None] if name == "audio" else self.standardise(x)
            found = self.branches[name](picture).mean((2, 3))
            said[name] = found * there.any(1, keepdim=True).to(found.dtype)
        embedding = self.fuse[:3](torch.cat([said[name] for name in self.names], 1))
        aux = {f"embedding:{name}": part for name, part in said.items()}
        return Output(self.head(self.fuse[3](embedding)), embedding, aux)


TINY: dict[str, Any] = {"width": 0.03, "dim": 8, "steps": 32}


@MODELS.register(
    "vgg19-av", paper="Song et al. 2020", parameters=40_321_928, size=48, modality="streams", shapes=AV_SHAPES
)
def vgg19_av(
    classes: int = 8, shapes: Mapping[str, Sequence[int]] = AV_SHAPES, *, tiny: bool = False, **arguments: Any
) -> VGG19AV:
    """Two VGG-19, of the face and of the voice's spectrum."""
    return VGG19AV(classes, shapes, **own({}, tiny, TINY, arguments))
