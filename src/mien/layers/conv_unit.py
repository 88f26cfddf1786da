"""Convolution, batch norm and activation: the unit that the light networks are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class Conv(nn.Conv2d):
    """Convolution padded by half its kernel.

    A strided depthwise convolution is trained as one of stride 1 whose every second output is kept: the same function,
    and several times faster backward on CPUs.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int] = 3,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2)
        super().__init__(inputs, outputs, sides, stride, padding, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        step = self.stride[0]
        if self.training and self.groups > 1 and step > 1:
            full = F.conv2d(x, self.weight, self.bias, 1, self.padding, 1, self.groups)
            return full[:, :, ::step, ::step]
        return super().forward(x)


def conv_unit(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int] = 3,
    stride: int = 1,
    *,
    groups: int = 1,
    act: Callable[[int], nn.Module] | None = lambda _: nn.ReLU(),
) -> nn.Sequential:
    """Convolution without bias, batch norm, and `act(outputs)` unless it is None."""
    layers: list[nn.Module] = [Conv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs)]
    if act is not None:
        layers.append(act(outputs))
    return nn.Sequential(*layers)


def initialise(network: nn.Module) -> None:
    """Kaiming initialisation (fan out) of every convolution, normal(0, 0.01) of every linear layer called `head`."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and name == "head":
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def own(defaults: dict[str, Any], tiny: bool, small: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a network: its defaults, over these the ones of its tiny variant, over these the caller's."""
    return {**defaults, **(small if tiny else {}), **arguments}
