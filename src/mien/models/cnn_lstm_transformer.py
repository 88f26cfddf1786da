"""CNN for each frame, LSTM over them, then a transformer encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mien.layers.clip_encoder import ClipBlock
from mien.layers.conv_unit import own
from mien.layers.irnn import Recurrent
from mien.layers.over_time import pool_mean
from mien.models import MODELS, Inputs, Output
from mien.models.clips import FrameEncoder, linear_head


class CNNLSTMTransformer(nn.Module):
    """Embeddings of the frames, an LSTM that puts each into the course of the clip, and self-attention over its states.

    h = LSTM(x), z_0 = h, z_l = block_l(z_(l-1)), embedding = mean over frames of LN(z_L).

    Paper: Chen, Zhang, Zhao, "Video sequence-based human facial expression recognition using Transformer networks",
        Journal of Image and Graphics 27(10), 2022, named CNN+LSTM+Transformer in the survey of Liang and Dong.

    Differs: the original could not be read in full: widths, depth, the order of the parts and the pooling are ours. The
        LSTM gives the order of frames, so there are no position codes; each frame is read by mini-s.

    Args:
        classes: K.
        encoder: network that reads each frame; None reads `embeddings` [N, T, D].
        encoder_arguments: of that network.
        frozen: the encoder stays as it is.
        dim: D where `encoder` is None.
        hidden: H of the LSTM and of the transformer's tokens.
        layers: of the transformer.
        heads: of attention, a divisor of `hidden`.
        dropout: in the transformer and before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        encoder: str | None = "mini-s",
        encoder_arguments: Mapping[str, Any] | None = None,
        frozen: bool = False,
        dim: int = 128,
        hidden: int = 256,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = FrameEncoder(encoder, encoder_arguments, dim, frozen)
        self.rnn = Recurrent("lstm", self.encoder.dim, hidden)
        self.blocks = nn.ModuleList([ClipBlock(hidden, heads, dropout=dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(hidden, classes)

    def forward(self, inputs: Inputs) -> Output:
        x, mask = self.encoder(inputs)
        x, _ = self.rnn(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        states = self.norm(x)
        embedding = pool_mean(states, mask)
        return Output(self.head(self.dropout(embedding)), embedding, {"states": states})


@MODELS.register(
    "cnn-lstm-transformer", paper="Chen, Zhang, Zhao 2022", parameters=2_936_228, size=48, frames=16, modality="frames"
)
def cnn_lstm_transformer(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> CNNLSTMTransformer:
    """mini-s for each frame, an LSTM of 256 units, two encoder layers of four heads."""
    small = {"encoder_arguments": {"widths": (4, 6), "depths": (1, 1)}, "hidden": 8, "layers": 1, "heads": 2}
    return CNNLSTMTransformer(classes, **own({}, tiny, small, arguments))
