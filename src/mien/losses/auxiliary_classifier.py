"""A further classifier on an inner layer, for training only."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.losses.base import Loss, bounded, labels_of, read
from mien.models import Output


@LOSSES.register(
    "auxiliary-classifier",
    paper="Szegedy et al., Going deeper with convolutions, CVPR 2015",
    needs=("features", "classes", "dim"),
)
class AuxiliaryClassifier(Loss):
    """L = -1/N sum_n log softmax(W x_n + b)_y, with x_n a vector inside the network; W and b are the loss's own.

    The local classifiers of de-expression residue learning and the expression layer of the identity-aware network are
    trained by terms like this; the classifier is left behind with the loss. A map [N, D, h, w] is averaged over its
    area.

    Paper: Szegedy et al., "Going deeper with convolutions", CVPR 2015 (auxiliary classifiers).

    Args:
        classes: K, >= 2.
        dim: D of the vectors, >= 1.
        reads: which output holds them: `features` or another key of `aux`.
    """

    def __init__(self, classes: int, dim: int, reads: str = "features") -> None:
        super().__init__()
        bounded("classes", classes, 2)
        bounded("dim", dim, 1)
        self.reads = reads
        self.classifier = nn.Linear(dim, classes)

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        x = read(output, self.reads)
        x = x.flatten(2).mean(2) if x.ndim > 2 else x
        if x.shape[1] != self.classifier.in_features:
            raise RecipeError(
                f"auxiliary-classifier reads {self.classifier.in_features} numbers, {self.reads!r} has {x.shape[1]}; "
                "mend dim"
            )
        return functional.cross_entropy(self.classifier(x), labels_of(targets))
