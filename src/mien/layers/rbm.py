"""Restricted Boltzmann machines, several side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RBM(nn.Module):
    """G restricted Boltzmann machines of V visible and H hidden binary units each.

    E(v, h) = -b.v - c.h - v^T W h; with `gaussian` visible units of variance 1 it is |v - b|^2 / 2 - c.h - v^T W h.
    p(h | v) = sigmoid(c + W^T v), p(v | h) = sigmoid(b + W h), or N(b + W h, 1).

    Called, it gives p(h | v), so that a stack of them is a network to fine-tune; the visible bias b, which that
    network does not read, is a buffer.

    Paper: Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 2002; Hinton
        and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 2006.

    Args:
        visible: V.
        hidden: H.
        groups: G.
        gaussian: visible units are numbers instead of probabilities.
    """

    visible_bias: Tensor

    def __init__(self, visible: int, hidden: int, groups: int = 1, gaussian: bool = False) -> None:
        super().__init__()
        self.gaussian = gaussian
        # about the 0.01 of Hinton's guide for some thousand visible units, larger for few
        self.weight = nn.Parameter(torch.randn(groups, visible, hidden) * 0.5 / visible**0.5)
        self.bias = nn.Parameter(torch.zeros(groups, hidden))
        self.register_buffer("visible_bias", torch.zeros(groups, visible))

    def forward(self, v: Tensor) -> Tensor:
        """p(h | v) [N, G, H] of visible units [N, G, V]."""
        return torch.sigmoid(torch.einsum("ngv,gvh->ngh", v, self.weight) + self.bias)

    def down(self, h: Tensor) -> Tensor:
        """Mean of v given hidden units [N, G, H], [N, G, V]."""
        v = torch.einsum("ngh,gvh->ngv", h, self.weight) + self.visible_bias
        return v if self.gaussian else torch.sigmoid(v)

    @torch.no_grad()
    def contrast(self, v: Tensor, generator: torch.Generator) -> tuple[tuple[Tensor, Tensor, Tensor], float]:
        """One step of contrastive divergence on a batch [N, G, V].

        dW = <v h>_data - <v h>_reconstruction, and the same for the biases, as means over the batch; the hidden units
        that drive the reconstruction are sampled, all else are probabilities or means.

        Returns:
            The directions in which weight, bias and visible bias shall go, and the mean squared reconstruction error.
        """
        h = self(v)
        sample = (torch.rand(h.shape, generator=generator).to(h.device) < h).to(v.dtype)
        back = self.down(sample)
        again = self(back)
        pairs = torch.einsum("ngv,ngh->gvh", v, h) - torch.einsum("ngv,ngh->gvh", back, again)
        step = (pairs / len(v), (h - again).mean(0), (v - back).mean(0))
        return step, float((v - back).square().mean())
