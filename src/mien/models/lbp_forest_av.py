"""Texture of the face and statistics of the voice, side by side, to a random forest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import own
from mien.layers.forest import Forest, log_votes
from mien.layers.lbp_histogram import LBPHistograms
from mien.layers.over_modalities import mean_there, modality
from mien.models import MODELS, Inputs, Output
from mien.models.cai_av import check_av

SHAPES = {"audio": (1, 93), "face": (1, 48, 48)}
"""Statistics of a voice (`voice-statistics`) and a grey face."""


class LBPForestAV(nn.Module):
    """s = forest([histograms of LBP(8, 1) of the face; mean of the voice's statistics]); logits = a log s.

    The forest is grown by the stage `forest` from the training rows; the recipe's loss moves the factor `a` only, which
    changes no decision.

    Paper: Wei, Zhang, Fu, "Audio-visual bimodal emotion recognition based on emotional tone", Computer Applications
        and Software 35(8), 2018, as Liang and Dong's survey describes it (LBP and a random forest).
    Differs: the paper could not be read: the grid, the statistics of the voice, and that one forest reads both, are
        ours.

    Args:
        classes: K.
        shapes: `audio` [T, D], `face` [C, S, S]; one of them alone leaves the other out.
        grid: cells of the face in each direction.
        trees, depth, nodes: of the forest.

    Raises:
        RecipeError: other modalities or shapes.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        grid: int = 6,
        trees: int = 200,
        depth: int = 14,
        nodes: int = 511,
    ) -> None:
        super().__init__()
        check_av("lbp-forest-av", shapes)
        self.names = tuple(shapes)
        self.texture = LBPHistograms(grid, equalise=False)
        self.forest = Forest(classes, trees, depth, nodes)
        self.factor = nn.Parameter(torch.ones(()))

    def describe(self, inputs: Inputs) -> Tensor:
        """What the forest reads [N, F]; zeros for a modality that is not there."""
        said = []
        for name in self.names:
            x, there = modality(inputs, name)
            found = mean_there(x, there) if name == "audio" else self.texture(x)
            said.append(found * there.any(1, keepdim=True).to(found.dtype))
        return torch.cat(said, 1)

    def forward(self, inputs: Inputs) -> Output:
        described = self.describe(inputs)
        votes = log_votes(self.forest(described))
        return Output(self.factor * votes, votes, {"described": described})


TINY: dict[str, Any] = {"grid": 2, "trees": 5, "depth": 4, "nodes": 31}


@MODELS.register("lbp-forest-av", paper="Wei et al. 2018", parameters=1, size=48, modality="streams", shapes=SHAPES)
def lbp_forest_av(
    classes: int = 8, shapes: Mapping[str, Sequence[int]] = SHAPES, *, tiny: bool = False, **arguments: Any
) -> LBPForestAV:
    """LBP histograms of the face and statistics of the voice to a random forest."""
    return LBPForestAV(classes, shapes, **own({}, tiny, TINY, arguments))
