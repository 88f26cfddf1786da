"""What streams of pictures of one place share: a gate between them, and one warp for all of them in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NEVER = -1e4  # a logit that no other can be so far below, also in half precision


class StreamGate(nn.Module):
    """y = sum_m w_m x_m with w = softmax_m(G [x_1; ...; x_M] + b): how much each stream counts, by place and channel.

    Of two streams this is the sigmoid gate g x_1 + (1 - g) x_2. A stream that is missing from a row has weight 0 there,
    and the others share its weight; at the start all count alike.

    Paper: Arevalo et al., "Gated multimodal units for information fusion", ICLR workshops 2017, eq. (1).
    Differs: the gate is a 1x1 convolution of maps, and the streams are not passed through tanh first.

    Args:
        channels: C of each stream.
        streams: M.
    """

    def __init__(self, channels: int, streams: int) -> None:
        super().__init__()
        self.channels, self.streams = channels, streams
        self.gate = nn.Conv2d(channels * streams, channels * streams, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor], there: Tensor) -> tuple[Tensor, Tensor]:
        """Fused maps [N, C, h, w] and the weights [N, M, C, h, w].

        Args:
            maps: M tensors [N, C, h, w], 0 in rows where they are missing.
            there: bool [N, M].
        """
        n, _, h, w = maps[0].shape
        logits = self.gate(torch.cat(list(maps), 1)).reshape(n, self.streams, self.channels, h, w)
        logits = logits.masked_fill(~there[:, :, None, None, None], NEVER)
        weights = torch.softmax(logits, 1)
        return (weights * torch.stack(list(maps), 1)).sum(1), weights


class SharedWarp(nn.Module):
    """In training, one random mirroring, shift and zoom for all streams of a row, so that they still lie on each other.

    Args:
        shift: largest, as a share of the side.
        zoom: largest change of size, each way, on a log scale.
        flip: probability of mirroring.
        odd: stream -> channels that change sign when mirrored, such as the x of normals.
    """

    def __init__(
        self,
        shift: float = 0.06,
        zoom: float = 0.08,
        flip: float = 0.5,
        odd: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.shift, self.zoom, self.flip = shift, zoom, flip
        self.odd = {name: list(channels) for name, channels in (odd or {}).items()}

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Streams [N, C, S, S]; as they are in evaluation."""
        if not self.training or not (self.shift or self.zoom or self.flip):
            return dict(maps)
        first = next(iter(maps.values()))
        n = len(first)
        mirror = torch.rand(n) < self.flip
        scale = torch.exp((2 * torch.rand(n) - 1) * self.zoom)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = scale * torch.where(mirror, -1.0, 1.0)
        theta[:, 1, 1] = scale
        theta[:, :, 2] = (2 * torch.rand(n, 2) - 1) * 2 * self.shift
        theta, mirror = theta.to(first.device), mirror.to(first.device)
        moved = {}
        for name, x in maps.items():
            grid = F.affine_grid(theta, list(x.shape), align_corners=False)
            y = F.grid_sample(x.float(), grid, "bilinear", "border", align_corners=False).to(x.dtype)
            for channel in self.odd.get(name, ()):
                y[:, channel] = torch.where(mirror[:, None, None], -y[:, channel], y[:, channel])
            moved[name] = y
        return moved
