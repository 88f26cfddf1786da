"""What every loss shares: what it reads from a network's output, hard and soft targets, and how it is built.

A loss is called as `loss(output, targets, **extra)` and returns a scalar in 32 bits, whatever autocast is in force.

- `output` is an `Output`; a bare tensor means logits [N, K].
- `targets` are distributions [N, K]; class numbers [N] are taken as well. A formula that knows one class per face takes
  the largest share (the first of equals).
- `extra` holds further tensors of the batch, such as `subject` [N]; a loss ignores those that it does not use.

The fact `needs` names what a loss reads from the output (`logits`, `embedding`, or a key of `Output.aux` such as
`features`, `heads`) and what its constructor has to be given (`classes`, `dim`, `counts`); `build` finds these from one
output. A loss without `logits` among its needs trains no classifier: use it as one more term beside one that does, or,
where the fact `head` is true, put its own `head` in the place of the network's last linear layer. The fact `targets`
is `dimensions` for losses of valence, arousal and the like, whose targets are numbers [N, V].

State: parameters of a loss (`loss.parameters()`) go to the optimiser beside the network's; class centres are buffers
that the loss moves itself. Both are in `state_dict()`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.models import Output


class Loss(nn.Module, ABC):
    """Base of the losses: leaves autocast, so that sums and exponentials are taken in 32 bits."""

    def forward(self, output: Output | Tensor, targets: Tensor, **extra: Tensor) -> Tensor:
        with torch.autocast(targets.device.type, enabled=False):
            return self.value(output, targets, extra)

    @abstractmethod
    def value(self, output: Output | Tensor, targets: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch, a scalar."""

    @property
    def learns(self) -> bool:
        """Whether this call may move the loss's own state: in training mode and with gradients enabled."""
        return self.training and torch.is_grad_enabled()


def exact(x: Tensor) -> Tensor:
    """At least 32 bits: half and bfloat16 are widened, 64 bits stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def read(output: Output | Tensor, name: str) -> Tensor:
    """The tensor of a network's output called `name`: `logits`, `embedding`, or a key of `aux`; at least 32 bits.

    Raises:
        RecipeError: the network does not give it.
    """
    given = {"logits": output} if isinstance(output, Tensor) else {**output.aux, **_fields(output)}
    if name not in given:
        raise RecipeError(
            f"a loss reads {name!r}, but the network gives only {', '.join(sorted(given))}; "
            "choose another loss or a network that gives it"
        )
    return exact(given[name])


def _fields(output: Output) -> dict[str, Tensor]:
    return {"logits": output.logits, "embedding": output.embedding}


def logits_of(output: Output | Tensor) -> Tensor:
    """Logits [N, K], at least 32 bits, of an `Output` or of a bare tensor."""
    return read(output, "logits")


def labels_of(targets: Tensor) -> Tensor:
    """Class numbers [N] of distributions [N, K]: the largest share, the first of equals."""
    return targets.long() if targets.ndim == 1 else targets.argmax(1)


def distribution_of(targets: Tensor, logits: Tensor) -> Tensor:
    """Targets [N, K] in the precision of the logits; class numbers [N] become one-hot rows.

    Raises:
        ValueError: the shapes do not agree.
    """
    if targets.ndim == 1:
        targets = functional.one_hot(targets.long(), logits.shape[1])
    if targets.shape != logits.shape:
        raise ValueError(f"targets {list(targets.shape)} do not fit logits {list(logits.shape)}; they must be alike")
    return targets.to(logits.dtype)


def nothing(*tensors: Tensor) -> Tensor:
    """Zero that still lets `backward()` reach these tensors: for a batch in which a loss has nothing to compare."""
    return torch.stack([t.sum() * 0.0 for t in tensors]).sum()


def bounded(name: str, value: float, low: float, high: float = math.inf, ends: str = "[]") -> float:
    """The value, if it lies between the bounds; `ends` says with brackets which bounds belong to the range.

    Raises:
        RecipeError: it lies outside.
    """
    above = value >= low if ends[0] == "[" else value > low
    below = value <= high if ends[1] == "]" else value < high
    if not (above and below):
        close = ends[1] if math.isfinite(high) else ")"
        raise RecipeError(f"{name} = {value}; it must lie in {ends[0]}{low:g}, {high:g}{close}")
    return value


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """The value, if it is allowed.

    Raises:
        RecipeError: it is not.
    """
    if value not in allowed:
        raise RecipeError(f"{name} = {value!r}; choose one of {', '.join(allowed)}")
    return value


def build(name: str, output: Output, /, counts: Sequence[float] | None = None, **arguments: Any) -> nn.Module:
    """A registered loss that fits a network, of which one `output` (of any batch) is shown.

    Args:
        name: of the loss.
        output: shows the number of classes K and the size D of the vectors that the loss reads.
        counts: faces of each class in the training split, [K], for the losses that weight by it.
        arguments: the loss's own; these win over what the output shows.

    Raises:
        UnknownName: no loss has that name.
        RecipeError: the loss takes no such argument, or lacks one.
    """
    needs = LOSSES.facts(name).get("needs", ())
    shown: dict[str, Any] = {"classes": output.logits.shape[1]}
    for kind in ("embedding", "features"):
        if kind in needs and "dim" in needs:
            shown["dim"] = read(output, arguments.get("reads", kind)).shape[1]
    if counts is not None:
        shown["counts"] = list(counts)
    given = {key: value for key, value in shown.items() if key in needs} | arguments
    try:
        return LOSSES.create(name, **given)
    except TypeError as error:
        # a wrong name or type of an argument; the message of Python names it
        raise RecipeError(f"loss {name!r}: {str(error).split('.__init__() ')[-1]}") from error
