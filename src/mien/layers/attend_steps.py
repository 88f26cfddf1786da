"""Attention over steps some of which, or all, may be missing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.layers.over_time import AttentionPool


def to_front(x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Steps [N, T, ...] that are there moved to the front in order, the others zero; and where they are [N, T]."""
    order = torch.argsort((~there).to(torch.int8), dim=1, stable=True)
    shape = [*there.shape, *[1] * (x.ndim - 2)]
    front = there.gather(1, order)
    moved = x.gather(1, order.reshape(shape).expand_as(x))
    return moved * front.reshape(shape).to(x.dtype), front


def at_least_one(there: Tensor) -> Tensor:
    """The mask with its first step taken for there in rows that have none, for softmaxes and packed sequences."""
    first = torch.zeros_like(there)
    first[:, 0] = True
    return there | (first & ~there.any(1, keepdim=True))


class AttendSteps(nn.Module):
    """`AttentionPool` over the steps that are there; 0 for a row that has none.

    Args:
        dim: D of the steps [N, T, D].
        hidden: of the scoring layer.
    """

    def __init__(self, dim: int, hidden: int = 32) -> None:
        super().__init__()
        self.pool = AttentionPool(dim, hidden)

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted mean [N, D] and the weights [N, T]."""
        some = there.any(1, keepdim=True).to(x.dtype)
        weight = self.pool.weights(x, at_least_one(there)) * some
        return (x * weight[:, :, None]).sum(1), weight
