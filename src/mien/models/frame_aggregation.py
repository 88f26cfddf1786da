"""Frames read one by one, their features or scores pooled over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.conv_unit import own
from mien.layers.over_time import AttentionPool, pool_max, pool_mean, pool_std
from mien.models import MODELS, Inputs, Output
from mien.models.clips import FrameEncoder, linear_head

POOLS = {"mean": pool_mean, "max": pool_max, "std": pool_std}
LEVELS = ("features", "scores")


class FrameAggregation(nn.Module):
    """Mean, maximum, deviation or attention over the frames of a clip, whatever their order.

    - `features`: the pooled embeddings, one after the other, go to the classifier.
    - `scores`: each frame is classified, and its softmax scores are pooled: logits = log pool_t softmax(FC(x_t)).

    Paper: Li, Deng, "Deep facial expression recognition: a survey", IEEE TAC 2020, section 4.2.1 (frame aggregation):
        decision-level averages and feature-level statistics of mean, maximum and variance.

    Differs: the deviation in place of the variance; attention after Meng et al., "Frame attention networks for facial
        expression recognition in videos", ICIP 2019, without its second, relational stage.

    Args:
        classes: K.
        encoder: network that reads each frame; None reads `embeddings` [N, T, D].
        encoder_arguments: of that network.
        frozen: the encoder stays as it is.
        dim: D where `encoder` is None.
        pools: of `mean`, `max`, `std`, `attention`; several are put one after the other.
        level: `features` or `scores`; scores take one pool, and not `std`.
        dropout: before the linear layer, in [0, 1).

    Raises:
        RecipeError: another pool or level, or pools that do not fit scores.
    """

    def __init__(
        self,
        classes: int = 8,
        encoder: str | None = "mini-s",
        encoder_arguments: Mapping[str, Any] | None = None,
        frozen: bool = False,
        dim: int = 128,
        pools: Sequence[str] = ("mean",),
        level: str = "features",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.pools = (pools,) if isinstance(pools, str) else tuple(pools)
        self.level = level
        self._check()
        self.encoder = FrameEncoder(encoder, encoder_arguments, dim, frozen)
        width = self.encoder.dim
        self.attention = AttentionPool(width) if "attention" in self.pools else None
        self.dropout = nn.Dropout(dropout)
        self.head = linear_head(width * (len(self.pools) if level == "features" else 1), classes)

    def _check(self) -> None:
        known = (*POOLS, "attention")
        wrong = [pool for pool in self.pools if pool not in known]
        if wrong or not self.pools or len(set(self.pools)) < len(self.pools):
            raise RecipeError(f"pools = {list(self.pools)}; give each of {', '.join(known)} at most once, and one")
        if self.level not in LEVELS:
            raise RecipeError(f"level = {self.level!r}; choose one of {', '.join(LEVELS)}")
        if self.level == "scores" and (len(self.pools) > 1 or "std" in self.pools):
            raise RecipeError(f"level = 'scores' takes one pool of mean, max, attention, not {list(self.pools)}")

    def _pool(self, pool: str, values: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        """`values` [N, T, V] pooled; attention weighs them by the embeddings x [N, T, D]."""
        if self.attention is not None and pool == "attention":
            return (values * self.attention.weights(x, mask)[:, :, None]).sum(1)
        return POOLS[pool](values, mask)

    def forward(self, inputs: Inputs) -> Output:
        x, mask = self.encoder(inputs)
        if self.level == "scores":
            frames = self.head(self.dropout(x))
            scores = self._pool(self.pools[0], torch.softmax(frames.float(), 2), x, mask)
            return Output(scores.clamp_min(1e-8).log(), pool_mean(x, mask), {"frames": frames})
        embedding = torch.cat([self._pool(pool, x, x, mask) for pool in self.pools], 1)
        return Output(self.head(self.dropout(embedding)), embedding, {})


@MODELS.register(
    "frame-aggregation",
    paper="Li and Deng 2020, section 4.2.1",
    parameters=894_884,
    size=48,
    frames=16,
    modality="frames",
)
def frame_aggregation(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> FrameAggregation:
    """The mean of mini-s's features over the frames."""
    small = {"encoder_arguments": {"widths": (4, 6), "depths": (1, 1)}}
    return FrameAggregation(classes, **own({}, tiny, small, arguments))
