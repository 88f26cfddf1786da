"""CNN for each frame, RNN over them, and the last hidden state as the feature of the clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mien.layers.conv_unit import own
from mien.layers.irnn import Recurrent
from mien.models import MODELS, Inputs, Output
from mien.models.clips import FrameEncoder, linear_head
from mien.models.irnn_attention import TINY


class CNNRNNLast(nn.Module):
    """Embeddings of n frames, a recurrent layer over them, and its last state h_n as the clip's feature.

    Paper: the CNN-RNN that Ge et al., "Facial expression recognition based on deep learning", Computer Methods and
        Programs in Biomedicine, 2022, section 4.2, describe and set out from; with an IRNN
        as here in Ebrahimi Kahou et al., "Recurrent neural networks for emotion recognition in video", ICMI 2015.

    Differs: the encoder is AlexNet-Emotion, so that only the attention tells this network from `irnn-attention`.

    Args:
        classes: K.
        encoder: network that reads each frame; None reads `embeddings` [N, T, D].
        encoder_arguments: of that network.
        frozen: the encoder stays as it is.
        dim: D where `encoder` is None.
        cell: `irnn`, `lstm` or `gru`.
        hidden: H.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        encoder: str | None = "alexnet-emotion",
        encoder_arguments: Mapping[str, Any] | None = None,
        frozen: bool = False,
        dim: int = 128,
        cell: str = "irnn",
        hidden: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.encoder = FrameEncoder(encoder, encoder_arguments, dim, frozen)
        self.rnn = Recurrent(cell, self.encoder.dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(hidden, classes)

    def forward(self, inputs: Inputs) -> Output:
        states, embedding = self.rnn(*self.encoder(inputs))
        return Output(self.head(self.dropout(embedding)), embedding, {"states": states})


@MODELS.register(
    "cnn-rnn-last",
    paper="Ge et al. 2022, section 4.2; Ebrahimi Kahou et al. 2015",
    parameters=42_058_920,
    size=48,
    frames=16,
    modality="frames",
)
def cnn_rnn_last(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> CNNRNNLast:
    """128 numbers a frame from AlexNet-Emotion, an IRNN of 128 units."""
    return CNNRNNLast(classes, **own({}, tiny, TINY, arguments))
