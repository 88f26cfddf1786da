"""Deformable convolution: each output place learns where its kernel's taps look."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformConv2d(nn.Module):
    """y(A0) = sum_n w(A_n) x(A0 + A_n + dA_n): offsets dA by a convolution, x between pixels bilinear, 0 outside.

    The offsets start at 0, so that the layer starts as a plain convolution, and their gradient is scaled, which under
    stochastic gradient descent is a learning rate of its own.

    Paper: Dai et al., "Deformable convolutional networks", ICCV 2017, eqs. (2)-(4).
    Differs: stride 1 only; built on `grid_sample`, so that it exports.

    Args:
        inputs: channels of the input [N, C, H, W].
        outputs: channels of the output, of the same side.
        kernel: side of the kernel, odd.
        slowing: factor of the gradient of the offsets.
    """

    taps: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, slowing: float = 0.1) -> None:
        super().__init__()
        self.slowing, self.kernel = slowing, kernel
        self.offsets = nn.Conv2d(inputs, 2 * kernel**2, kernel, 1, kernel // 2)
        self.mix = nn.Conv2d(inputs * kernel**2, outputs, 1, bias=False)
        self.reset_offsets()
        around = torch.arange(kernel) - kernel // 2
        rows, columns = torch.meshgrid(around, around, indexing="ij")
        self.register_buffer("taps", torch.stack([columns, rows], 2).reshape(-1, 2).float(), persistent=False)

    def reset_offsets(self) -> None:
        """Put all offsets to 0; for networks that draw all their convolutions anew."""
        nn.init.zeros_(self.offsets.weight)
        if self.offsets.bias is not None:
            nn.init.zeros_(self.offsets.bias)

    def forward(self, x: Tensor) -> Tensor:
        moved = self.offsets(x)
        if self.training:
            moved = self.slowing * moved + (1 - self.slowing) * moved.detach()
        # 16 bits would round places to whole pixels
        with torch.autocast(x.device.type, enabled=False):
            sampled = self._sample(x.float(), moved.float())
        mixed: Tensor = self.mix(sampled.to(x.dtype))
        return mixed

    def _sample(self, x: Tensor, moved: Tensor) -> Tensor:
        """What each tap sees, [N, C * taps, H, W]; the offsets [N, 2 * taps, H, W] are (x, y) of each tap."""
        n, c, h, w = x.shape
        k = self.kernel**2
        rows, columns = torch.arange(h, device=x.device), torch.arange(w, device=x.device)
        home = torch.stack([columns.expand(h, w), rows[:, None].expand(h, w)], 2).float()
        place = moved.reshape(n, k, 2, h, w).permute(0, 1, 3, 4, 2) + self.taps[:, None, None] + home
        side = torch.tensor([w, h], dtype=torch.float32, device=x.device)
        grid = (2 * place + 1) / side - 1
        seen = F.grid_sample(x, grid.reshape(n, k * h, w, 2), align_corners=False)
        return seen.reshape(n, c * k, h, w)
