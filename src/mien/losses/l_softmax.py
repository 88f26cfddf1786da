"""L-Softmax: the angle to the true class counts m-fold; lengths stay."""

from __future__ import annotations

from mien.losses import LOSSES
from mien.losses.margin import AngularMargin, MarginHead


@LOSSES.register(
    "l-softmax",
    paper="Liu et al., Large-margin softmax loss for convolutional neural networks, ICML 2016",
    needs=("embedding", "classes", "dim"),
    head=True,
)
class LSoftmax(AngularMargin):
    """L = -1/N sum_i log(e^f_y / (e^f_y + sum_(j != y) e^f_j)) with f_j = ||w_j|| ||x|| cos(theta_j).

    f_y = ||w_y|| ||x|| psi(theta_y), psi(theta) = (-1)^k cos(m theta) - 2 k on [k pi / m, (k + 1) pi / m]. So that
    training can begin, f_y = (lambda ||w|| ||x|| cos(theta) + ||w|| ||x|| psi(theta)) / (1 + lambda), where lambda
    falls with the batches. The loss trains its own `head`, which replaces the network's last linear layer.

    Paper: Liu et al., "Large-margin softmax loss for convolutional neural networks", ICML 2016, section 3.

    Differs: lambda = max(floor, start / (1 + decay * batches)); the paper only asks that it falls slowly.

    Args:
        classes: K, >= 2.
        dim: D of the embedding, >= 1.
        margin: m, a whole number >= 1; 1 is softmax.
        start: lambda before the first batch, >= 0; 0 uses the full margin at once.
        decay: how fast lambda falls, >= 0.
        floor: the least lambda, >= 0.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        margin: int = 2,
        start: float = 1000.0,
        decay: float = 0.12,
        floor: float = 0.0,
    ) -> None:
        super().__init__(MarginHead(classes, dim), margin, start, decay, floor)
