"""Multiply-accumulates and parameters of every module, counted while a network runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mien.layers.involution import Involution
from mien.models import Inputs, Output

Rule = Callable[[tuple[Any, ...], Tensor], int]


def _convolution(given: tuple[Any, ...], made: Tensor) -> int:
    """One product for each tap of each output, or of each input where the convolution is a transposed one."""
    taps = int(math.prod(given[1].shape[1:]))
    return int(given[0].numel() if given[6] else made.numel()) * taps


def _attention(given: tuple[Any, ...], _: Tensor) -> int:
    """Q K^T and the weighted sum of V."""
    q, k, v = given[:3]
    products = int(q.numel()) + int(math.prod(q.shape[:-1])) * int(v.shape[-1])
    return products * int(k.shape[-2])


_ATEN = torch.ops.aten
RULES: dict[Any, Rule] = {
    _ATEN.convolution: _convolution,
    _ATEN.mm: lambda given, made: int(made.numel()) * int(given[0].shape[-1]),
    _ATEN.bmm: lambda given, made: int(made.numel()) * int(given[0].shape[-1]),
    _ATEN.addmm: lambda given, made: int(made.numel()) * int(given[1].shape[-1]),
    _ATEN.baddbmm: lambda given, made: int(made.numel()) * int(given[1].shape[-1]),
    _ATEN.linear: lambda given, made: int(made.numel()) * int(given[1].shape[-1]),
    # a bilinear sample is a sum of four products
    _ATEN.grid_sampler_2d: lambda _, made: 4 * int(made.numel()),
    _ATEN.upsample_bilinear2d: lambda _, made: 4 * int(made.numel()),
}


def _by_module(module: nn.Module, made: Any) -> int:
    """Products that a module makes element by element, which look like any other multiplication from below."""
    if isinstance(module, Involution) and isinstance(made, Tensor):
        return int(made.numel()) * module.kernel**2
    return 0


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the multiply-accumulates of all that runs inside it.

    Convolutions (also deformable ones), linear and recurrent layers, matrix products, attention and bilinear sampling
    count; norms, activations, pooling and products of single elements do not. `attends` tells whether attention ran.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.attends = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        name = packet.__name__
        if packet in RULES:
            self.total += RULES[packet](args, made)
        elif name == "mkldnn_rnn_layer":  # all steps of an LSTM at once
            steps = int(args[0].numel()) // int(args[0].shape[-1])
            self.total += steps * int(args[1].numel() + args[2].numel())
        elif name.startswith("_scaled_dot_product"):
            self.total += _attention(args, made[0])
            self.attends = True
        elif name in ("_softmax", "_safe_softmax") and made.ndim >= 3:
            self.attends = True
        return made


@dataclass
class Call:
    """One run of one module.

    Attributes:
        name: of the module; empty for the network itself.
        shape: of its output, or of the first tensor of it.
        parameters: of the module and all in it that no earlier call has used.
        macs: multiply-accumulates.
        own: names of the parameters that no call inside has used.
        calls: the modules that it ran, in order.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...] = ()
    parameters: int = 0
    macs: int = 0
    own: tuple[str, ...] = ()
    calls: list[Call] = field(default_factory=list)


def trace(network: nn.Module, inputs: Inputs) -> tuple[Call, bool]:
    """Run a network once, in evaluation mode.

    Returns:
        The tree of calls, and whether attention over more than one thing has run.
    """
    network.eval()
    counter, seen = Counter(), set[int]()
    root: list[Call] = []
    open_calls: list[Call] = []
    starts: list[int] = []

    def enter(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: Any) -> None:
            call = Call(name, module)
            (open_calls[-1].calls if open_calls else root).append(call)
            open_calls.append(call)
            starts.append(counter.total)

        return hook

    def leave(module: nn.Module, given: Any, made: Any) -> None:
        call = open_calls.pop()
        counter.total += _by_module(module, made)
        call.macs = counter.total - starts.pop()
        call.shape = _shape(made)
        own = {n: p for n, p in module.named_parameters() if id(p) not in seen}
        seen.update(id(p) for p in own.values())
        call.own = tuple(own)
        call.parameters = sum(p.numel() for p in own.values()) + sum(inner.parameters for inner in call.calls)

    handles = []
    for name, module in network.named_modules():
        handles += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
    try:
        # with gradients, for without them torch fuses layers that could then not be counted
        with torch.enable_grad(), counter:
            network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return root[0], counter.attends


def _shape(made: Any) -> tuple[int, ...]:
    if isinstance(made, Output):
        made = made.logits
    while isinstance(made, tuple | list) and made:
        made = made[0]
    return tuple(made.shape) if isinstance(made, Tensor) else ()
