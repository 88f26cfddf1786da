"""A quick detector, looked over by a thorough one: what one source needs is found out as it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.faces import Detector
from mien.faces.overlap import iou
from mien.types import Faces

LOOK_S = 1.0
"""The thorough detector looks at one frame in so many seconds at least."""
SAME = 0.3
"""Boxes that share this much of their union are of one face."""


@dataclass
class Watch:
    """What is remembered of a source between its frames.

    Attributes:
        looked_s: time of the last frame that both detectors saw; None before the first.
        thorough: the quick detector missed a face there, so the thorough one works until the next look.
        known: boxes of the last frame's faces [N, 4], pixels.
    """

    looked_s: float | None = None
    thorough: bool = False
    known: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` goes on."""
        return {"looked_s": self.looked_s, "thorough": self.thorough, "known": np.asarray(self.known).tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.looked_s, self.thorough = state["looked_s"], bool(state["thorough"])
        self.known = np.array(state["known"], np.float32).reshape(-1, 4)


def watched(
    quick: Detector, thorough: Detector, image: np.ndarray, watch: Watch, time_s: float, smallest: float
) -> Faces:
    """Faces of a frame, by the quick detector wherever it misses none that the thorough one finds.

    The thorough one looks once a second, and whenever the quick one reports a face where there was none before: a
    newcomer counts once both have seen it.

    Args:
        watch: of this source; changed by every frame.
        time_s: of the frame.
        smallest: faces whose shorter side is below this many pixels of the image do not count as missed.
    """
    due = watch.looked_s is None or not 0 <= time_s - watch.looked_s < LOOK_S
    if watch.thorough and not due:
        faces = thorough(image)
    else:
        faces = quick(image)
        old = _seen(faces.box, watch.known)
        if due or not old.all():
            faces = _look(faces, old, thorough(image), watch, smallest)
            watch.looked_s = time_s
    watch.known = faces.box
    return faces


def _look(some: Faces, old: np.ndarray, all_: Faces, watch: Watch, smallest: float) -> Faces:
    """Which detector is to be believed, and what there is."""
    wanted = (all_.box[:, 2:] - all_.box[:, :2]).min(1, initial=np.inf) >= smallest
    watch.thorough = not _seen(all_.box[wanted], some.box).all()
    return all_ if watch.thorough else some[old | _seen(some.box, all_.box)]


def _seen(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool [N]: for each box, whether one of the others is of the same face."""
    if not len(boxes) or not len(others):
        return np.zeros(len(boxes), bool)
    return np.asarray(iou(boxes, others).max(1) >= SAME)
