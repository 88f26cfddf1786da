"""What networks over clips cost as clips grow: milliseconds a clip on one core, at several numbers of frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from mien.bench.speed import Timing, interleaved
from mien.layers.video_attention import CodeAttention, PairAttention
from mien.models import MODELS

EMBEDDED = ("frame-aggregation", "cnn-rnn-last", "irnn-attention", "frame-attention", "cnn-lstm-transformer")
DIM = 128
LONGEST_READ = 64  # frames; longer clips of pixels take seconds
ATTENTION = {"attention against a code, O(n)": CodeAttention, "attention between frames, O(n²)": PairAttention}


def length_costs(lengths: Sequence[int], rounds: int = 20, side: int = 64) -> dict[str, list[Timing]]:
    """Timings by network, one a length; all lengths of all networks take turns in every round.

    The networks of `EMBEDDED` read embeddings of 128 numbers, so this is what they add to the reading of the frames.
    `resnet3d-18` reads the frames themselves. The two attentions are timed alone as well, without the recurrence that
    all share, on 16 clips at once.

    Args:
        lengths: numbers of frames.
        side: of the frames that `resnet3d-18` reads, pixels.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        calls: dict[tuple[str, int], Callable[[], Any]] = {}
        for name in EMBEDDED:
            network = MODELS.create(name, encoder=None, dim=DIM).eval()
            calls |= {(name, t): _call(network, torch.randn(1, t, DIM)) for t in lengths}
        for words, kind in ATTENTION.items():
            calls |= {(words, t): _attention(kind, torch.randn(16, t, DIM)) for t in lengths}
        timed = interleaved(calls, rounds)
        slow = {("resnet3d-18", t): _clip(t, side) for t in lengths if t <= LONGEST_READ}
        timed += interleaved(slow, max(1, rounds // 10))
    finally:
        torch.set_num_threads(threads)
    # `interleaved` gives the time of one of so many
    timed = [Timing(t.name, t.batch, *(t.batch * ms for ms in (t.median, t.low, t.high))) for t in timed]
    names = list(dict.fromkeys(timing.name for timing in timed))
    return {name: [timing for timing in timed if timing.name == name] for name in names}


def _call(network: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    def call() -> Any:
        with torch.inference_mode():
            return network(x)

    return call


def _clip(frames: int, side: int) -> Callable[[], Any]:
    return _call(MODELS.create("resnet3d-18", frames=frames).eval(), torch.rand(1, frames, 1, side, side))


def _attention(kind: type[CodeAttention] | type[PairAttention], states: torch.Tensor) -> Callable[[], Any]:
    layer = kind(states.shape[2]).eval()

    def call() -> Any:
        with torch.inference_mode():
            return layer(states[:, -1], states) if isinstance(layer, CodeAttention) else layer(states)

    return call
