"""Equalised faces, and histograms of their local binary patterns over a grid of cells; nothing here is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import RecipeError
from mien.layers.input_maps import LBP, Grey

LEVELS = 256
BINS = 59
"""58 uniform patterns of eight neighbours, and one bin for all others."""


def counts(values: Tensor, bins: int) -> Tensor:
    """How often each whole number 0 to bins - 1 stands in each row: [N, M] to float [N, bins]."""
    held = torch.zeros(values.shape[0], bins, dtype=torch.float32, device=values.device)
    return held.scatter_add(1, values, torch.ones_like(values, dtype=torch.float32))


class HistogramEqualisation(nn.Module):
    """Grey levels spread so that each is as frequent as every other: [N, 1, S, S] in [0, 1] to the same.

    y = (F(x) - F(least)) / (1 - F(least)), with F the distribution of the face's own 256 levels; a face of one level
    stays 0.

    Paper: Gonzalez, Woods, "Digital image processing", section 3.3.1.
    """

    def forward(self, x: Tensor) -> Tensor:
        flat = (x.clamp(0, 1) * (LEVELS - 1)).round().long().flatten(1)
        share = counts(flat, LEVELS).cumsum(1) / flat.shape[1]
        level = share.gather(1, flat)
        least = level.amin(1, keepdim=True)
        return ((level - least) / (1 - least).clamp_min(1e-6)).reshape(x.shape)


def uniform_bins() -> Tensor:
    """Bin of each of the 256 patterns: uniform ones, of at most two changes around the ring, have one each, in order.

    >>> int((uniform_bins() < 58).sum()), int(uniform_bins().max())
    (58, 58)
    """
    bins, next_bin = [], 0
    for code in range(LEVELS):
        ring = [code >> bit & 1 for bit in range(8)]
        changes = sum(ring[bit] != ring[bit - 1] for bit in range(8))
        bins.append(next_bin if changes <= 2 else BINS - 1)
        next_bin += changes <= 2
    return torch.tensor(bins)


class LBPHistograms(nn.Module):
    """Uniform LBP(8, 1) histograms over grid x grid cells: faces [N, C, S, S] in [0, 1] to [N, grid^2 59].

    Each cell's histogram sums to 1 and its square root is given, so that distances are Hellinger's.

    Paper: Ahonen, Hadid, Pietikainen, "Face description with local binary patterns", TPAMI 2006; the patterns Ojala,
        Pietikainen, Maenpaa, TPAMI 2002.
    Differs: the eight neighbours of the square grid, not interpolated on the circle; cells are not weighed.

    Args:
        grid: cells along each side.
        equalise: spread the grey levels first.
    """

    def __init__(self, grid: int = 6, equalise: bool = True) -> None:
        super().__init__()
        if grid < 1:
            raise RecipeError(f"a grid of {grid} cells a side; at least 1 is needed")
        self.grid, self.width = grid, grid * grid * BINS
        self.grey, self.patterns = Grey(), LBP()
        self.equalise = HistogramEqualisation() if equalise else nn.Identity()
        self.register_buffer("bins", uniform_bins(), persistent=False)
        self.bins: Tensor

    def forward(self, x: Tensor) -> Tensor:
        cell = x.shape[-1] // self.grid
        if cell < 1 or x.shape[-2] // self.grid < 1:
            raise RecipeError(f"a face of {list(x.shape[-2:])} pixels has no {self.grid} x {self.grid} cells")
        codes = (self.patterns(self.equalise(self.grey(x))) * 255).round().long()
        rows, columns = (size // self.grid for size in x.shape[-2:])
        # what does not divide is left out at the lower and right edge
        codes = self.bins[codes[:, 0, : rows * self.grid, : columns * self.grid]]
        cells = codes.reshape(x.shape[0], self.grid, rows, self.grid, columns).transpose(2, 3)
        found = counts(cells.reshape(x.shape[0] * self.grid**2, rows * columns), BINS) / (rows * columns)
        return functional.relu(found).sqrt().reshape(x.shape[0], self.width)
