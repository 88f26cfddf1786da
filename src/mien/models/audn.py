"""AUDN: small patterns of appearance, grouped by how they go together, and a deep net for each group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mien.layers.fixed_map import FixedMap
from mien.layers.rbm import RBM
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class AUDN(nn.Module):
    """Over-complete convolution and max-pooling, receptive fields, Boltzmann machines for each, a linear classifier.

    1. Micro action patterns: more filters than a patch has pixels (stage `patterns`), rectified, max-pooled: each
       filter at each place is one pattern.
    2. Receptive fields: G groups of M patterns that vary together (stage `group`); they may share patterns.
    3. Group-wise sub-networks: a stack of Boltzmann machines for each group (stage `rbm`), their codes joined.

    Paper: Liu, Li, Shan, Chen, "AU-inspired deep networks for facial expression feature learning", Neurocomputing 2015;
        "AU-aware deep networks for facial expression recognition", FG 2013.
    Differs: written from the abstracts. Filters are found by k-means, the machines are fine-tuned with the classifier,
        which is a softmax and no support vector machine; all sizes are ours.

    Args:
        classes: K.
        channels: of the picture.
        filters: of the convolution; a patch of one channel has kernel * kernel pixels.
        kernel: side of a patch.
        pool: side of the pooled squares.
        groups: G.
        members: M.
        widths: hidden units of each group's machines; D is groups * widths[-1].
        dropout: before the classifier, in [0, 1).
        size: side to which pictures are stretched.
    """

    members: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        filters: int = 48,
        kernel: int = 5,
        pool: int = 4,
        groups: int = 64,
        members: int = 96,
        widths: Sequence[int] = (64, 32),
        dropout: float = 0.3,
        size: int = 48,
    ) -> None:
        super().__init__()
        self.prepare = nn.Sequential(FixedMap(size), Standardise())
        self.filters = nn.Conv2d(channels, filters, kernel)
        self.pool = nn.MaxPool2d(pool)
        total = filters * ((size - kernel + 1) // pool) ** 2
        # until the stage `group` has looked at faces, groups are spread evenly
        spread = torch.linspace(0, total - 1, groups * members).long()
        self.register_buffer("members", spread.reshape(groups, members))
        self.register_buffer("mean", torch.zeros(total))
        self.register_buffer("deviation", torch.ones(total))
        sides = [members, *widths]
        pairs = list(pairwise(sides))
        self.rbms = nn.ModuleList(RBM(v, h, groups, gaussian=not index) for index, (v, h) in enumerate(pairs))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(groups * widths[-1], classes)

    def patterns(self, x: Tensor) -> Tensor:
        """Micro action patterns [N, filters, h, w] of pictures [N, C, S, S]."""
        maps: Tensor = self.pool(torch.relu(self.filters(self.prepare(x))))
        return maps

    def fields(self, patterns: Tensor) -> Tensor:
        """Standardised patterns by receptive field, [N, G, M]."""
        flat = (patterns.flatten(1) - self.mean) / self.deviation
        return flat.index_select(1, self.members.flatten()).reshape(-1, *self.members.shape)

    def visible(self, x: Tensor) -> Tensor:
        """What the first machines see of pictures [N, C, S, S], [N, G, M]."""
        return self.fields(self.patterns(x))

    def forward(self, inputs: Inputs) -> Output:
        patterns = self.patterns(face(inputs))
        hidden = self.fields(patterns)
        for rbm in self.rbms:
            hidden = rbm(hidden)
        embedding = hidden.flatten(1)
        return Output(self.head(self.dropout(embedding)), embedding, {"features": patterns, "heads": hidden})


@MODELS.register("audn", paper="Liu et al. 2015, AUDN", parameters=548_072, size=48, modality="face")
def audn(classes: int = 8, tiny: bool = False, **arguments: Any) -> AUDN:
    """Start it with the stages `patterns`, `group`, `rbm`; `tiny` is for tests."""
    own: dict[str, Any] = {}
    if tiny:
        own = {"filters": 10, "kernel": 3, "groups": 4, "members": 12, "widths": (8, 6), "size": 18}
    return AUDN(classes, **{**own, **arguments})
