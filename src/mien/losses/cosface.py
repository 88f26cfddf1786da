"""CosFace: a margin taken from the cosine to the true class, with a bound for the scale."""

from __future__ import annotations

import math

from mien.losses import LOSSES
from mien.losses.base import bounded
from mien.losses.margin import CosineMargin


@LOSSES.register(
    "cosface",
    paper="Wang et al., CosFace: large margin cosine loss for deep face recognition, CVPR 2018",
    needs=("embedding", "classes", "dim"),
    head=True,
)
class CosFace(CosineMargin):
    """L = -1/N sum_i log(e^(s (cos y - m)) / (e^(s (cos y - m)) + sum_(j != y) e^(s cos j))).

    The cosines are those of the embedding to the class vectors. The loss trains its own `head`, which replaces the
    network's last linear layer. With scale 0 the least scale is taken at which a face on its class vector can reach the
    `posterior`: s = (K - 1) / K ln((K - 1) P / (1 - P)).

    Paper: Wang et al., "CosFace: large margin cosine loss for deep face recognition", CVPR 2018, section 3.

    Args:
        classes: K, >= 2.
        dim: D of the embedding, >= 1.
        scale: s, > 0, or 0 for the bound.
        margin: m, in [0, K / (K - 1)).
        posterior: P of the bound, in (1 / K, 1).
    """

    def __init__(
        self, classes: int, dim: int, scale: float = 64.0, margin: float = 0.35, posterior: float = 0.9999
    ) -> None:
        bounded("classes", classes, 2)
        bounded("posterior", posterior, 1 / classes, 1, "()")
        least = (classes - 1) / classes * math.log((classes - 1) * posterior / (1 - posterior))
        super().__init__(classes, dim, scale or least, margin)
