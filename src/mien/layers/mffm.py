"""Multi-layer feature fusion with interaction between the levels of a trunk."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.layers.fixed_map import FixedMap


class FeatureInteraction(nn.Module):
    """z_l = u_l (1 + sigmoid(W_l [u_m, m != l])): every level is stressed where the other levels call for it.

    Args:
        levels: how many maps u_l [N, dim, h, w].
        dim: channels of each.
    """

    def __init__(self, levels: int, dim: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Conv2d((levels - 1) * dim, dim, 1) for _ in range(levels))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        given = [torch.cat([*maps[:level], *maps[level + 1 :]], 1) for level in range(len(maps))]
        return [u * (1 + torch.sigmoid(gate(x))) for u, gate, x in zip(maps, self.gates, given, strict=True)]


class MFFM(nn.Module):
    """Maps of several levels to one vector: u_l = relu(BN(V_l F_l)) pooled to one side, interaction, relu(BN(V [z])).

    Paper: the MFFM and its FIM in "Deep learning based on facial expression recognition from images to videos", section
        4.2.2: features of different levels learn from each other, and the result is converted directly into a vector.

    Differs: no formula is given there and its source could not be read: this one is ours.

    Args:
        channels: of each level's map F_l [N, C_l, h_l, w_l], sides falling by whole factors.
        dim: channels of u_l, z_l and of the result.
        side: of the map that becomes the vector [N, dim * side^2].
    """

    def __init__(self, channels: Sequence[int], dim: int = 64, side: int = 4) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(self._unit(width, dim) for width in channels)
        self.fix = FixedMap(side)
        self.interact = FeatureInteraction(len(channels), dim)
        self.join = self._unit(len(channels) * dim, dim)
        self.width = dim * side**2

    @staticmethod
    def _unit(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        last = maps[-1].shape[-1]
        narrow = []
        for layer, features in zip(self.narrow, maps, strict=True):
            factor = max(1, int(features.shape[-1]) // int(last))
            narrow.append(self.fix(functional.avg_pool2d(layer(features), factor)))
        joined: Tensor = self.join(torch.cat(self.interact(narrow), 1))
        return joined.flatten(1)
