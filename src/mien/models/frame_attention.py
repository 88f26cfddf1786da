"""Attention between any two frames of a clip: the costly rival of `irnn-attention`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mien.layers.conv_unit import own
from mien.layers.video_attention import PairAttention
from mien.models import MODELS
from mien.models.irnn_attention import TINY, IRNNAttention


class FrameAttention(IRNNAttention):
    """Embeddings of n frames, an IRNN over them, and its states weighted by how much all frames look at each.

    b_ij = softmax_j(h_i^T V h_j), xi_j = 1/n sum_i b_ij, f = sum_j xi_j h_j, logits = FC(f): O(n^2) comparisons.

    Paper: named, not printed, by Ge et al., "Facial expression recognition based on deep learning", Computer Methods
        and Programs in Biomedicine, 2022, section 3.2, as what their attention is cheaper than.

    Differs: the formula is ours; encoder, IRNN and arguments are those of `irnn-attention`, so that only the attention
        differs.
    """

    compare = PairAttention

    def attend(self, states: Tensor, code: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The clip's feature [N, H] and the frames' weights [N, T]; the code is not asked."""
        feature, weight = self.attention(states, mask)
        return feature, weight


@MODELS.register(
    "frame-attention", paper="Ge et al. 2022, section 3.2", parameters=42_075_304, size=48, frames=16, modality="frames"
)
def frame_attention(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> FrameAttention:
    """128 numbers a frame from AlexNet-Emotion, an IRNN of 128 units, all pairs of frames."""
    return FrameAttention(classes, **own({}, tiny, TINY, arguments))
