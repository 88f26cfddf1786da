"""Occlusion-GAN: a generator restores the hidden part of a face, a recogniser reads the restored face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.completion import Completer
from mien.models import MODELS, Inputs, Output, face
from mien.models.mini import MiniResNet


class OcclusionGAN(nn.Module):
    """Restoration, then recognition.

    The stage `restore` trains the generator: by reconstruction first, then against a critic that sees what was hidden
    and one that sees the face. The recipe then freezes it (`frozen = ["generator."]`) and trains the recogniser on
    restored faces. `aux["restored"]` is the face that the recogniser read [N, C, size, size] in [0, 1],
    `aux["hidden"]` where the generator took it to be hidden [N, 1, size, size] in [0, 1].

    Paper: Ge, Zhu, Dai, Wang, Wu, "Facial expression recognition based on deep learning", Computer Methods and Programs
        in Biomedicine 2022, section 3.3 and fig. 5 (a module that restores, with two discriminators, and one that
        recognises; no equations), after Ge, Dai, Zhu et al., "A robust face recognition algorithm based on an improved
        generative confrontation network", Applied Sciences 11(24) 11588, 2021; the generator's and the critics' losses
        as in Li, Liu, Yang, Yang, "Generative face completion", CVPR 2017.
    Differs: the recogniser is ours of 0.7 M parameters, not ResNet-50; the generator finds the hidden part by itself
        (see `mien.layers.completion`); the discriminators live in the stage, for nothing needs them afterwards.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of the generator's levels.
        stages: channels of the recogniser's stages.
        depths: blocks of each of these.
        stem: channels of its first convolution.
        dropout: before the classifier, in [0, 1).
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128, 192),
        stages: Sequence[int] = (32, 64, 128),
        depths: Sequence[int] = (1, 2, 2),
        stem: int = 16,
        dropout: float = 0.1,
        size: int = 48,
    ) -> None:
        super().__init__()
        self.generator = Completer(channels, widths, size)
        self.recogniser = MiniResNet(classes, stages, depths, stem, 0.0, channels)
        self.dropout = nn.Dropout(dropout)
        self.head = self.recogniser.head
        self.recogniser.head = nn.Identity()  # type: ignore[assignment]

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Start the recogniser, and the head where its size fits, from the weights of a trained `mini-s-fine`.

        Raises:
            RuntimeError: they are of another network.
        """
        trunk = {key: value for key, value in weights.items() if not key.startswith("head.")}
        self.recogniser.load_state_dict(trunk)
        head = {key.removeprefix("head."): value for key, value in weights.items() if key.startswith("head.")}
        if head and head["weight"].shape == self.head.weight.shape:
            self.head.load_state_dict(head)

    def train(self, mode: bool = True) -> OcclusionGAN:
        """A frozen generator stays in evaluation mode: its norms are finished too."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.generator.parameters()):
            self.generator.eval()
        return self

    def forward(self, inputs: Inputs) -> Output:
        restored, where, _ = self.generator(face(inputs))
        read = self.recogniser(restored)
        aux = {**read.aux, "restored": restored, "hidden": torch.sigmoid(where)}
        return Output(self.head(self.dropout(read.embedding)), read.embedding, aux)


@MODELS.register(
    "occlusion-gan",
    paper="Ge et al. 2022, section 3.3; Ge, Dai, Zhu et al. 2021; Li et al. 2017, Generative face completion",
    parameters=2_430_332,
    size=48,
    modality="face",
)
def occlusion_gan(classes: int = 8, tiny: bool = False, **arguments: Any) -> OcclusionGAN:
    """Start it with the stage `restore` and freeze `generator.`; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (4, 4, 6, 6), "stages": (4, 6), "depths": (1, 1), "stem": 2} if tiny else {}
    return OcclusionGAN(classes, **{**own, **arguments})
