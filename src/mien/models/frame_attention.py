"""Attention between any two frames of a clip: the costly rival of `irnn-attention`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mien.layers.conv_unit import own
from mien.layers.irnn import Recurrent
from mien.layers.video_attention import PairAttention
from mien.models import MODELS, Inputs, Output
from mien.models.clips import FrameEncoder, linear_head
from mien.models.irnn_attention import TINY


class FrameAttention(nn.Module):
    """Embeddings of n frames, an IRNN over them, and its states weighted by how much all frames look at each.

    b_ij = softmax_j(h_i^T V h_j), xi_j = 1/n sum_i b_ij, f = sum_j xi_j h_j, logits = FC(f): O(n^2) comparisons.

    Paper: named, not printed, by Ge et al., "Facial expression recognition based on deep learning", Computer Methods
        and Programs in Biomedicine, 2022, section 3.2, as what their attention is cheaper than.

    Differs: the formula is ours; encoder and IRNN are those of `irnn-attention`, so that only the attention differs.

    Args:
        classes: K.
        encoder: network that reads each frame; None reads `embeddings` [N, T, D].
        encoder_arguments: of that network.
        frozen: the encoder stays as it is.
        dim: D where `encoder` is None.
        hidden: H of the IRNN.
        dropout: before the linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        encoder: str | None = "alexnet-emotion",
        encoder_arguments: Mapping[str, Any] | None = None,
        frozen: bool = False,
        dim: int = 128,
        hidden: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.encoder = FrameEncoder(encoder, encoder_arguments, dim, frozen)
        self.rnn = Recurrent("irnn", self.encoder.dim, hidden)
        self.attention = PairAttention(hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(hidden, classes)

    def forward(self, inputs: Inputs) -> Output:
        x, mask = self.encoder(inputs)
        states, _ = self.rnn(x, mask)
        embedding, weight = self.attention(states, mask)
        return Output(self.head(self.dropout(embedding)), embedding, {"attention": weight, "states": states})


@MODELS.register(
    "frame-attention", paper="Ge et al. 2022, section 3.2", parameters=42_075_304, size=48, frames=16, modality="frames"
)
def frame_attention(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> FrameAttention:
    """128 numbers a frame from AlexNet-Emotion, an IRNN of 128 units, all pairs of frames."""
    return FrameAttention(classes, **own({}, tiny, TINY, arguments))
