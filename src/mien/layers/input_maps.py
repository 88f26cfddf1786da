"""Maps of a face that a network may read as channels beside, or instead of, the face itself (diverse input)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class InputMap(nn.Module):
    """A map of grey faces [N, 1, S, S] to [N, channels, S, S]; the base of all that a recipe's `inputs` may name.

    Attributes:
        channels: how many the map has.
    """

    channels: int


class Grey(InputMap):
    """The face as it is: [N, 1, S, S] in [0, 1]; colour is averaged by the weights of ITU-R BT.601."""

    channels = 1

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == 1:
            return x
        return (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


class LBP(InputMap):
    """Local binary pattern LBP(8, 1) of each pixel as one channel in [0, 1]: sum_p [x_p >= x_c] 2^p / 255.

    The neighbours p = 0 ... 7 go clockwise from the upper left; the rim repeats the edge.

    Paper: Ojala, Pietikainen, Maenpaa, "Multiresolution gray-scale and rotation invariant texture classification with
        local binary patterns", TPAMI 2002, as input of a network: Levi, Hassner, ICMI 2015.
    Differs: the eight neighbours of the square grid, not interpolated on the circle; codes by their number, not mapped
        to a metric space.
    """

    channels = 1
    ring = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        code = torch.zeros_like(x)
        for bit, (down, right) in enumerate(self.ring):
            neighbour = padded[..., 1 + down : 1 + down + height, 1 + right : 1 + right + width]
            code = code + (neighbour >= x).to(x.dtype) * float(2**bit)
        return code / 255


class Gabor(InputMap):
    """Magnitude of the answers to Gabor filters of some orientations, the larger of two wavelengths: [N, O, S, S].

    g(u, v) = exp(-(u'^2 + 0.25 v'^2) / (2 sigma^2)) exp(2 pi i u' / wavelength), sigma = 0.56 wavelength, the real part
    without its mean; u', v' turned by the orientation.

    Paper: Lyons, Akamatsu, Kamachi, Gyoba, "Coding facial expressions with Gabor wavelets", FG 1998.

    Args:
        orientations: O, evenly over 180 degrees.
        wavelengths: in pixels.
        side: of the kernel, odd.
    """

    def __init__(self, orientations: int = 4, wavelengths: Sequence[float] = (4.0, 8.0), side: int = 11) -> None:
        super().__init__()
        self.channels = orientations
        self.scales = len(wavelengths)
        line = torch.arange(side, dtype=torch.float32) - side // 2
        v, u = torch.meshgrid(line, line, indexing="ij")
        real, imaginary = [], []
        for wavelength in wavelengths:
            for number in range(orientations):
                turn = math.pi * number / orientations
                along, across = u * math.cos(turn) + v * math.sin(turn), v * math.cos(turn) - u * math.sin(turn)
                hull = torch.exp(-(along**2 + 0.25 * across**2) / (2 * (0.56 * wavelength) ** 2))
                hull = hull / hull.sum()
                wave = hull * torch.cos(2 * math.pi * along / wavelength)
                real.append(wave - hull * wave.sum())
                imaginary.append(hull * torch.sin(2 * math.pi * along / wavelength))
        self.register_buffer("kernels", torch.stack([*real, *imaginary])[:, None], persistent=False)
        self.kernels: Tensor

    def forward(self, x: Tensor) -> Tensor:
        margin = self.kernels.shape[-1] // 2
        answers = F.conv2d(F.pad(x, (margin,) * 4, mode="replicate"), self.kernels.to(x.dtype))
        real, imaginary = answers.chunk(2, 1)
        size = (real.square() + imaginary.square() + 1e-12).sqrt()
        return size.view(len(x), self.scales, self.channels, *x.shape[-2:]).amax(1) * 4


class Gradient(InputMap):
    """Size of the Sobel gradient, [N, 1, S, S], 1 for a step over the full range.

    Paper: named as input beside the grey face in Li, Deng, "Deep facial expression recognition: a survey", 2020,
        section 4.1.3 (diverse network input).
    """

    channels = 1

    def __init__(self) -> None:
        super().__init__()
        across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
        self.register_buffer("kernels", torch.stack([across, across.T])[:, None], persistent=False)
        self.kernels: Tensor

    def forward(self, x: Tensor) -> Tensor:
        slopes = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.kernels.to(x.dtype))
        return (slopes.square().sum(1, keepdim=True) + 1e-12).sqrt()


class Angles(InputMap):
    """A map of the change of angles [N, 1, 68, 68], stretched to the face's side; zero where none is known."""

    channels = 1

    def forward(self, x: Tensor, maps: Tensor | None = None) -> Tensor:
        if maps is None:
            return torch.zeros_like(x[:, :1])
        return F.interpolate(maps.to(x.dtype), x.shape[-2:], mode="bilinear", align_corners=False)


MAPS: dict[str, type[InputMap]] = {"grey": Grey, "lbp": LBP, "gabor": Gabor, "gradient": Gradient, "angles": Angles}
