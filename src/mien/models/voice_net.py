"""A small network over speech: convolutions over its spectrum, a bidirectional LSTM, attention over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.conv_unit import own
from mien.layers.masked_lstm import MaskedLSTM
from mien.layers.over_modalities import modality
from mien.layers.over_time import AttentionPool
from mien.layers.speech import SpectrumConv
from mien.models import MODELS, Inputs, Output

SHAPES = {"audio": (300, 64)}
"""Three seconds of log-mel."""


class VoiceNet(nn.Module):
    """Three strided convolutions over time and frequency, a bidirectional LSTM, attention over its steps.

    Paper: after Zhao, Mao, Chen, "Speech emotion recognition using deep 1D & 2D CNN LSTM networks", Biomedical Signal
        Processing and Control 47, 2019; attention over time as Mirsamadi, Barsoum, Zhang, "Automatic speech emotion
        recognition using recurrent neural networks with local attention", ICASSP 2017.
    Differs: a third of a million parameters or less, so that it runs beside the faces; strides in place of pooling; one
        vector of standardised bands a step in place of the local feature learning blocks.

    Args:
        classes: K.
        shapes: the one modality -> [T, D] of its features; T is not used, for any length is read.
        widths: channels of the convolutions.
        dim: of each step before the LSTM.
        hidden: H of each direction of the LSTM; the embedding has 2 H.
        drop: before the LSTM and before the last layer, in [0, 1).

    Raises:
        RecipeError: there is not just one modality of features over time.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        widths: Sequence[int] = (16, 32, 48),
        dim: int = 96,
        hidden: int = 64,
        drop: float = 0.3,
    ) -> None:
        super().__init__()
        if len(shapes) != 1 or any(len(shape) != 2 for shape in shapes.values()):
            raise RecipeError(f"voice-net reads one modality of features [T, D], not {dict(shapes)}")
        ((self.name, (_, bands)),) = shapes.items()
        self.conv = SpectrumConv(bands, widths)
        self.step = nn.Sequential(nn.Linear(self.conv.dim, dim), nn.ReLU(), nn.Dropout(drop))
        self.lstm = MaskedLSTM(dim, hidden)
        self.pool = AttentionPool(2 * hidden)
        self.drop = nn.Dropout(drop)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, inputs: Inputs) -> Output:
        x, there = self.conv(*modality(inputs, self.name))
        steps = self.lstm(self.step(x), there)
        # a sample with nothing in it would have no weight to share out
        counted = there | ~there.any(1, keepdim=True)
        embedding = self.pool(steps, counted)
        aux: dict[str, Tensor] = {"attention": self.pool.weights(steps, counted)}
        return Output(self.head(self.drop(embedding)), embedding * there.any(1, keepdim=True).to(x.dtype), aux)


TINY: dict[str, Any] = {"widths": (3, 4, 5), "dim": 8, "hidden": 6}


@MODELS.register(
    "voice-net", paper="ours, after Zhao et al. 2019 and Mirsamadi et al. 2017", parameters=148_024, size=64,
    modality="streams", shapes=SHAPES,
)  # fmt: skip
def voice_net(
    classes: int = 8, shapes: Mapping[str, Sequence[int]] = SHAPES, *, tiny: bool = False, **arguments: Any
) -> VoiceNet:
    """CNN, BiLSTM and attention over log-mel."""
    return VoiceNet(classes, shapes, **own({}, tiny, TINY, arguments))
