"""Patterns that vary together become receptive fields."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mien.train.stages import STAGES, Figures, Setting


def relevance(x: Tensor, classes: Tensor, count: int) -> Tensor:
    """Variance between classes over variance within, of each column of [N, P], [P]."""
    total = x.new_zeros(count, x.shape[1]).index_add_(0, classes, x)
    n = torch.bincount(classes, minlength=count).to(x.dtype)[:, None]
    means = total / n.clamp_min(1)
    between = (n * (means - x.mean(0)).square()).sum(0)
    within = (x - means[classes]).square().sum(0)
    return between / within.clamp_min(1e-6)


def group(z: Tensor, worth: Tensor, groups: int, members: int) -> Tensor:
    """Groups of columns of standardised patterns [N, P], [groups, members].

    The seed of a group is the pattern of the greatest worth [P] that no group has yet; beside it stand those with the
    greatest absolute correlation to it. When all patterns are taken, any that was no seed yet may be one.
    """
    left, unused, found = worth.clone(), worth.clone(), []
    for _ in range(groups):
        seed = int((left if torch.isfinite(left).any() else unused).argmax())
        correlation = (z.T @ z[:, seed]).abs()
        correlation[seed] = torch.inf
        rows = correlation.topk(members)[1]
        left[rows] = -torch.inf
        unused[seed] = -torch.inf
        found.append(rows)
    return torch.stack(found)


@STAGES.register("group", paper="Liu et al., AU-inspired deep networks, Neurocomputing 2015")
@dataclass(frozen=True)
class Group:
    """Standardise the patterns of a network by their mean and deviation over faces, and choose its receptive fields.

    Paper: Liu, Li, Shan, Chen, "AU-inspired deep networks for facial expression feature learning", Neurocomputing 2015.
    Differs: the rule is ours (see `group`): seeds by relevance to the classes, members by correlation.

    Attributes:
        faces: how many are looked at.
    """

    faces: int = 2048

    @torch.no_grad()
    def __call__(self, setting: Setting) -> Figures:
        patterns, kept = setting.part("patterns"), setting.part("members")
        rows = torch.randperm(len(setting.pixels), generator=setting.generator)[: self.faces]
        x = torch.cat([patterns(setting.faces(part)).flatten(1) for part in torch.split(rows, setting.batch)])
        deviation, mean = torch.std_mean(x, 0, correction=0)
        # a pattern that never changes stays at 0 instead of growing without bound
        deviation = deviation.clamp_min(0.05 * float(deviation.mean()) + 1e-6)
        setting.part("mean").copy_(mean)
        setting.part("deviation").copy_(deviation)
        z = (x - mean) / deviation
        worth = relevance(z, setting.classes[rows].to(z.device), len(setting.labels))
        kept.copy_(group(z, worth, *kept.shape))
        return {"patterns_used": int((torch.bincount(kept.flatten()) > 0).sum()), "patterns": x.shape[1]}
