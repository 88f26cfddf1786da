"""Body signals, or motion capture, as one more modality beside others, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.features.peripheral import LAYOUTS, NAMES
from mien.layers.attend_steps import AttendSteps
from mien.layers.conv_unit import own
from mien.layers.encoder_block import EncoderBlock
from mien.layers.over_modalities import modality
from mien.models import MODELS, Inputs, Output
from mien.models.eeg_net import features_of

SHAPES = {"physio": (1, 27)}
"""Statistics of DEAP's eight body signals in one window (`peripheral`)."""


def channel_sizes(layout: str, numbers: int) -> list[int]:
    """How many of a window's numbers each body signal has; one group of all where there is no layout.

    >>> channel_sizes("deap", 27)
    [3, 3, 3, 3, 5, 3, 4, 3]

    Raises:
        RecipeError: an unknown layout, or one of another number.
    """
    if not layout:
        return [numbers]
    if layout not in LAYOUTS:
        raise RecipeError(f"layout {layout!r}; choose {' or '.join(LAYOUTS)}, or '' for one group")
    sizes = [len(NAMES[kind]) for kind in LAYOUTS[layout] if kind]
    if sum(sizes) != numbers:
        raise RecipeError(f"layout {layout!r} has {sum(sizes)} statistics a window, the features have {numbers}")
    return sizes


class Physio(nn.Module):
    """A token for each body signal and for each further modality, which attend to each other; their mean decides.

    Each token is its numbers through one layer, pooled over the windows by attention; a modality that is missing gives
    a learnt token in its place.

    Paper: peripheral signals as a modality: Koelstra et al., "DEAP", IEEE Trans. Affective Computing 2012; Soleymani
        et al., "A multimodal database for affect recognition and implicit tagging", ibid. 2012; motion capture: Busso
        et al., 2008.
    Differs: those papers classify statistics by naive Bayes or support vector machines; the network is ours.

    Args:
        shapes: modality -> [T, D] of its features; the first may be split by `layout`.
        layout: of the first modality: `deap`, `mahnob`, or "" for one token (motion capture, ready features).
        width: of the tokens.
        heads: of attention; a divisor of the width.
        dropout: in [0, 1).

    Raises:
        RecipeError: a modality that is not features over time, or a layout that does not fit.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        layout: str = "deap",
        width: int = 32,
        heads: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.names = tuple(shapes)
        first = self.names[0]
        self.sizes = {name: [features_of(shapes, name)] for name in self.names}
        self.sizes[first] = channel_sizes(layout, features_of(shapes, first))
        every = [size for name in self.names for size in self.sizes[name]]
        self.steps = nn.ModuleList(nn.Sequential(nn.Linear(size, width), nn.GELU()) for size in every)
        self.attend = nn.ModuleList(AttendSteps(width, 16) for _ in every)
        self.absent = nn.Parameter(0.02 * torch.randn(len(every), width))
        self.kind = nn.Parameter(0.02 * torch.randn(len(every), width))
        self.block = EncoderBlock(width, heads, 2, dropout)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Inputs) -> Output:
        tokens: list[Tensor] = []
        for name in self.names:
            x, there = modality(inputs, name)
            some = there.any(1, keepdim=True)
            for part in torch.split(x, self.sizes[name], 2):
                place = len(tokens)
                pooled = self.attend[place](self.steps[place](part), there)[0]
                tokens.append(torch.where(some, pooled, self.absent[place]) + self.kind[place])
        embedding = self.norm(self.block(torch.stack(tokens, 1))).mean(1)
        return Output(self.head(self.dropout(embedding)), embedding)


@MODELS.register(
    "physio",
    paper="Koelstra et al. 2012; Soleymani et al. 2012",
    parameters=14_658,
    classes=2,
    size=1,
    modality="streams",
)
def physio(
    classes: int = 2, shapes: Mapping[str, Sequence[int]] = SHAPES, *, tiny: bool = False, **arguments: Any
) -> Physio:
    """32 numbers a token, two heads; by default for DEAP's eight body signals."""
    return Physio(classes, shapes, **own({}, tiny, {"width": 8}, arguments))
