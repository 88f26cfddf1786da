"""A generator that takes the expression off a face, and the discriminator that it is trained against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mien.layers.fixed_map import FixedMap


def _norm(width: int) -> nn.Module:
    # statistics of each picture: the frozen generator then gives the same in training and in use
    return nn.InstanceNorm2d(width, affine=True)


class Neutraliser(nn.Module):
    """Encoder and decoder whose layers' maps of equal side are given in pairs.

    Each level of the encoder is a 4x4 convolution of stride 2, of the decoder an enlargement and a 3x3 convolution.

    Paper: Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017; Yang, Ciftci,
        Yin, "Facial expression recognition by de-expression residue learning", CVPR 2018.
    Differs: no skip connections, for what passes them would not have to lie in the layers between; instance norm;
        widths are ours.

    Args:
        channels: of the picture.
        widths: channels of each level.
        size: side to which pictures are stretched; divisible by 2 to the number of levels.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 64, 128, 256), size: int = 48) -> None:
        super().__init__()
        self.resize = FixedMap(size)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs = channels
        for width in widths:
            self.encoder.append(
                nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 1, bias=False), _norm(width), nn.LeakyReLU(0.2))
            )
            inputs = width
        for width in reversed(widths[:-1]):
            self.decoder.append(
                nn.Sequential(
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(inputs, width, 3, 1, 1, bias=False),
                    _norm(width),
                    nn.ReLU(),
                )
            )
            inputs = width
        self.last = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, channels, 3, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The neutral face [N, C, size, size] in [0, 1] of a face [N, C, S, S] in [0, 1], and the residues.

        Returns:
            The face, and the pairs joined along the channels, from the innermost (the code alone) outwards; the
            outermost joins the face asked about and the neutral face.
        """
        x = self.resize(x)
        down = [x]
        for layer in self.encoder:
            down.append(layer(down[-1]))
        y, residues = down[-1], [down[-1]]
        for level, layer in enumerate(self.decoder, 2):
            y = layer(y)
            residues.append(torch.cat([down[-level], y], 1))
        neutral = self.last(y)
        return neutral, [*residues, torch.cat([x, neutral], 1)]


class PatchDiscriminator(nn.Module):
    """Whether a neutral face [N, C, H, W] belongs to a face and is a picture taken, a logit for each patch.

    Paper: Isola et al., CVPR 2017.

    Args:
        channels: of each of the two pictures.
        widths: channels of each convolution of stride 2.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 2 * channels
        for index, width in enumerate(widths):
            layers.append(nn.Conv2d(inputs, width, 4, 2, 1))
            layers += [_norm(width)] if index else []
            layers.append(nn.LeakyReLU(0.2))
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, 1, 3, 1, 1))

    def forward(self, query: Tensor, neutral: Tensor) -> Tensor:
        verdict: Tensor = self.layers(torch.cat([query, neutral], 1))
        return verdict
