"""One head of cross attention: where, then which channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.layers.resnet import conv_norm


class CrossAttention(nn.Module):
    """[N, C, H, W] to [N, C]: spatial attention, then channel attention, then nothing but the means.

    s = 1/C sum_c relu(conv3x3(u) + conv1x3(u) + conv3x1(u)) with u = conv1x1(x); z = avg(s * x);
    y = sigmoid(W1 relu(norm(W0 z))) * z.

    Paper: Wen et al., "Distract your attention: multi-head cross attention network for facial expression recognition",
        Biomimetics 2023 (arXiv 2109.07270), section 3.2.
    Differs: the mean over channels where the authors' code has the sum, which 16 bits cannot hold well.

    Args:
        channels: C.
        reduction: hidden channels of the channel attention are C // reduction, at least 4.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        half, hidden = channels // 2, max(4, channels // reduction)
        self.narrow = conv_norm(channels, half, 1)
        shapes = ((3, 3), (1, 3), (3, 1))
        self.views = nn.ModuleList(nn.Conv2d(half, channels, s, padding=(s[0] // 2, s[1] // 2)) for s in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in shapes)
        self.channel = nn.Sequential(
            nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        u = self.narrow(x)
        views = [norm(view(u)) for view, norm in zip(self.views, self.norms, strict=True)]
        where = torch.relu(torch.stack(views).sum(0)).mean(1, keepdim=True)
        z = (x * where).mean((2, 3))
        y: Tensor = z * self.channel(z)
        return y
