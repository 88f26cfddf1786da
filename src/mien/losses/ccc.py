"""One minus the concordance correlation coefficient, for valence, arousal and the like."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mien.losses import LOSSES
from mien.losses.base import Loss, nothing, read
from mien.losses.mse import known
from mien.models import Output


@LOSSES.register(
    "ccc",
    paper="Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 1989",
    needs=("logits",),
    targets="dimensions",
)
class CCCLoss(Loss):
    """L = 1 - mean over dimensions of 2 cov(x, y) / (var x + var y + (mean x - mean y)^2), over the batch.

    Targets are numbers [N, V], such as valence and arousal; NaN means that nobody has said. Variances divide by N. A
    dimension with fewer than two known values in the batch is left out; without any the loss is 0.

    Paper: Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45, 1989; as a loss:
        Li et al., MuSe 2020.

    Args:
        reads: which output holds the predictions [N, V]: `logits` or a key of `aux`.
    """

    def __init__(self, reads: str = "logits") -> None:
        super().__init__()
        self.reads = reads

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        x = read(output, self.reads)
        y, weight = known(targets, x)
        n = weight.sum(0)
        used = n >= 2
        if not used.any():
            return nothing(x)
        x, y, weight, n = x[:, used], y[:, used], weight[:, used], n[used]
        mean_x, mean_y = (weight * x).sum(0) / n, (weight * y).sum(0) / n
        dx, dy = weight * (x - mean_x), weight * (y - mean_y)
        below = (dx.square() + dy.square()).sum(0) / n + (mean_x - mean_y).square()
        # two equal constants have no concordance to speak of: 0 / tiny
        return 1 - (2 * (dx * dy).sum(0) / n / below.clamp_min(1e-12)).mean()
