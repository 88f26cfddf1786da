"""What networks over clips do with clips of more and more frames, as calls to be timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mien.layers.video_attention import CodeAttention, PairAttention
from mien.models import MODELS

EMBEDDED = ("frame-aggregation", "cnn-rnn-last", "irnn-attention", "frame-attention", "cnn-lstm-transformer")
DIM = 128
CLIPS = 16
LONGEST_READ = 64  # frames; longer clips of pixels take seconds
ATTENTION: dict[str, type[CodeAttention] | type[PairAttention]] = {
    "attention against a code, O(n)": CodeAttention,
    "attention between frames, O(n²)": PairAttention,
}

Call = Callable[[], Any]


def one_thread() -> None:
    """From now on this process computes on one core."""
    torch.set_num_threads(1)


def embedded_calls(lengths: Sequence[int]) -> dict[tuple[str, int], Call]:
    """Networks of `EMBEDDED` on one clip of embeddings, by name and frames; and both attentions alone, on 16 clips."""
    calls: dict[tuple[str, int], Call] = {}
    for name in EMBEDDED:
        network = MODELS.create(name, encoder=None, dim=DIM).eval()
        calls |= {(name, t): _call(network, torch.randn(1, t, DIM)) for t in lengths}
    for words, kind in ATTENTION.items():
        calls |= {(words, t): _attention(kind, torch.randn(CLIPS, t, DIM)) for t in lengths}
    return calls


def pixel_calls(lengths: Sequence[int], side: int = 64) -> dict[tuple[str, int], Call]:
    """`resnet3d-18` on one clip of grey frames of that side, pixels; clips longer than `LONGEST_READ` are left out."""
    name = "resnet3d-18"
    return {
        (name, t): _call(MODELS.create(name, frames=t).eval(), torch.rand(1, t, 1, side, side))
        for t in lengths
        if t <= LONGEST_READ
    }


def _call(network: torch.nn.Module, x: Tensor) -> Call:
    def call() -> Any:
        with torch.inference_mode():
            return network(x)

    return call


def _attention(kind: type[CodeAttention] | type[PairAttention], states: Tensor) -> Call:
    layer = kind(states.shape[2]).eval()

    def call() -> Any:
        with torch.inference_mode():
            return layer(states[:, -1], states) if isinstance(layer, CodeAttention) else layer(states)

    return call
