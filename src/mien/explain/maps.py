"""The last feature map of a network, found by watching a forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mien.models import Inputs, Output, face


@dataclass
class FeatureMap:
    """What a module gave.

    Attributes:
        name: of the module.
        call: how often that module had been called before in the same pass.
        value: [N, D, h, w], with its gradient's history.
    """

    name: str
    call: int
    value: Tensor


def watch(network: nn.Module, inputs: Inputs, *, copies: bool = False) -> tuple[Output, list[FeatureMap]]:
    """Run a network, and keep every feature map of more than one place that it has made of the faces, in order.

    Args:
        copies: also keep maps of several altered copies of each face, which stand behind one another in the batch.
    """
    found: list[FeatureMap] = []
    calls: dict[str, int] = {}
    x = face(inputs).detach().requires_grad_()
    inputs = {**inputs, "face": x} if isinstance(inputs, Mapping) else x

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, made: Any) -> None:
            calls[name] = calls.get(name, -1) + 1
            if not isinstance(made, Tensor) or made.ndim != 4 or made.grad_fn is None:
                return
            if (len(made) == len(x) or (copies and len(made) > len(x))) and made.shape[2] * made.shape[3] > 1:
                found.append(FeatureMap(name, calls[name], made))

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in network.named_modules() if name]
    try:
        with torch.enable_grad():
            output: Output = network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    rests: dict[Any, tuple[bool, bool]] = {}
    return output, [item for item in found if all(_rests(item.value.grad_fn, x, rests))]


def _rests(start: Any, x: Tensor, known: dict[Any, tuple[bool, bool]]) -> tuple[bool, bool]:
    """Whether a step of autograd's graph rests on the faces `x`, and whether on weights; fills in `known`."""
    waiting = [start]
    while waiting:
        node = waiting[-1]
        behind = [following for following, _ in node.next_functions if following is not None]
        unknown = [following for following in behind if following not in known]
        if unknown and node not in known:
            waiting += unknown
            continue
        waiting.pop()
        if hasattr(node, "variable"):
            known[node] = (node.variable is x, node.variable is not x)
        else:
            known[node] = (any(known[n][0] for n in behind), any(known[n][1] for n in behind))
    return known[start]


def last_map(output: Output, found: list[FeatureMap]) -> FeatureMap | None:
    """The last map that everything about the face passes through, else the last one that the logits depend on.

    A transformer that gives its tokens as `aux["features"]` [N, L, D] has them folded back to their square grid; one
    token more than a square is taken for a class token in front. None where there is no map at all, as in a network of
    linear layers.
    """
    used = _reach(output.logits.grad_fn)[0]
    chain = [item for item in found if item.value.grad_fn in used]
    for item in reversed(chain):
        before = _reach(item.value.grad_fn)[1]
        if not before & _reach(output.logits.grad_fn, item.value.grad_fn)[1]:
            return _outermost(item, chain)
    if chain:
        return _outermost(chain[-1], chain)
    return _tokens(output, used)


def _outermost(item: FeatureMap, chain: list[FeatureMap]) -> FeatureMap:
    """The same map under the name of the largest module that gives it."""
    same = [other for other in chain if other.value is item.value]
    return min(same, key=lambda other: other.name.count("."))


def _tokens(output: Output, used: set[Any]) -> FeatureMap | None:
    tokens = output.aux.get("features")
    if tokens is None or tokens.ndim != 3 or tokens.grad_fn not in used:
        return None
    side = int(tokens.shape[1] ** 0.5)
    extra = tokens.shape[1] - side * side
    return FeatureMap("features", extra, tokens) if side > 1 and extra in (0, 1) else None


def as_grid(item: FeatureMap, value: Tensor) -> Tensor:
    """A map, or its gradient, as [N, D, h, w]: tokens [N, L, D] are folded back."""
    if value.ndim == 4:
        return value
    places = value[:, item.call :]
    side = int(places.shape[1] ** 0.5)
    return places.transpose(1, 2).reshape(len(places), -1, side, side)


def _reach(start: Any, stop: Any = None) -> tuple[set[Any], set[Any]]:
    """Every step of autograd's graph behind `start` without passing `stop`, and the weights and faces among them."""
    seen: set[Any] = set()
    leaves: set[Any] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or node is stop:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(node)
        waiting += [following for following, _ in node.next_functions]
    return seen, leaves
