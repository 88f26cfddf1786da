"""Gabor features of the face and a deep network over them and the voice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.input_maps import Gabor
from mien.layers.over_modalities import modality
from mien.layers.over_time import pool_max, pool_mean, pool_std
from mien.layers.speech import SpectrumConv
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output
from mien.models.cai_av import AV_SHAPES, check_av


class GaborBank(Gabor):
    """Magnitudes of the answers to Gabor filters of all scales and orientations: [N, 1, S, S] to [N, V O, S', S'].

    Args:
        scales: V; wavelengths 4, 4 sqrt 2, 8, ... pixels.
        orientations: O, evenly over 180 degrees.
        stride: S' = ceil(S / stride).
    """

    def __init__(self, scales: int = 5, orientations: int = 8, side: int = 21, stride: int = 2) -> None:
        super().__init__(orientations, [4 * 2 ** (v / 2) for v in range(scales)], side)
        self.channels, self.stride = scales * orientations, stride

    def forward(self, x: Tensor) -> Tensor:
        margin = self.kernels.shape[-1] // 2
        room = F.pad(x, (margin,) * 4, mode="replicate")
        real, imaginary = F.conv2d(room, self.kernels.to(x.dtype), stride=self.stride).chunk(2, 1)
        return (real.square() + imaginary.square() + 1e-12).sqrt()


class GaborDeepAV(nn.Module):
    """e = FC([CNN(Gabor(face)); statistics over time of CNN(speech)]).

    Paper: Zhang, "Multimodal emotion recognition based on face and speech and the application in reasoning of robot
        service tasks", thesis, Shandong University, 2021, as Liang and Dong's survey names it; 5 scales x 8
        orientations of Gabor filters as usual for faces since Liu, Wechsler, IEEE Trans. Image Processing 11(4), 2002.
    Differs: the thesis could not be read: the deep network, and that the voice enters as log-mel, are ours; every
        second pixel is filtered; wavelengths of 4 to 16 pixels fit 48-pixel faces.

    Args:
        classes: K.
        shapes: `audio` [T, D], `face` [C, S, S], whose colour is averaged; one of them alone leaves the other out.
        widths: channels of the convolutions over the Gabor maps; the first mixes the maps pixel by pixel.
        speech: channels of those over the spectrum.
        dim: D of the embedding.
        drop: before the last two layers, in [0, 1).

    Raises:
        RecipeError: other modalities or shapes.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        widths: Sequence[int] = (48, 64, 96),
        speech: Sequence[int] = (16, 32, 48),
        dim: int = 128,
        drop: float = 0.3,
    ) -> None:
        super().__init__()
        check_av("gabor-deep-av", shapes)
        self.names = tuple(shapes)
        self.standardise, self.gabor = Standardise(), GaborBank()
        inputs = 0
        if "face" in shapes:
            first, second, third = widths
            self.face = nn.Sequential(
                nn.BatchNorm2d(self.gabor.channels),
                conv_unit(self.gabor.channels, first, 1),
                conv_unit(first, second, 3, 2),
                conv_unit(second, third, 3, 2),
            )
            inputs += third
        if "audio" in shapes:
            self.speech = SpectrumConv(shapes["audio"][1], speech)
            self.step = nn.Sequential(nn.Linear(self.speech.dim, dim), nn.ReLU())
            inputs += 3 * dim
        self.fuse = nn.Sequential(nn.Dropout(drop), nn.Linear(inputs, dim), nn.ReLU(), nn.Dropout(drop))
        self.head = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        said: dict[str, Tensor] = {}
        for name in self.names:
            x, there = modality(inputs, name)
            found = self._hear(x, there) if name == "audio" else self._look(x)
            said[name] = found * there.any(1, keepdim=True).to(found.dtype)
        embedding = self.fuse[:3](torch.cat([said[name] for name in self.names], 1))
        aux = {f"embedding:{name}": part for name, part in said.items()}
        return Output(self.head(self.fuse[3](embedding)), embedding, aux)

    def _look(self, x: Tensor) -> Tensor:
        found: Tensor = self.face(self.gabor(self.standardise(x.mean(1, keepdim=True))))
        return found.mean((2, 3))

    def _hear(self, x: Tensor, there: Tensor) -> Tensor:
        x, there = self.speech(x, there)
        x = self.step(x)
        counted = there | ~there.any(1, keepdim=True)
        return torch.cat([pool(x, counted) for pool in (pool_mean, pool_max, pool_std)], 1)


TINY: dict[str, Any] = {"widths": (6, 6, 8), "speech": (3, 4, 5), "dim": 8}


@MODELS.register("gabor-deep-av", paper="Zhang 2021", parameters=216_008, size=48, modality="streams", shapes=AV_SHAPES)
def gabor_deep_av(
    classes: int = 8, shapes: Mapping[str, Sequence[int]] = AV_SHAPES, *, tiny: bool = False, **arguments: Any
) -> GaborDeepAV:
    """Gabor maps of the face and the voice's spectrum, through a deep network."""
    return GaborDeepAV(classes, shapes, **own({}, tiny, TINY, arguments))
