"""What the margin losses share: their own classifier, and the angle's multiple.

A margin loss owns the matrix of class vectors W [K, D], for its margin depends on the true class, which a network does
not know. `loss.head` maps embeddings [N, D] to logits [N, K] without the margin, and `loss.logits(embedding)` does the
same. `give_head(network, loss)` puts it in the place of the network's last linear layer (which the loss leaves
untrained), so that the network's logits are those that the loss has trained. Network and loss then share W: hand it to
the optimiser once.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError
from mien.losses.base import Loss, bounded, labels_of, read
from mien.models import Output


class MarginHead(nn.Module):
    """Logits [N, K] of embeddings [N, D] without bias: s W x, with rows of W and x of unit length where asked.

    Args:
        classes: K, >= 2.
        dim: D, >= 1.
        unit_weight: divide each class vector by its length.
        unit_embedding: divide each embedding by its length.
        scale: s, > 0.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        *,
        unit_weight: bool = False,
        unit_embedding: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        bounded("classes", classes, 2)
        bounded("dim", dim, 1)
        self.unit_weight, self.unit_embedding = unit_weight, unit_embedding
        self.scale = bounded("scale", scale, 0, ends="()")
        self.weight = nn.Parameter(nn.init.xavier_normal_(torch.empty(classes, dim)))

    def forward(self, embedding: Tensor) -> Tensor:
        weight = functional.normalize(self.weight, dim=1) if self.unit_weight else self.weight
        x = functional.normalize(embedding, dim=1) if self.unit_embedding else embedding
        return self.scale * functional.linear(x, weight)


class MarginLoss(Loss):
    """Cross-entropy of logits that a margin has made worse for the true class."""

    def __init__(self, head: MarginHead) -> None:
        super().__init__()
        self.head = head

    def logits(self, embedding: Tensor) -> Tensor:
        """Logits [N, K] without the margin, as in use after training."""
        scores: Tensor = self.head(embedding)
        return scores

    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        labels = labels_of(targets)
        return functional.cross_entropy(self.hardened(read(output, "embedding"), labels), labels)

    @abstractmethod
    def hardened(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Logits [N, K] of embeddings [N, D] with the margin on the true class of each face."""


def give_head(network: nn.Module, loss: MarginLoss) -> str:
    """Put the loss's head in the place of the network's linear layer from D to K; returns that layer's name.

    Raises:
        RecipeError: the network has no such layer, or several.
    """
    k, d = loss.head.weight.shape
    fits: list[str] = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and (layer.out_features, layer.in_features) == (k, d)
    ]
    if len(fits) != 1:
        raise RecipeError(
            f"a margin loss replaces the one linear layer from {d} to {k}; this network has {fits or 'none'}: "
            "choose another loss or network"
        )
    parent, _, last = fits[0].rpartition(".")
    setattr(network.get_submodule(parent), last, loss.head)
    return fits[0]


class AngularMargin(MarginLoss):
    """The margin of L-Softmax and A-Softmax: the angle to the true class counts m-fold.

    f_y = (lambda |w_y| |x| cos(theta) + |w_y| |x| psi(theta)) / (1 + lambda); lambda falls with each batch seen in
    training mode with gradients enabled: max(floor, start / (1 + decay * batches)).
    """

    batches: Tensor

    def __init__(self, head: MarginHead, margin: int, start: float, decay: float, floor: float) -> None:
        super().__init__(head)
        self.margin = int(bounded("margin", margin, 1))
        self.start = bounded("start", start, 0)
        self.decay = bounded("decay", decay, 0)
        self.floor = bounded("floor", floor, 0)
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def easing(self) -> Tensor:
        """lambda, the weight of the plain cosine, a scalar."""
        return (self.start / (1 + self.decay * self.batches)).clamp_min(self.floor)

    def hardened(self, embedding: Tensor, labels: Tensor) -> Tensor:
        if self.learns:
            self.batches = self.batches + 1
        logits = self.logits(embedding)
        length = torch.linalg.vector_norm(embedding, dim=1)
        if not self.head.unit_weight:
            length = length * torch.linalg.vector_norm(self.head.weight, dim=1)[labels]
        plain = logits.gather(1, labels[:, None])[:, 0]
        easing = self.easing().to(logits.dtype)
        hard = length * psi(plain / length.clamp_min(1e-12), self.margin)
        return logits.scatter(1, labels[:, None], ((easing * plain + hard) / (1 + easing))[:, None])


def psi(cosine: Tensor, margin: int) -> Tensor:
    """psi(theta) = (-1)^k cos(m theta) - 2 k for theta in [k pi / m, (k + 1) pi / m], of cos(theta).

    >>> psi(torch.tensor([1.0, 0.0, -1.0]), 2)
    tensor([ 1., -1., -3.])
    """
    # Chebyshev's recurrence, for the slope of acos has no bound at 1
    before, multiple = torch.ones_like(cosine), cosine
    for _ in range(margin - 1):
        before, multiple = multiple, 2 * cosine * multiple - before
    angle = torch.acos(cosine.detach().clamp(-1, 1))
    k = torch.floor(margin * angle / math.pi).clamp(0, margin - 1)
    return (1 - 2 * (k % 2)) * multiple - 2 * k


class CosineMargin(MarginLoss):
    """The margin of AM-Softmax and CosFace: s (cos(theta) - m) for the true class, s cos(theta) for the others."""

    def __init__(self, classes: int, dim: int, scale: float, margin: float) -> None:
        super().__init__(MarginHead(classes, dim, unit_weight=True, unit_embedding=True, scale=scale))
        self.margin = bounded("margin", margin, 0, classes / (classes - 1), "[)")

    def hardened(self, embedding: Tensor, labels: Tensor) -> Tensor:
        logits = self.logits(embedding)
        return logits - self.head.scale * self.margin * functional.one_hot(labels, logits.shape[1])
