"""AlexNet with a narrow last hidden layer, and AlexNet-Emotion, which adds a map of changing angles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.fixed_map import FixedMap
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face

POINTS = 68


class AngleBranch(nn.Module):
    """Three small convolutions over maps of the change of angles [N, A, 68, 68], averaged to [N, widths[-1]].

    Args:
        gain: the maps of real clips deviate by some 0.03 from zero; times this they are about as large as pixels.
    """

    def __init__(self, channels: int, widths: Sequence[int], gain: float = 30.0) -> None:
        super().__init__()
        self.gain = gain
        layers: list[nn.Module] = []
        for width in widths:
            # no batch norm: its statistics would be those of the empty maps of stills
            layers += [nn.Conv2d(channels, width, 3, 2, 1), nn.ReLU()]
            channels = width
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        features: Tensor = self.layers(maps * self.gain)
        return features.mean((2, 3))


class AlexNet(nn.Module):
    """Five convolutions, three max-poolings, FC6, FC7 and the classifier.

    With `angles` the net reads a second modality, `angles` [N, A, 68, 68]: the change of the angles between 68 key
    points since a neutral or first frame (`mien.faces.angles.angle_map`). Its features join those of FC6 before FC7. A
    face without such a map is taken for one that has not moved: its map is zero.

    Paper: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012;
        the 128-d FC7 and the auxiliary input are those of Ge et al., "Facial expression recognition based on deep
        learning", Computer Methods and Programs in Biomedicine, 2022.

    Differs: the stem is 5x5 with stride 1 (11x11, stride 4 there), so that 48 px give maps of 48, 24, 12 and 6 as 227
        px give 55, 27, 13 and 6; batch norm in place of local response normalisation; no groups; each picture is
        standardised. Ge et al. do not say how the angle map enters: the branch and its place are ours.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of the five convolutions.
        hidden: units of FC6.
        dim: units of FC7, D of the embedding.
        rectify: ReLU after FC7. Off in AlexNet-Emotion, whose classifier and centres read FC7 itself: rectified vectors
            have no negative cosine, so centres could not be driven more than a right angle apart.
        angles: A, channels of the angle map; 0 leaves the branch out.
        branch: channels of the branch's convolutions.
        side: of the map that FC6 reads.
        dropout: after FC6 and before the last linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (96, 256, 384, 384, 256),
        hidden: int = 4096,
        dim: int = 128,
        rectify: bool = True,
        angles: int = 0,
        branch: Sequence[int] = (16, 32, 64),
        side: int = 6,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        one, two, three, four, five = widths
        self.layers = nn.Sequential(
            Standardise(),
            conv_unit(channels, one, 5),
            nn.MaxPool2d(3, 2, 1),
            conv_unit(one, two, 5),
            nn.MaxPool2d(3, 2, 1),
            conv_unit(two, three, 3),
            conv_unit(three, four, 3),
            conv_unit(four, five, 3),
            nn.MaxPool2d(3, 2, 1),
        )
        self.fc6 = nn.Sequential(
            FixedMap(side), nn.Flatten(), nn.Linear(five * side**2, hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.angles = angles
        self.branch = AngleBranch(angles, branch) if angles else None
        self.fc7 = nn.Linear(hidden + (branch[-1] if angles else 0), dim)
        self.rectify = rectify
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        initialise(self)

    def _maps(self, inputs: Inputs, like: Tensor) -> Tensor:
        given = inputs.get("angles") if isinstance(inputs, Mapping) else None
        if given is not None:
            return given
        return like.new_zeros(like.shape[0], self.angles, POINTS, POINTS)

    def forward(self, inputs: Inputs) -> Output:
        x = face(inputs)
        features = self.layers(x)
        joined = self.fc6(features)
        if self.branch is not None:
            joined = torch.cat([joined, self.branch(self._maps(inputs, x))], 1)
        embedding = self.fc7(joined)
        if self.rectify:
            embedding = torch.relu(embedding)
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


TINY = {"widths": (4, 6, 8, 8, 6), "hidden": 24, "dim": 16, "branch": (2, 3, 4)}


@MODELS.register("alexnet", paper="Krizhevsky et al. 2012", parameters=41_994_408, size=48, modality="face")
def alexnet(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> AlexNet:
    """AlexNet for small faces, with 128 units in FC7."""
    return AlexNet(classes, **own({}, tiny, TINY, arguments))


@MODELS.register(
    "alexnet-emotion", paper="Ge et al. 2022", parameters=42_025_896, size=48, modality="face", auxiliary=("angles",)
)
def alexnet_emotion(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> AlexNet:
    """AlexNet-Emotion; train it with `cross-entropy` and `improved-island`; `angles=0` leaves the angle map out."""
    return AlexNet(classes, **own({"rectify": False, "angles": 1}, tiny, TINY, arguments))
