"""Multi-region feature extraction: one spatial and two channel attentions side by side."""

from __future__ import annotations

from torch import Tensor, nn

from mien.layers.cbam import ChannelAttention, SpatialAttention


class MFEM(nn.Module):
    """y = x + 1/3 (M_s x + M_c1 x + M_c2 x): the attentions all see x, so that none disturbs another.

    M_s = sigmoid(conv7x7([mean_c x; max_c x])), M_c = sigmoid(MLP(mean x) + MLP(max x)), one MLP for each M_c.

    Paper: the MFEM in "Deep learning based on facial expression recognition from images to videos", section 4.2.2,
        whose source could not be read; the attentions are those of Woo et al., "CBAM", ECCV 2018.

    Differs: how the three are joined is not said: here as a residual of their mean. The two channel attentions have
        bottlenecks of different widths, or they would be copies of each other.

    Args:
        channels: C of the input and output [N, C, H, W].
        reductions: hidden channels of the channel attentions are C // reduction, at least 4.
        kernel: side of the spatial attention's convolution, odd.
    """

    def __init__(self, channels: int, reductions: tuple[int, int] = (16, 4), kernel: int = 7) -> None:
        super().__init__()
        self.spatial = SpatialAttention(kernel)
        self.channel = nn.ModuleList(ChannelAttention(channels, reduction) for reduction in reductions)

    def forward(self, x: Tensor) -> Tensor:
        attended = self.spatial(x)
        for attention in self.channel:
            attended = attended + attention(x)
        y: Tensor = x + attended / 3
        return y
