"""What the losses over pairs and triplets share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mien.errors import RecipeError
from mien.losses.base import labels_of


def groups_of(targets: Tensor, extra: Mapping[str, Tensor], by: str) -> Tensor:
    """What makes two faces alike, [N]: the class of the `expression`, or the further tensor of the batch called `by`.

    Raises:
        RecipeError: the batch has no such tensor.
    """
    if by == "expression":
        return labels_of(targets)
    if by not in extra:
        known = ", ".join(["expression", *sorted(extra)])
        raise RecipeError(f"a loss compares faces by {by!r}, which the data do not give; there is {known}")
    return extra[by]


def alike(groups: Tensor) -> Tensor:
    """Whether two faces belong to the same group, bool [N, N]."""
    return groups[:, None] == groups[None]


def distances(x: Tensor) -> Tensor:
    """Euclidean distance between all rows of [N, D], [N, N]; slope 0 where two rows are equal."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")


def upper(square: Tensor) -> Tensor:
    """The entries i < j of [N, N], as a vector in the order of the rows."""
    rows, columns = torch.triu_indices(len(square), len(square), 1, device=square.device)
    return square[rows, columns]
