"""What networks over clips share: masks of unequal lengths, pooling over frames, even choice of frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.errors import RecipeError


def check_length(length: Tensor, frames: int) -> None:
    """Whether all lengths [N] lie in 1 to `frames`.

    Raises:
        RecipeError: one does not.
    """
    if bool(((length < 1) | (length > frames)).any()):
        raise RecipeError(f"length {length.tolist()} of clips of {frames} frames; each must lie in 1 to {frames}")


def mask_of(length: Tensor | None, frames: int) -> Tensor | None:
    """Which frames of each clip count: bool [N, T], or None where no lengths are given.

    >>> mask_of(torch.tensor([1, 3]), 3).tolist()
    [[True, False, False], [True, True, True]]

    Args:
        length: frames of each clip [N], 1 to T.
        frames: T.

    Raises:
        RecipeError: a length outside 1 to T.
    """
    if length is None:
        return None
    check_length(length, frames)
    return torch.arange(frames, device=length.device) < length[:, None]


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis; entries where the mask is false get 0."""
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, -1)


def pool_mean(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over the frames that count: [N, T, D] to [N, D]."""
    if mask is None:
        return x.mean(1)
    weight = mask.to(x.dtype)[:, :, None]
    return (x * weight).sum(1) / weight.sum(1)


def pool_max(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Maximum over the frames that count: [N, T, D] to [N, D]."""
    return x.amax(1) if mask is None else x.masked_fill(~mask[:, :, None], -torch.inf).amax(1)


def pool_std(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Deviation over the frames that count, sqrt(mean (x - mean)^2 + 1e-5): [N, T, D] to [N, D]."""
    return (pool_mean((x - pool_mean(x, mask)[:, None]).square(), mask) + 1e-5).sqrt()


class AttentionPool(nn.Module):
    """xi = softmax_i(w^T tanh(W x_i)), pooled sum_i xi_i x_i: each frame is weighed by what it shows itself.

    Paper: Yang et al., "Hierarchical attention networks for document classification", NAACL 2016, eqs (5)-(7); for
        frames of faces Meng et al., "Frame attention networks for facial expression recognition in videos", ICIP 2019.

    Args:
        dim: D of the frames [N, T, D].
        hidden: rows of W.
    """

    def __init__(self, dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """xi [N, T], which sums to 1."""
        return masked_softmax(self.score(x)[..., 0], mask)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return (x * self.weights(x, mask)[:, :, None]).sum(1)


def evenly(frames: Tensor, length: Tensor | None, count: int) -> Tensor:
    """`count` frames of each clip [N, T, ...], evenly spread from the first to the last that counts.

    Row k of the result is frame round(k (length - 1) / (count - 1)); a clip of `count` frames stays as it is.
    """
    n, t = frames.shape[:2]
    if length is None:
        if t == count:
            return frames
        length = torch.full((n,), t, device=frames.device)
    share = torch.linspace(0, 1, count, dtype=torch.float64, device=frames.device) if count > 1 else length.new_zeros(1)
    rows = (share * (length[:, None] - 1)).round().long()
    return frames[torch.arange(n, device=frames.device)[:, None], rows]
