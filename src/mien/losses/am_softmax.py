"""AM-Softmax: a margin taken from the cosine to the true class."""

from __future__ import annotations

from mien.losses import LOSSES
from mien.losses.margin import CosineMargin


@LOSSES.register(
    "am-softmax",
    paper="Wang et al., Additive margin softmax for face verification, IEEE Signal Processing Letters 2018",
    needs=("embedding", "classes", "dim"),
    head=True,
)
class AMSoftmax(CosineMargin):
    """L = -1/N sum_i log(e^(s (cos y - m)) / (e^(s (cos y - m)) + sum_(j != y) e^(s cos j))).

    The cosines are those of the embedding to the class vectors. The loss trains its own `head`, which replaces the
    network's last linear layer. The formula is that of `cosface`, published in the same months.

    Paper: Wang et al., "Additive margin softmax for face verification", IEEE Signal Processing Letters 25, 2018;
        the scale is fixed, as there.

    Args:
        classes: K, >= 2.
        dim: D of the embedding, >= 1.
        scale: s, > 0.
        margin: m, in [0, K / (K - 1)).
    """

    def __init__(self, classes: int, dim: int, scale: float = 30.0, margin: float = 0.35) -> None:
        super().__init__(classes, dim, scale, margin)
