"""Peak-piloted network: a face at the height of an expression leads one of the same clip that shows less of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.conv_unit import own
from mien.models import MODELS, Inputs, Output
from mien.models.clips import FrameEncoder, frames, linear_head


class PPDN(nn.Module):
    """A network for single faces, trained on pairs of a peak and a non-peak frame of one clip.

    In training it draws a non-peak frame of each clip and gives what the loss `peak-piloted` reads: `aux["peak"]` and
    `aux["nonpeak"]` [N, sum of hidden], the responses of the hidden layers to both, and `aux["nonpeak_logits"]` [N, K].
    `logits` and `embedding` are the peak frame's. In use it reads one face, at any strength of expression.

    Paper: Zhao et al., "Peak-piloted deep network for facial expression recognition", ECCV 2016.

    Differs: the encoder is mini-s (GoogLeNet there, with two fully connected layers, as here). Which frames count as
        non-peak is said for each data set there: here those from the share `first` of the way to the peak on.

    Inputs are one of:
        `frames` [N, T, C, H, W], with `length` [N], `peak` [N] (rows; the last frame of each clip where not given) and
            `nonpeak` [N] (rows; drawn in training where not given);
        `face` [N, C, H, W], or a bare tensor of that shape: single faces, no pairs.

    Args:
        classes: K.
        encoder: network that reads each face.
        encoder_arguments: of that network.
        hidden: units of the fully connected layers, whose responses are led.
        first: share of the way from the first frame to the peak before which no non-peak frame is drawn, in [0, 1).
        dropout: before the linear layer, in [0, 1).

    Raises:
        RecipeError: `first` outside [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        encoder: str = "mini-s",
        encoder_arguments: Mapping[str, Any] | None = None,
        hidden: Sequence[int] = (256, 128),
        first: float = 1 / 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not 0 <= first < 1:
            raise RecipeError(f"first = {first}; it must lie in [0, 1)")
        self.first = first
        self.encoder = FrameEncoder(encoder, encoder_arguments)
        widths = (self.encoder.dim, *hidden)
        self.layers = nn.ModuleList(self._layer(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(widths[-1], classes)

    @staticmethod
    def _layer(inputs: int, outputs: int) -> nn.Linear:
        layer = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
        return layer

    def pair(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Peak frames [N, C, H, W] and, in training or where `nonpeak` names them, the others of the pairs."""
        x, length = frames(inputs)
        n = x.shape[0]
        row = torch.arange(n, device=x.device)
        end = x.new_full((n,), x.shape[1], dtype=torch.long) if length is None else length.long()
        peak = inputs["peak"].long() if "peak" in inputs else end - 1
        other = inputs["nonpeak"].long() if "nonpeak" in inputs else None
        if other is None and self.training:
            start = (self.first * peak).ceil().long()
            drawn = torch.rand(n, device=x.device) * (peak - start)
            other = torch.minimum(start + drawn.long(), (peak - 1).clamp_min(0))
        return x[row, peak], None if other is None else x[row, other]

    def responses(self, x: Tensor) -> list[Tensor]:
        """Responses of the hidden layers to faces [n, C, H, W]."""
        values, (found, _) = [], self.encoder({"frames": x[:, None]})
        current = found[:, 0]
        for layer in self.layers:
            current = torch.relu(layer(current))
            values.append(current)
        return values

    def forward(self, inputs: Inputs) -> Output:
        pair: tuple[Tensor, Tensor | None]
        if isinstance(inputs, Tensor):
            inputs = {"frames" if inputs.ndim == 5 else "face": inputs}
        pair = (inputs["face"], None) if "face" in inputs else self.pair(inputs)
        peak, other = pair
        # one pass, so that batch norm sees both alike
        hidden = self.responses(peak if other is None else torch.cat([peak, other]))
        logits, n = self.head(self.dropout(hidden[-1])), peak.shape[0]
        if other is None:
            return Output(logits, hidden[-1], {})
        led = torch.cat(hidden, 1)
        return Output(logits[:n], hidden[-1][:n], {"peak": led[:n], "nonpeak": led[n:], "nonpeak_logits": logits[n:]})


@MODELS.register(
    "ppdn",
    paper="Zhao et al. 2016",
    parameters=976_676,
    size=48,
    frames=16,
    modality="frames",
    losses=("peak-piloted",),
)
def ppdn(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> PPDN:
    """mini-s and two fully connected layers; train it with `cross-entropy` and `peak-piloted`."""
    small = {"encoder_arguments": {"widths": (4, 6), "depths": (1, 1)}, "hidden": (10, 8)}
    return PPDN(classes, **own({}, tiny, small, arguments))
