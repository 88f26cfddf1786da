"""Filters found by clustering patches of faces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.train.stages import STAGES, Figures, Setting


@STAGES.register("patterns", paper="Coates and Ng, Learning feature representations with k-means, 2012")
@dataclass(frozen=True)
class Patterns:
    """Spherical k-means on patches of mean 0 and length 1; the centres become the filters of a network's `filters`.

    A centre that no patch chooses takes a patch drawn at random. The stage's epochs are the rounds.

    Paper: Coates and Ng, "Learning feature representations with k-means", 2012.
    Differs: patches are not whitened.

    Attributes:
        patches: how many are drawn.
    """

    patches: int = 40_000

    @torch.no_grad()
    def __call__(self, setting: Setting) -> Figures:
        layer: nn.Conv2d = setting.part("filters")
        x = self._draw(setting, layer)
        centres = x[torch.randperm(len(x), generator=setting.generator)[: layer.out_channels].to(x.device)]
        for _ in range(setting.epochs):
            best, chosen = (x @ centres.T).max(1)
            total = torch.zeros_like(centres).index_add_(0, chosen, x)
            empty = torch.bincount(chosen, minlength=len(centres)) == 0
            other = torch.randint(len(x), (len(centres),), generator=setting.generator).to(x.device)
            centres = F.normalize(torch.where(empty[:, None], x[other], total), dim=1)
        layer.weight.copy_(centres.reshape(layer.weight.shape))
        if layer.bias is not None:
            layer.bias.zero_()
        return {"likeness": round(float(best.mean()), 4)}

    def _draw(self, setting: Setting, layer: nn.Conv2d) -> Tensor:
        """Patches [P, C kernel kernel], P at least the number of filters; flat ones are left out."""
        prepare, per = setting.part("prepare"), 64
        count = max(self.patches, 4 * layer.out_channels)
        drawn = torch.randint(len(setting.pixels), (-(-count // per),), generator=setting.generator)
        parts = []
        for rows in torch.split(drawn, 256):
            columns = F.unfold(prepare(setting.faces(rows)), layer.kernel_size[0]).transpose(1, 2)
            places = torch.randint(columns.shape[1], (len(rows), per), generator=setting.generator).to(columns.device)
            parts.append(columns.gather(1, places[:, :, None].expand(-1, -1, columns.shape[2])).flatten(0, 1))
        x = torch.cat(parts)
        x = x - x.mean(1, keepdim=True)
        length = torch.linalg.vector_norm(x, dim=1)
        return F.normalize(x[length >= length.median() / 4], dim=1)
