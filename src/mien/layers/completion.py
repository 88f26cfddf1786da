"""Face completion: a generator that paints over what hides a face, and the critics that it is trained against."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.layers.fixed_map import FixedMap


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


def _same(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class Completer(nn.Module):
    """Autoencoder from a face, part of it hidden, to the face: y = m r + (1 - m) x.

    r is the face that the decoder paints, m in [0, 1] where it believes x to be hidden. Each level of the encoder is a
    4x4 convolution of stride 2, of the decoder an enlargement and a 3x3 convolution; two convolutions at the lowest
    side, where each place sees every other, stand between.

    Paper: Li, Liu, Yang, Yang, "Generative face completion", CVPR 2017 (autoencoder; known pixels are kept); Ge, Dai,
        Zhu et al., "A robust face recognition algorithm based on an improved generative confrontation network",
        Applied Sciences 11(24) 11588, 2021.
    Differs: blind: the papers are given the hole, here m is the network's own; skips between equal sides; no fully
        connected layer; widths are ours, for 48 pixels.

    Args:
        channels: of the picture.
        widths: channels of each level.
        size: side to which pictures are stretched; divisible by 2 to the number of levels.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 64, 128, 192), size: int = 48) -> None:
        super().__init__()
        self.size = size
        self.resize = FixedMap(size)
        self.encoder = nn.ModuleList(_down(a, b) for a, b in pairwise([channels, *widths]))
        self.middle = nn.Sequential(_same(widths[-1], widths[-1]), _same(widths[-1], widths[-1]))
        # at half the side, a picture's pixels four by four stand for the picture
        joined, inner = [4 * channels, *widths[:-1]], list(widths)
        outer = [widths[0], *widths[:-1]]
        levels = range(len(widths) - 1, -1, -1)
        self.decoder = nn.ModuleList(_same(inner[level] + joined[level], outer[level]) for level in levels)
        self.last = nn.Conv2d(outer[0], 4 * (channels + 1), 3, 1, 1)
        self.channels = channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of faces [N, C, S, S] in [0, 1]: the face y, the logits of m [N, 1, size, size], and r, like y.

        y and r are [N, C, size, size] in [0, 1].
        """
        x = self.resize(x)
        maps = [F.pixel_unshuffle(x, 2)]
        y = x
        for layer in self.encoder:
            y = layer(y)
            maps.append(y)
        y = self.middle(y)
        for level, layer in enumerate(self.decoder):
            skip = maps[-2 - level]
            # the outermost level stays at half the side
            y = y if level == len(self.decoder) - 1 else F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = layer(torch.cat([y, skip], 1))
        made = F.pixel_shuffle(self.last(y), 2).float()
        painted, where = torch.sigmoid(made[:, : self.channels]), made[:, self.channels :]
        hidden = torch.sigmoid(where)
        return hidden * painted + (1 - hidden) * x, where, painted


class Critic(nn.Module):
    """Whether a picture [N, C, side, side] was taken or painted, one logit [N].

    Paper: Radford, Metz, Chintala, "Unsupervised representation learning with deep convolutional generative
        adversarial networks", ICLR 2016, as Li et al., CVPR 2017, use it for both discriminators.
    Differs: no norms, whose statistics tell taken from painted batches; widths are ours.

    Args:
        channels: of the picture.
        side: of the picture, divisible by 2 to the number of levels.
        widths: channels of each convolution of stride 2.
    """

    def __init__(self, channels: int = 1, side: int = 48, widths: Sequence[int] = (24, 48, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise([channels, *widths]):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
            side //= 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * side * side, 1))

    def forward(self, x: Tensor) -> Tensor:
        verdict: Tensor = self.layers(x)[:, 0]
        return verdict.float()


def around(mask: Tensor, least: int = 8) -> Tensor:
    """Smallest boxes around what masks bool [N, S, S] mark, float [N, 4]: left, top, right, bottom, in pixels.

    A box shorter than `least` is widened; one of an empty mask is the whole picture.

    >>> mask = torch.zeros(1, 12, 12, dtype=torch.bool)
    >>> mask[0, 2:11, 4:7] = True
    >>> around(mask, least=5).tolist()
    [[3.0, 2.0, 8.0, 11.0]]
    """
    side = mask.shape[-1]
    sides = []
    for axis in (1, 2):  # any over rows gives columns
        line = mask.any(axis)
        low = line.int().argmax(1)
        high = side - line.flip(1).int().argmax(1)
        empty = ~line.any(1)
        low, high = low.masked_fill(empty, 0), high.masked_fill(empty, side)
        lacking = (least - (high - low)).clamp_min(0)
        low = (low - lacking // 2).clamp_min(0)
        high = torch.maximum(high, (low + least).clamp_max(side))
        low = torch.minimum(low, (high - least).clamp_min(0))
        sides.append((low, high))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], 1).float()


def windows(x: Tensor, boxes: Tensor, side: int) -> Tensor:
    """The boxes [N, 4] (left, top, right, bottom, pixels) of pictures [N, C, S, S], bilinearly, as [N, C, side, side].

    >>> x = torch.arange(16.0).view(1, 1, 4, 4)
    >>> windows(x, torch.tensor([[2.0, 1.0, 4.0, 3.0]]), 2)[0, 0].tolist()
    [[6.0, 7.0], [10.0, 11.0]]
    """
    size = x.shape[-1]
    left, top, right, bottom = (2 * boxes / size - 1).unbind(1)
    theta = torch.zeros(len(x), 2, 3, device=x.device)
    theta[:, 0, 0], theta[:, 0, 2] = (right - left) / 2, (right + left) / 2
    theta[:, 1, 1], theta[:, 1, 2] = (bottom - top) / 2, (bottom + top) / 2
    grid = F.affine_grid(theta, [len(x), x.shape[1], side, side], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
