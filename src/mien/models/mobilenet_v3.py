"""MobileNetV3, small and large."""

from __future__ import annotations

from typing import Any

from torch import nn

from mien.errors import RecipeError
from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.inverted_residual import InvertedResidual, divisible
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output, face

# kernel, expanded channels, channels, squeeze-and-excitation, hard swish, stride (Howard et al., tables 2 and 1)
SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
BODIES = {"small": (SMALL, 1024), "large": (LARGE, 1280)}


def _relu(_: int) -> nn.Module:
    return nn.ReLU()


def _hard_swish(_: int) -> nn.Module:
    return nn.Hardswish()


class MobileNetV3(nn.Module):
    """MobileNetV2's blocks with squeeze-and-excitation and hard swish, x relu6(x + 3) / 6, laid out by search.

    Paper: Howard et al., "Searching for MobileNetV3", ICCV 2019, tables 1-2. A survey of expression recognition (Liang
        and Dong) cites this paper under the name ShuffleNetV3.

    Differs: the stem has stride 1, so that 48 px end in a 3x3 map; each picture is standardised.

    Args:
        classes: K.
        channels: of the picture.
        body: `small` or `large`.
        width: factor of all channels; the linear layer before the last keeps its size unless `dim` is given.
        dim: D of the embedding; 0 takes the paper's.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        body: str = "small",
        width: float = 1.0,
        dim: int = 0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if body not in BODIES:
            raise RecipeError(f"body = {body!r}; choose one of {', '.join(BODIES)}")
        rows, embedded = BODIES[body]
        inputs = divisible(16 * width)
        layers: list[nn.Module] = [Standardise(), conv_unit(channels, inputs, 3, act=_hard_swish)]
        for kernel, expanded, c, squeeze, swish, stride in rows:
            hidden, outputs = divisible(expanded * width), divisible(c * width)
            act = _hard_swish if swish else _relu
            gate = divisible(hidden / 4) if squeeze else 0
            layers.append(InvertedResidual(inputs, hidden, outputs, kernel, stride, act, gate))
            inputs = outputs
        layers.append(conv_unit(inputs, 6 * inputs, 1, act=_hard_swish))
        self.layers = nn.Sequential(*layers)
        self.embed = nn.Sequential(nn.Linear(6 * inputs, dim or embedded), nn.Hardswish())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim or embedded, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        features = self.layers(face(inputs))
        embedding = self.embed(features.mean((2, 3)))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": features})


@MODELS.register("mobilenet-v3", paper="Howard et al. 2019", parameters=1_525_768, size=48, modality="face")
def mobilenet_v3(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> MobileNetV3:
    """MobileNetV3-Small with a stem of stride 1; `body="large"` for the larger one."""
    return MobileNetV3(classes, **own({}, tiny, {"width": 0.15, "dim": 32}, arguments))
