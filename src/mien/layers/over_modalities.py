"""What networks over several modalities share: reading one and its mask, and pooling it over time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.errors import RecipeError


def modality(inputs: Tensor | Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """One modality [N, T, D] (or maps, pictures [N, C, S, S], clips [N, T, C, S, S]) and its mask, bool [N, T].

    A bare tensor is taken for it; without a mask all of it is there.

    Raises:
        RecipeError: the input lacks it.
    """
    if isinstance(inputs, Mapping) and name not in inputs:
        raise RecipeError(f"this network reads {name}; the input holds {', '.join(inputs) or 'nothing'}")
    x = inputs[name] if isinstance(inputs, Mapping) else inputs
    there = inputs.get(f"{name}_mask") if isinstance(inputs, Mapping) else None
    if there is None:
        there = torch.ones(x.shape[:2] if x.ndim == 3 else (x.shape[0], 1), dtype=torch.bool, device=x.device)
    return x, there


def mean_there(x: Tensor, there: Tensor) -> Tensor:
    """Mean [N, D] of x [N, T, D] over the steps that are there; 0 where none is."""
    weight = there.to(x.dtype)[:, :, None]
    return (x * weight).sum(1) / weight.sum(1).clamp_min(1)
