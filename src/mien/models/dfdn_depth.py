"""DFDN: colour and depth in two residual streams, joined by gates at several depths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.gated_streams import SharedWarp, StreamGate
from mien.layers.over_modalities import modality
from mien.layers.resnet import Trunk, conv_norm, initialise
from mien.models import MODELS, Inputs, Output

SHAPES = {"face": (3, 64, 64), "depth": (1, 64, 64)}
STAGES = 4


class DFDN(nn.Module):
    """A ResNet-18 for each stream; after stages 2, 3 and 4 a gate joins them into a third path.

    m_2 = gate_2(a_2, b_2), m_s = relu(gate_s(a_s, b_s) + d_s(m_(s-1))) with d_s a 3x3 convolution of stride 2; the mean
    of m_4 over its area is the embedding. Of a single stream there is its ResNet alone, the rival that a fusion must
    beat. A stream that is missing from a row gets no weight in its gates; in training it then does not touch that
    stream's statistics. `aux["embedding:NAME"]` is each stream's own mean, for a classifier of its own
    (`auxiliary-classifier`); `aux["gate:NAME"]` its mean weight in the last gate [N].

    Paper: the name and "RGB + 3D" stand in a survey's table with a thesis as their source (Li Xinwang, "Human sentiment
        analysis with multimodal information fusion", Guangdong University of Technology, 2022), which was not found;
        fusion by learnt weights between convolutional stages as in Sui et al., "AFNet-M: adaptive fusion network with
        masks for 2D+3D facial expression recognition", arXiv 2205.11785, 2022; He et al., CVPR 2016 (ResNet-18).
    Differs: built from a description of one line (two ResNet-18 streams, gated fusion at stages 2 to 4); the gates'
        form, the third path and the handling of a missing stream are ours. 3x3 stem, for pictures of 64 px.

    Args:
        classes: K.
        shapes: stream -> [C, S, S]; all S alike.
        widths: of the four stages.
        depths: blocks of each stage.
        first: the first stage, from 1, after which the streams are joined.
        stem_stride: of the stem; 2 quarters the work.
        dropout: before the classifier, in [0, 1).
        odd: stream -> channels that change sign in a mirrored face (`SharedWarp`).
        warp: whether training mirrors, shifts and zooms all streams of a row alike.

    Raises:
        RecipeError: a stream is not of pictures or maps, or their sizes differ.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        first: int = 2,
        stem_stride: int = 1,
        dropout: float = 0.0,
        odd: Mapping[str, Sequence[int]] | None = None,
        warp: bool = True,
    ) -> None:
        super().__init__()
        if any(len(shape) != 3 for shape in shapes.values()) or len({tuple(s[1:]) for s in shapes.values()}) != 1:
            given = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise RecipeError(f"dfdn-depth reads pictures or maps [C, S, S] of one size, not {given}; mend size")
        if not 1 <= first <= STAGES:
            raise RecipeError(f"dfdn-depth: first = {first}; expected a stage from 1 to {STAGES}")
        self.names, self.first = tuple(shapes), first
        strong = {} if warp else {"shift": 0.0, "zoom": 0.0, "flip": 0.0}
        self.warp = SharedWarp(**strong, odd=odd)
        self.trunks = nn.ModuleDict(
            {name: Trunk(shape[0], widths, depths, stem_stride=stem_stride) for name, shape in shapes.items()}
        )
        joined = widths[first - 1 :] if len(shapes) > 1 else ()
        self.gates = nn.ModuleList(StreamGate(width, len(shapes)) for width in joined)
        self.descents = nn.ModuleList(conv_norm(a, b, 3, 2) for a, b in pairwise(joined))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], classes)
        for part in (self.trunks, self.descents):
            initialise(part)

    def forward(self, inputs: Inputs) -> Output:
        maps, there = self._read(inputs)
        maps = self.warp(maps)
        stages = [self._stream(name, maps[name], there[:, k]) for k, name in enumerate(self.names)]
        own = {f"embedding:{name}": found[-1].mean((2, 3)) for name, found in zip(self.names, stages, strict=True)}
        if len(self.names) == 1:
            fused, aux = stages[0][-1], own
        else:
            fused, weights = self._join(stages, there)
            aux = own | {f"gate:{name}": weights[:, k] for k, name in enumerate(self.names)}
        embedding = fused.mean((2, 3))
        return Output(self.head(self.dropout(embedding)), embedding, {"features": fused, **aux})

    def _read(self, inputs: Inputs) -> tuple[dict[str, Tensor], Tensor]:
        """All streams, blank where one is missing, and which rows have them, bool [N, M]."""
        given = inputs if isinstance(inputs, Mapping) else {self.names[0]: inputs}
        found = {name: modality(given, name) for name in self.names if name in given}
        if not found:
            raise RecipeError(f"this network reads {', '.join(self.names)}; the input holds {', '.join(given)}")
        like, mask = next(iter(found.values()))
        maps, there = {}, []
        for name in self.names:
            channels = self.trunks[name].stem[1][0].in_channels  # type: ignore[index, union-attr]
            blank = like.new_zeros(len(like), channels, *like.shape[2:])
            maps[name] = found[name][0] if name in found else blank
            there.append(found[name][1].any(1) if name in found else torch.zeros_like(mask[:, 0]))
        return maps, torch.stack(there, 1)

    def _stream(self, name: str, x: Tensor, there: Tensor) -> list[Tensor]:
        """A stream's maps after each stage, 0 in rows where it is missing."""
        trunk = self.trunks[name]
        some = self.training and not bool(there.all())
        y = x[there] if some else x
        found = []
        y = trunk.stem(y)  # type: ignore[operator]
        for stage in trunk.stages:  # type: ignore[union-attr]
            y = stage(y)
            if some:
                found.append(y.new_zeros(len(x), *y.shape[1:]).index_put((there.nonzero()[:, 0],), y))
            else:
                found.append(y * there[:, None, None, None].to(y.dtype))
        return found

    def _join(self, stages: Sequence[Sequence[Tensor]], there: Tensor) -> tuple[Tensor, Tensor]:
        """The third path's last maps, and each stream's mean weight in the last gate [N, M]."""
        fused, weights = self.gates[0]([found[self.first - 1] for found in stages], there)
        for k, descent in enumerate(self.descents):
            beside, weights = self.gates[k + 1]([found[self.first + k] for found in stages], there)
            fused = torch.relu(beside + descent(fused))
        return fused, weights.mean((2, 3, 4))


@MODELS.register(
    "dfdn-depth",
    paper="Li Xinwang 2022 (thesis, not found); Sui et al. 2022",
    parameters=25_194_247,
    classes=7,
    size=64,
    modality="streams",
)
def dfdn_depth(
    classes: int = 7, shapes: Mapping[str, Sequence[int]] = SHAPES, tiny: bool = False, **arguments: Any
) -> DFDN:
    """Two ResNet-18 streams; recipes for one CPU core set narrower `widths`; `tiny` is for tests."""
    own: dict[str, Any] = {"widths": (4, 4, 6, 8), "depths": (1, 1, 1, 1)} if tiny else {}
    return DFDN(classes, shapes, **{**own, **arguments})
