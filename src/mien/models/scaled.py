"""A network over several modalities behind the standardisation of its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mien.models import Inputs, Output


class Scale(nn.Module):
    """(x - mean) / deviation of each modality's features; 0 where the mask says that nothing is there.

    Args:
        widths: modality -> D of features [N, T, D], or C of maps [N, C, S, S]; others pass as they are.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.names = tuple(widths)
        for name, width in widths.items():
            self.register_buffer(f"mean_{name}", torch.zeros(width))
            self.register_buffer(f"deviation_{name}", torch.ones(width))

    def set(self, scales: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> None:
        """Take mean and deviation of each modality."""
        for name in self.names:
            for kind, values in zip(("mean", "deviation"), scales[name], strict=True):
                buffer = getattr(self, f"{kind}_{name}")
                buffer.copy_(torch.as_tensor(values, dtype=buffer.dtype))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        scaled = dict(inputs)
        for name in self.names:
            x = inputs[name]
            there = inputs.get(f"{name}_mask")
            shape = [-1, 1, 1] if x.ndim == 4 else [-1]
            mean, deviation = (getattr(self, f"{kind}_{name}").reshape(shape) for kind in ("mean", "deviation"))
            x = (x - mean) / deviation
            scaled[name] = x if there is None else x * there.reshape([*there.shape, *[1] * (x.ndim - 2)]).to(x.dtype)
        return scaled


class Scaled(nn.Module):
    """A network whose features are standardised before it reads them; the figures are kept with its weights.

    Args:
        net: reads a mapping of modalities.
        widths: as `Scale`.
    """

    def __init__(self, net: nn.Module, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.scale = Scale(widths)
        self.net = net

    def forward(self, inputs: Inputs) -> Output:
        if isinstance(inputs, Tensor):
            inputs = {self.scale.names[0]: inputs}
        output: Output = self.net(self.scale(inputs))
        return output
