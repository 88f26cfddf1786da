"""AlexNet-Emotion for each frame, an IRNN over them, and attention against a code of the whole clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mien.layers.conv_unit import own
from mien.layers.irnn import Recurrent
from mien.layers.video_attention import CodeAttention, PairAttention
from mien.models import MODELS, Inputs, Output
from mien.models.clips import FrameEncoder, linear_head


class IRNNAttention(nn.Module):
    """Embeddings of n frames, an IRNN over them, and the sum of its states weighted by a comparison with a video code.

    h_t = relu(W h_(t-1) + U x_t + b), c = h_n, a_i = c^T V h_i, xi = softmax(a), f = sum_i xi_i h_i, logits = FC(f).
    One comparison a frame, so O(n), where comparing frames with each other takes O(n^2) (`frame-attention`).

    Paper: Ge et al., "Facial expression recognition based on deep learning", Computer Methods and Programs in
        Biomedicine, 2022, section 3.2, eqs (7)-(9).

    Differs: the paper leaves the video code c undefined: here it is the last hidden state. (8) prints its denominator
        without the exponential. How the frames of a clip are chosen is not said: any number of them is read. The
        encoder sees the angle map of each frame where the input holds `angles` [N, T, A, 68, 68].

    Args:
        classes: K.
        encoder: network that reads each frame; None reads `embeddings` [N, T, D].
        encoder_arguments: of that network.
        frozen: the encoder stays as it is.
        dim: D where `encoder` is None.
        hidden: H of the IRNN.
        dropout: before the linear layer, in [0, 1).
    """

    compare: type[CodeAttention | PairAttention] = CodeAttention

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
        self.attention = self.compare(hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(hidden, classes)

    def attend(self, states: Tensor, code: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The clip's feature [N, H] and the frames' weights [N, T], from states [N, T, H] and the code [N, H]."""
        feature, weight = self.attention(code, states, mask)
        return feature, weight

    def forward(self, inputs: Inputs) -> Output:
        x, mask = self.encoder(inputs)
        states, last = self.rnn(x, mask)
        embedding, weight = self.attend(states, last, mask)
        return Output(self.head(self.dropout(embedding)), embedding, {"attention": weight, "states": states})


TINY: dict[str, Any] = {"encoder_arguments": {"tiny": True}, "hidden": 12}


@MODELS.register(
    "irnn-attention", paper="Ge et al. 2022, eqs (7)-(9)", parameters=42_075_304, size=48, frames=16, modality="frames"
)
def irnn_attention(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> IRNNAttention:
    """128 numbers a frame from AlexNet-Emotion, 128 hidden units."""
    return IRNNAttention(classes, **own({}, tiny, TINY, arguments))
