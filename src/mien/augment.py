"""Training-time augmentation of batches of face crops, on any device. Needs torch (extra `train`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.faces.degrade import occlude


def mirrored(theta: Tensor) -> Tensor:
    """Which faces a warp [N, 2, 3] mirrors, booleans [N]: those whose determinant is negative.

    >>> mirrored(torch.tensor([[[-1.0, 0, 0.1], [0, 1, 0]], [[0, -1, 0], [1, 0, 0]]]))
    tensor([ True, False])
    """
    determinant: Tensor = torch.linalg.det(theta[:, :, :2])
    return determinant < 0


def occluded(x: Tensor, chance: float, share: tuple[float, float], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Put things (`mien.faces.degrade`) in front of some faces [N, C, S, S] in [0, 1], C 1 or 3.

    Args:
        chance: probability for each face, in [0, 1].
        share: least and most of the face's area that is hidden, in (0, 1).

    Returns:
        The faces, and where they are hidden, bool [N, 1, S, S].
    """
    chosen = torch.rand(len(x), generator=generator) < chance
    random = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    mask = torch.zeros(len(x), 1, *x.shape[2:], dtype=torch.bool)
    if not chosen.any():
        return x, mask.to(x.device)
    blank = np.zeros((int(chosen.sum()), *x.shape[2:], *((3,) if x.shape[1] == 3 else ())), np.uint8)
    things, where = occlude(blank, share, random)
    drawn = torch.from_numpy(things).float() / 255
    out = x.clone()
    mask[chosen] = torch.from_numpy(where)[:, None]
    out[chosen.to(x.device)] = (drawn[:, None] if drawn.ndim == 3 else drawn.permute(0, 3, 1, 2)).to(x.device)
    mask = mask.to(x.device)
    return torch.where(mask, out, x), mask


@dataclass(frozen=True)
class Augment:
    """Strengths of each transformation; 0 turns one off.

    Attributes:
        roll: largest rotation, degrees.
        scale: largest relative change of size, each way, on a log scale (0.2: from 1/1.2 to 1.2).
        shift: largest shift, as a share of the side.
        stretch: largest relative change of the aspect ratio, on a log scale.
        flip: probability of mirroring.
        contrast: largest relative change of contrast; gamma changes as much.
        blur: probability of losing resolution: down to 40-90 % of the side and back.
        noise: largest standard deviation of additive noise, as a share of the full range.
        erase: probability of erasing a rectangle of 3-30 % of the area.
        occlude: probability of something in front of the face: a block, sunglasses, a mask, a hand, a scarf.
        occlude_share: least and most of the face's area that it hides, in (0, 1).
        mixup: parameter of the Beta distribution of mixup (Zhang et al., ICLR 2018).
        mix_share: share of batches that are mixed.
    """

    roll: float = 15.0
    scale: float = 0.2
    shift: float = 0.08
    stretch: float = 0.05
    flip: float = 0.5
    contrast: float = 0.3
    blur: float = 0.15
    noise: float = 0.04
    erase: float = 0.4
    occlude: float = 0.0
    occlude_share: tuple[float, ...] = (0.05, 0.6)
    mixup: float = 0.2
    mix_share: float = 0.5

    def __call__(self, pixels: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """Transform faces [N, C, H, W] in [0, 1] to [N, C, size, size] in [0, 1]."""
        return self.transform(pixels, size, generator)[0]

    def transform(self, pixels: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The same, and the warp [N, 2, 3] on the CPU: from places after it to places before it, in half sides."""
        x, theta = self._warp(pixels, size, generator)
        if self.occlude:
            x, _ = occluded(x, self.occlude, (self.occlude_share[0], self.occlude_share[-1]), generator)
        x = self._degrade(x, generator)
        return self._erase(x, generator), theta

    def _uniform(self, n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    def _warp(self, x: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n = len(x)
        angle = self._uniform(n, -self.roll, self.roll, generator) * math.pi / 180
        zoom = torch.exp(self._uniform(n, -1, 1, generator) * math.log1p(self.scale))
        stretch = torch.exp(self._uniform(n, -1, 1, generator) * math.log1p(self.stretch) / 2)
        mirror = 1 - 2 * (torch.rand(n, generator=generator) < self.flip).float()
        # affine_grid maps output to input, in units of half a side
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = mirror * torch.cos(angle) / (zoom * stretch)
        theta[:, 0, 1] = -mirror * torch.sin(angle) / zoom
        theta[:, 1, 0] = torch.sin(angle) / zoom
        theta[:, 1, 1] = torch.cos(angle) * stretch / zoom
        theta[:, :, 2] = self._uniform(2 * n, -2 * self.shift, 2 * self.shift, generator).view(n, 2)
        grid = F.affine_grid(theta.to(x.device), [n, x.shape[1], size, size], align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False), theta

    def _degrade(self, x: Tensor, generator: torch.Generator) -> Tensor:
        n, size = len(x), x.shape[-1]
        if self.contrast:
            gamma = torch.exp(self._uniform(n, -self.contrast, self.contrast, generator))
            gain = torch.exp(self._uniform(n, -self.contrast, self.contrast, generator))
            gamma, gain = gamma.to(x.device), gain.to(x.device)
            x = x.clamp(1e-3, 1).pow(gamma.view(n, 1, 1, 1))
            x = 0.5 + (x - 0.5) * gain.view(n, 1, 1, 1)
        if self.blur:
            blurred = (torch.rand(n, generator=generator) < self.blur).to(x.device)
            low = int(size * float(self._uniform(1, 0.4, 0.9, generator)))
            soft = F.interpolate(x, (low, low), mode="bilinear", antialias=True, align_corners=False)
            soft = F.interpolate(soft, (size, size), mode="bilinear", align_corners=False)
            x = torch.where(blurred.view(n, 1, 1, 1), soft, x)
        if self.noise:
            deviation = self._uniform(n, 0, self.noise, generator).to(x.device).view(n, 1, 1, 1)
            x = x + deviation * torch.randn(x.shape, generator=generator).to(x.device)
        return x.clamp(0, 1)

    def _erase(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if not self.erase:
            return x
        n, side = len(x), x.shape[-1]
        chosen = torch.rand(n, generator=generator) < self.erase
        area = self._uniform(n, 0.03, 0.30, generator) * side * side
        ratio = torch.exp(self._uniform(n, -1, 1, generator) * math.log(3))
        height, width = (area * ratio).sqrt().clamp(max=side - 1), (area / ratio).sqrt().clamp(max=side - 1)
        top = torch.rand(n, generator=generator) * (side - height)
        left = torch.rand(n, generator=generator) * (side - width)
        line = torch.arange(side)
        rows = (line >= top[:, None]) & (line < (top + height)[:, None])
        columns = (line >= left[:, None]) & (line < (left + width)[:, None])
        hole = (rows[:, None, :, None] & columns[:, None, None, :] & chosen.view(n, 1, 1, 1)).to(x.device)
        fill = torch.rand(n, 1, 1, 1, generator=generator).to(x.device)
        return torch.where(hole, fill.expand_as(x), x)

    def mix(self, x: Tensor, targets: list[Tensor], generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """Mixup: blend each face and its targets with another of the batch."""
        if not self.mixup or float(torch.rand(1, generator=generator)) >= self.mix_share:
            return x, targets
        # max(b, 1 - b) keeps the first face dominant; the Beta draw comes from two Gamma draws
        a, b = torch._standard_gamma(torch.full((2,), self.mixup), generator=generator)
        weight = float(a / (a + b).clamp_min(1e-12))
        weight = max(weight, 1 - weight)
        other = torch.randperm(len(x), generator=generator)
        blend = [weight * t + (1 - weight) * t[other.to(t.device)] for t in (x, *targets)]
        return blend[0], blend[1:]
