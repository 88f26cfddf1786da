"""Sequences of maps, such as depth, normals and curvature of a scanned face, read by a network over clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mien.errors import RecipeError
from mien.layers.over_modalities import modality
from mien.models import MODELS, Inputs, Output

SHAPES = {"depth": (8 * 7, 48, 48)}
NARROW = {"widths": (16, 32, 64, 128), "depths": (1, 1, 1, 1), "stem_stride": 2}


class MapClip(nn.Module):
    """Maps of T moments one after another in channels [N, T * C, S, S], read moment by moment, then over time.

    Paper: Li, Deng, "Deep facial expression recognition: a survey", IEEE TAC 2020, section 4.2 (networks over frames),
        for the 3-D sequences of its section 6; Yin et al., FG 2008 (the sequences).
    Differs: the survey names no network for scans in motion; this one reads each moment by a residual net and joins
        them by any registered network over clips.

    Args:
        classes: K.
        shapes: one stream -> [T * C, S, S].
        channels: C.
        over: network over clips, such as `irnn-attention` or `frame-aggregation`.
        still: arguments of the residual net that reads each moment (one stream of `dfdn-depth`).
        over_arguments: of the network over clips.

    Raises:
        RecipeError: several streams, or channels that do not make whole moments.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        channels: int = 7,
        over: str = "irnn-attention",
        still: Mapping[str, Any] | None = None,
        over_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        shape = next(iter(shapes.values()))
        if len(shapes) != 1 or len(shape) != 3 or shape[0] % channels:
            given = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise RecipeError(f"map-clip reads one stream [T * {channels}, S, S], not {given}; mend channels")
        self.name, self.channels = next(iter(shapes)), channels
        reader = {"classes": 1, "shapes": {"face": (channels, *shape[1:])}, "warp": False, **(still or NARROW)}
        more = dict(over_arguments or {})
        self.net = MODELS.create(over, classes=classes, encoder="dfdn-depth", encoder_arguments=reader, **more)

    def forward(self, inputs: Inputs) -> Output:
        x, there = modality(inputs, self.name)
        n, stacked, *side = x.shape
        output: Output = self.net({"frames": x.reshape(n, stacked // self.channels, self.channels, *side)})
        del there  # a clip without scans is all zeros, and the only stream
        return output

    @property
    def head(self) -> nn.Module:
        """The classifier, of the network over clips."""
        return self.net.head  # type: ignore[return-value]


@MODELS.register(
    "map-clip", paper="Li and Deng 2020, section 4.2", parameters=358_294, classes=6, size=48, modality="streams"
)
def map_clip(
    classes: int = 6, shapes: Mapping[str, Sequence[int]] = SHAPES, tiny: bool = False, **arguments: Any
) -> MapClip:
    """A narrow residual net, an IRNN and attention over eight moments; `tiny` is for tests."""
    own: dict[str, Any] = {"still": {"tiny": True}, "over_arguments": {"hidden": 8}} if tiny else {}
    return MapClip(classes, shapes, **{**own, **arguments})
