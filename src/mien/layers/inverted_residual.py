"""The inverted residual of MobileNetV2 and V3."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from mien.layers.conv_unit import conv_unit


class HardSqueezeExcite(nn.Module):
    """Squeeze-and-excitation whose gate is a hard sigmoid, relu6(x + 3) / 6.

    Paper: Howard et al., "Searching for MobileNetV3", ICCV 2019, section 5.3.

    Args:
        channels: channels of the input [N, channels, H, W].
        hidden: channels of the bottleneck.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(functional.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * functional.hardsigmoid(gate)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 linear projection; a shortcut where nothing changes shape.

    Paper: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, table 1.

    Args:
        inputs: channels that come in.
        hidden: channels of the depthwise convolution; no expansion where it equals `inputs`.
        outputs: channels that go out.
        kernel: side of the depthwise convolution.
        stride: of the depthwise convolution.
        act: makes the activation for a number of channels.
        squeeze: channels of the bottleneck of squeeze-and-excitation after the depthwise convolution; 0 for none.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        kernel: int,
        stride: int,
        act: Callable[[int], nn.Module],
        squeeze: int = 0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_unit(inputs, hidden, 1, act=act)] if hidden != inputs else []
        layers.append(conv_unit(hidden, hidden, kernel, stride, groups=hidden, act=act))
        if squeeze:
            layers.append(HardSqueezeExcite(hidden, squeeze))
        layers.append(conv_unit(hidden, outputs, 1, act=None))
        self.layers = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple of `by`, at least `by`, and not more than a tenth below `channels`.

    >>> divisible(72 / 4), divisible(33)
    (24, 32)
    """
    near = max(by, int(channels + by / 2) // by * by)
    return near + by if near < 0.9 * channels else near
