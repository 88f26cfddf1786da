"""DBN: a deep belief network, pre-trained layer by layer as restricted Boltzmann machines, then fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from mien.layers.fixed_map import FixedMap
from mien.layers.rbm import RBM
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face


class DBN(nn.Module):
    """Stacked restricted Boltzmann machines, the first with Gaussian visible units, and a linear classifier.

    The stage `rbm` trains them one after the other by contrastive divergence; the recipe's loss then fine-tunes
    h_l = sigmoid(c_l + W_l^T h_(l-1)) as a network.

    Paper: Hinton, Osindero, Teh, "A fast learning algorithm for deep belief nets", Neural Computation 2006; named
        among the networks for expressions by Li and Deng, "Deep facial expression recognition: a survey".
    Differs: widths are ours; the top is a softmax, not an associative memory that knows the labels.

    Args:
        classes: K.
        channels: of the picture.
        widths: hidden units of each machine.
        dropout: before the classifier, in [0, 1).
        size: side to which pictures are stretched.
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (1024, 512, 256),
        dropout: float = 0.2,
        size: int = 48,
    ) -> None:
        super().__init__()
        self.prepare = nn.Sequential(FixedMap(size), Standardise())
        sides = [channels * size * size, *widths]
        pairs = list(pairwise(sides))
        self.rbms = nn.ModuleList(RBM(v, h, gaussian=not index) for index, (v, h) in enumerate(pairs))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)

    def visible(self, x: Tensor) -> Tensor:
        """What the first machine sees of pictures [N, C, S, S]: standardised pixels [N, 1, V]."""
        pixels: Tensor = self.prepare(x)
        return pixels.flatten(1)[:, None]

    def forward(self, inputs: Inputs) -> Output:
        hidden = self.visible(face(inputs))
        for rbm in self.rbms:
            hidden = rbm(hidden)
        embedding = hidden.flatten(1)
        return Output(self.head(self.dropout(embedding)), embedding, {"features": embedding})


@MODELS.register("dbn", paper="Hinton et al. 2006; Li and Deng 2020", parameters=3_018_504, size=48, modality="face")
def dbn(classes: int = 8, tiny: bool = False, **arguments: Any) -> DBN:
    """Start it with the stage `rbm`; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (12, 8), "size": 12} if tiny else {}
    return DBN(classes, **{**own, **arguments})
