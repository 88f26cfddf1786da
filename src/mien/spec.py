"""Spec: everything that a weight file needs to be run. It travels inside the file, as ONNX metadata `mien.spec`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mien.errors import WeightsError

KEY = "mien.spec"
LABEL = re.compile(r"[^\W_][\w &()./+-]{0,59}")
"""Labels head columns of tables and stand in reports."""


@dataclass(frozen=True)
class Geometry:
    """How a face is cut out of a frame.

    Attributes:
        align: `box` (square around the detector's box) or `landmarks` (upright by the eyes and mouth, where there are
            landmarks, else by the box).
        scale: side of the crop divided by the longer side of the box, or by the distance between eyes, or between eyes
            and mouth, whichever is longer.
        shift_y: how far the crop's centre lies below the reference's centre, as a share of the crop's side.
        detectors: `{detector: (scale, shift_y)}` for boxes, which detectors draw differently.
    """

    align: str = "box"
    scale: float = 1.0
    shift_y: float = 0.0
    detectors: dict[str, tuple[float, float]] = field(default_factory=dict)

    def for_detector(self, name: str) -> tuple[float, float]:
        """(scale, shift_y) for boxes of the detector `name`."""
        own = (self.scale, self.shift_y) if self.align == "box" else (1.0, 0.0)
        scale, shift = self.detectors.get(name, own)
        return float(scale), float(shift)


@dataclass(frozen=True)
class Spec:
    """The facts that a weight file carries.

    Attributes:
        name: of the weights.
        task: `expression`, `detection`, `landmarks`, `identity`, `sequence`, `voice` or `restoration` (of faces: the
            input's shape comes out).
        labels: names of the outputs, in order (empty for landmarks and identity).
        size: side of the input, pixels.
        colour: `gray` (one channel, BT.601) or `rgb`.
        mean, std: per channel, of pixels in [0, 1]; input = (pixel / 255 - mean) / std.
        geometry: how faces are cut.
        temperature: the logits are divided by it inside the file; kept for the record.
        unsure_below: a top score below this is `unsure`.
        unsure_coverage: share of the validation faces that are not `unsure`.
        unsure_accuracy: accuracy on those.
        architecture: name of the network.
        parameters: their number.
        trained_on: data sets.
        licence: of the weights.
        command: that made them.
        figures: measured accuracy, by name.
        frames: of a sequence, how many frames it is read at; 0 for single faces.
        reads: of a sequence, the labels of the frames' scores, in order.
        weights: of a sequence, the weights that gave the frames' scores in training.
        sound: of a voice, which extractor reads the sound (`name`) and its options, and its `version`.
    """

    name: str
    task: str = "expression"
    labels: tuple[str, ...] = ()
    size: int = 48
    colour: str = "gray"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    geometry: Geometry = field(default_factory=Geometry)
    temperature: float = 1.0
    unsure_below: float = 0.0
    unsure_coverage: float = 1.0
    unsure_accuracy: float = 0.0
    architecture: str = ""
    parameters: int = 0
    trained_on: tuple[str, ...] = ()
    licence: str = ""
    command: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    reads: tuple[str, ...] = ()
    weights: str = ""
    sound: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        channels = {"gray": 1, "rgb": 3}.get(self.colour)
        if channels is None:
            raise WeightsError(f"spec: colour must be gray or rgb, got {self.colour!r}")
        if len(self.mean) != channels or len(self.std) != channels:
            raise WeightsError(f"spec: {self.colour} needs {channels} means and deviations, got {len(self.mean)}")
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or 0 in self.std:
            raise WeightsError(
                f"spec: means and deviations must be finite, deviations not 0, got {self.mean}, {self.std}"
            )
        bad = [label for label in self.labels if not isinstance(label, str) or not LABEL.fullmatch(label)]
        if bad or len(set(self.labels)) < len(self.labels):
            raise WeightsError(f"spec: labels must be different words, got {', '.join(map(repr, self.labels))[:200]}")
        if not 8 <= self.size <= 1024:
            raise WeightsError(f"spec: size must be 8 to 1024 pixels, got {self.size}")
        if self.geometry.align not in ("box", "landmarks"):
            raise WeightsError(f"spec: align must be box or landmarks, got {self.geometry.align!r}")

    def to_json(self) -> str:
        """The Spec as JSON text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read what `to_json` wrote; keys of later versions are ignored.

        Raises:
            WeightsError: the text is not a Spec.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            known = {f.name for f in fields(cls)}
            values = {key: _tuple(value) for key, value in raw.items() if key in known}
            geometry = {k: v for k, v in values.pop("geometry", {}).items() if k in {f.name for f in fields(Geometry)}}
            found = cls(geometry=Geometry(**geometry), **values)
            for name in (*found.geometry.detectors, ""):
                found.geometry.for_detector(name)
            return found
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise WeightsError(f"this is no mien spec: {error}") from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
