"""Flip consistency: a mirrored face has mirrored class activation maps."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.losses.base import Loss, read
from mien.models import Output


@LOSSES.register(
    "flip-consistency",
    paper="Zhang et al., Learn from all: erasing attention consistency, ECCV 2022",
    reads=("maps", "mirrored"),
)
class FlipConsistency(Loss):
    """L = 1/(N K h w) sum (M(x) - turned M(x mirrored))^2, M the class activation maps [N, K, h, w].

    Reads `aux["maps"]` and `aux["mirrored"]`, which a network gives in training (`cbm-net` does); trains no classifier.

    Paper: Zhang et al., "Learn from all: erasing attention consistency for noisy label facial expression recognition",
        ECCV 2022, weighted by 5 there; first in Guo et al., "Visual attention consistency", CVPR 2019.

    Differs: nothing in the formula; erasing belongs to the recipe's `[augment]`.

    Args:
        maps: key of `aux` with the maps of the faces.
        mirrored: key of `aux` with those of the mirrored faces, turned back.
    """

    def __init__(self, maps: str = "maps", mirrored: str = "mirrored") -> None:
        super().__init__()
        self.maps, self.mirrored = maps, mirrored

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        one, other = read(output, self.maps), read(output, self.mirrored)
        if one.shape != other.shape:
            raise RecipeError(
                f"flip-consistency compares {self.maps!r} {list(one.shape)} with {self.mirrored!r} "
                f"{list(other.shape)}; they must be alike"
            )
        return (one - other).square().mean()
