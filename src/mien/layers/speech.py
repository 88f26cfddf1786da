"""Spectra of speech through convolutions: over time and frequency, or resampled to a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.layers.conv_unit import conv_unit
from mien.layers.masked_lstm import lengths


class SpectrumConv(nn.Module):
    """3x3 convolutions of stride 2 over time and frequency: features [N, T, D] to [N, ceil(T / 2^b), C ceil(D / 2^b)].

    What is not there is 0 after every block, so that in evaluation padding changes nothing.

    Args:
        bands: D.
        widths: channels of the b blocks; the last is C.
    """

    def __init__(self, bands: int, widths: Sequence[int]) -> None:
        super().__init__()
        inputs = [1, *widths[:-1]]
        self.blocks = nn.ModuleList(conv_unit(i, o, 3, 2) for i, o in zip(inputs, widths, strict=True))
        for _ in widths:
            bands = (bands + 1) // 2
        self.dim = bands * widths[-1]

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """The features, and what is there at their pace, bool [N, ceil(T / 2^b)]."""
        x = (x * there[:, :, None].to(x.dtype))[:, None]
        for block in self.blocks:
            there = there[:, ::2]
            x = block(x) * there[:, None, :, None].to(x.dtype)
        return x.transpose(1, 2).flatten(2), there


def resampled(x: Tensor, there: Tensor, steps: int) -> Tensor:
    """Features [N, T, D] at `steps` steps [N, steps, D]: means over equal shares of each sample's length.

    The length is that up to the last step that is there. A sample shorter than `steps` is stretched.

    >>> x = torch.arange(6.0)[None, :, None]
    >>> resampled(x, torch.tensor([[True, True, True, True, False, False]]), 2).flatten().tolist()
    [0.5, 2.5]
    """
    x = x * there[:, :, None].to(x.dtype)
    # the integral of the steps, from 0 to each edge between two
    sums = torch.cat([torch.zeros_like(x[:, :1]), x.cumsum(1)], 1)
    share = torch.arange(steps + 1, device=x.device, dtype=x.dtype) / steps
    edge = lengths(there)[:, None].to(x.dtype) * share
    low = edge.floor().long().clamp_max(x.shape[1] - 1)
    part = (edge - low.to(x.dtype))[:, :, None]
    low = low[:, :, None].expand(-1, -1, x.shape[2])
    at = sums.gather(1, low) * (1 - part) + sums.gather(1, low + 1) * part
    return (at[:, 1:] - at[:, :-1]) / (edge[:, 1:] - edge[:, :-1])[:, :, None]
