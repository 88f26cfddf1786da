"""Local binary patterns of an equalised face beside the band powers of the EEG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.conv_unit import own
from mien.layers.lbp_histogram import LBPHistograms
from mien.layers.over_modalities import mean_there, modality
from mien.models import MODELS, Inputs, Output
from mien.models.eeg_net import features_of

SHAPES = {"face": (1, 48, 48), "eeg": (1, 310)}


def side_layer(inputs: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout))


class HistEqLBPEEG(nn.Module):
    """Face -> equalised histogram -> LBP histograms of cells; EEG -> mean band powers; both side by side.

    A modality that is missing adds zeros to the joint embedding; either alone is read as well, where `shapes` names
    no other.

    Paper: Shen, "Bimodal emotion recognition system based on EEG and facial expression", master's thesis, Nanjing
        University of Posts and Telecommunications, 2020.
    Differs: the thesis could not be read; its surveys tell of histogram equalisation, LBP and EEG band powers only. A
        hidden layer for each side and a joint one, trained together, take the place of whatever joined them there.

    Args:
        shapes: `face` -> [C, S, S] and `eeg` (or another signal) -> [T, D].
        width: of each side's hidden layer.
        grid: cells of the face along each side.
        dropout: in [0, 1).

    Raises:
        RecipeError: a modality of another shape.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        width: int = 64,
        grid: int = 6,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.names = tuple(shapes)
        self.patterns = LBPHistograms(grid)
        self.sides = nn.ModuleDict()
        for name, shape in shapes.items():
            if name == "face" and len(shape) != 3:
                raise RecipeError(f"histeq-lbp-eeg reads a face as a picture, not {list(shape)}; take [features] away")
            inputs = self.patterns.width if name == "face" else features_of(shapes, name)
            self.sides[name] = side_layer(inputs, width, dropout)
        self.mix = side_layer(width * len(shapes), width, dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Inputs) -> Output:
        said: list[Tensor] = []
        for name in self.names:
            x, there = modality(inputs, name)
            x = self.patterns(x) if name == "face" else mean_there(x, there)
            said.append(self.sides[name](x) * there.any(1, keepdim=True).to(x.dtype))
        embedding = self.mix(torch.cat(said, 1))
        aux = {f"embedding:{name}": part for name, part in zip(self.names, said, strict=True)}
        return Output(self.head(embedding), embedding, aux)


@MODELS.register(
    "histeq-lbp-eeg", paper="Shen 2020 (thesis)", parameters=164_804, classes=4, size=48, modality="streams"
)
def histeq_lbp_eeg(
    classes: int = 4, shapes: Mapping[str, Sequence[int]] = SHAPES, *, tiny: bool = False, **arguments: Any
) -> HistEqLBPEEG:
    """36 cells of 59 bins, 64 units a side; by default with SEED-IV's features."""
    return HistEqLBPEEG(classes, shapes, **own({}, tiny, {"width": 8, "grid": 2}, arguments))
