"""A quick detector, looked over by a thorough one once a second: what one source needs is found out as it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mien.faces import Detector
from mien.faces.overlap import iou
from mien.types import Faces

LOOK_S = 1.0
"""The thorough detector looks at one frame in so many seconds."""
SAME = 0.3
"""Boxes that share this much of their union are of one face."""


@dataclass
class Watch:
    """What is remembered of a source between its frames.

    Attributes:
        looked_s: time of the last frame that both detectors saw; None before the first.
        thorough: the quick detector missed a face there, so the thorough one works until the next look.
    """

    looked_s: float | None = None
    thorough: bool = False

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` goes on."""
        return asdict(self)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.looked_s, self.thorough = state["looked_s"], bool(state["thorough"])


def watched(
    quick: Detector, thorough: Detector, image: np.ndarray, watch: Watch, time_s: float, smallest: float
) -> Faces:
    """Faces of a frame, by the quick detector wherever it misses none that the thorough one finds.

    Args:
        watch: of this source; changed where this frame is looked at by both.
        time_s: of the frame.
        smallest: faces whose shorter side is below this many pixels of the image do not count as missed.
    """
    if watch.looked_s is not None and 0 <= time_s - watch.looked_s < LOOK_S:
        return (thorough if watch.thorough else quick)(image)
    some, all_ = quick(image), thorough(image)
    wanted = all_.box[(all_.box[:, 2:] - all_.box[:, :2]).min(1) >= smallest] if len(all_) else all_.box
    overlap = iou(wanted, some.box).max(1, initial=0.0) if len(wanted) else np.zeros(0)
    watch.looked_s, watch.thorough = time_s, bool((overlap < SAME).any())
    return all_ if watch.thorough else some
