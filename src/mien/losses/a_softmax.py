"""A-Softmax (SphereFace): the angle to the true class counts m-fold; class vectors have unit length."""

from __future__ import annotations

from mien.losses import LOSSES
from mien.losses.margin import AngularMargin, MarginHead


@LOSSES.register(
    "a-softmax",
    paper="Liu et al., SphereFace: deep hypersphere embedding for face recognition, CVPR 2017",
    needs=("embedding", "classes", "dim"),
    head=True,
)
class ASoftmax(AngularMargin):
    """L = -1/N sum_i log(e^f_y / (e^f_y + sum_(j != y) e^f_j)) with f_j = ||x|| cos(theta_j).

    f_y = ||x|| psi(theta_y), psi(theta) = (-1)^k cos(m theta) - 2 k on [k pi / m, (k + 1) pi / m]; class vectors of
    length 1, no bias. f_y is eased as in `l-softmax`: (lambda ||x|| cos(theta) + ||x|| psi(theta)) / (1 + lambda).
    The loss trains its own `head`, which replaces the network's last linear layer.

    Paper: Liu et al., "SphereFace: deep hypersphere embedding for face recognition", CVPR 2017, section 3; the
        easing is that of the authors' training files.

    Args:
        classes: K, >= 2.
        dim: D of the embedding, >= 1.
        margin: m, a whole number >= 1.
        start: lambda before the first batch, >= 0; 0 uses the full margin at once.
        decay: lambda = max(floor, start / (1 + decay * batches)), >= 0.
        floor: the least lambda, >= 0.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        margin: int = 4,
        start: float = 1000.0,
        decay: float = 0.12,
        floor: float = 5.0,
    ) -> None:
        super().__init__(MarginHead(classes, dim, unit_weight=True), margin, start, decay, floor)
