"""Rows of a table turned back into faces, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from mien.table import Row
from mien.types import Faces

COVER = 15
"""Frames for which a face stays hidden before it is first and after it was last found."""


def faces_of(rows: Sequence[Row], labels: Sequence[str]) -> tuple[Faces, np.ndarray]:
    """The faces of one frame, and which of them are unsure, as `draw` takes them.

    Args:
        rows: the N rows of one frame.
        labels: names of the K scores.

    Returns:
        N faces with track and scores [N, K], and bool [N].
    """
    if not rows:
        return Faces.none().with_(scores=np.zeros((0, len(labels)), np.float32)), np.zeros(0, bool)
    scores = [[row.get(f"p_{label}") or 0.0 for label in labels] for row in rows]
    tracks = [-1 if row.get("track") is None else row["track"] for row in rows]
    faces = Faces(
        np.array([[row[name] for name in ("x1", "y1", "x2", "y2")] for row in rows], np.float32),
        np.array([row.get("detection") or 0.0 for row in rows], np.float32),
        track=np.array(tracks, np.int64),
        scores=np.array(scores, np.float32).reshape(len(rows), len(labels)),
    )
    return faces, np.array([bool(row.get("unsure")) for row in rows])


@dataclass(frozen=True)
class Shown:
    """What to draw on one frame.

    Attributes:
        faces: N faces.
        unsure: bool [N].
        hidden: float32 [M, 4], boxes that an anonymous copy must hide besides those of the faces: people whom the
            detector missed here, but found shortly before or after.
    """

    faces: Faces
    unsure: np.ndarray
    hidden: np.ndarray


class Playback:
    """Rows of a video, asked for frame by frame; only those of about 30 frames are held.

    Args:
        rows: in the order of `frame`.
        labels: names of the K scores.
        every: the analysis took each `every`-th frame; its rows show until the next one.
    """

    def __init__(self, rows: Iterable[Row], labels: Sequence[str], every: int = 1) -> None:
        self._groups = self._grouped(rows, labels)
        self._every = every
        self._reach = max(COVER, every)
        self._near: deque[tuple[int, Faces, np.ndarray]] = deque()
        self._next = next(self._groups, None)

    @staticmethod
    def _grouped(rows: Iterable[Row], labels: Sequence[str]) -> Iterator[tuple[int, Faces, np.ndarray]]:
        for frame, group in groupby(rows, key=lambda row: int(row["frame"])):
            yield frame, *faces_of(list(group), labels)

    def at(self, index: int) -> Shown:
        """What frame `index` shows; frames must be asked for in order."""
        while self._next is not None and self._next[0] <= index + self._reach:
            self._near.append(self._next)
            self._next = next(self._groups, None)
        while self._near and self._near[0][0] < index - self._reach:
            self._near.popleft()
        faces, unsure = faces_of((), ())
        seen = -1
        for frame, some, doubts in self._near:
            if index - self._every < frame <= index:
                seen, faces, unsure = frame, some, doubts
        return Shown(faces, unsure, self._hidden(index, set(faces.track.tolist()) if seen == index else set()))

    def _hidden(self, index: int, present: set[int]) -> np.ndarray:
        """Boxes of people near in time, except those whose box on this very frame is known."""
        spans: dict[tuple[int, int], tuple[int, np.ndarray, np.ndarray | None]] = {}
        for frame, faces, _ in self._near:
            for i, track in enumerate(faces.track.tolist()):
                if (track >= 0 and track in present) or frame == index:
                    continue
                key = (track, -1) if track >= 0 else (frame, i)
                box, before = faces.box[i], spans.get(key)
                if before is None or (frame < index):
                    spans[key] = (frame, box, None)
                elif before[0] < index and before[2] is None:
                    spans[key] = (before[0], before[1], box)
        boxes = [box for _, one, other in spans.values() for box in _between(one, other)]
        return np.array(boxes, np.float32).reshape(-1, 4)


def _between(a: np.ndarray, b: np.ndarray | None) -> list[np.ndarray]:
    """Where a face may have been between two boxes: all of it, or just both where they lie too far apart."""
    if b is None:
        return [a]
    around = np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])
    near = np.all(around[2:] - around[:2] < 2 * np.maximum(a[2:] - a[:2], b[2:] - b[:2]))
    return [around] if near else [a, b]
