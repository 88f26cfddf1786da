"""Networks, one file each. Needs torch (extra `train`); using mien does not import this package.

A network takes `{"face": [N, C, S, S]}` (a bare tensor means `face`) and returns an `Output`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from mien.registry import Registry

MODELS: Registry[nn.Module] = Registry("model", "mien.models")

Inputs = Tensor | Mapping[str, Tensor]


@dataclass
class Output:
    """What every network returns.

    Attributes:
        logits: [N, K].
        embedding: [N, D], the input of the last linear layer.
        aux: further tensors that a loss or a report may want, by name.
    """

    logits: Tensor
    embedding: Tensor
    aux: dict[str, Tensor] = field(default_factory=dict)


def face(inputs: Inputs) -> Tensor:
    """The `face` modality of a network's input."""
    return inputs if isinstance(inputs, Tensor) else inputs["face"]
