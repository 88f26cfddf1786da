"""Frame and Faces: what flows through the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        image: uint8 [H, W, 3] RGB, upright (rotation metadata applied).
        index: position in the source, from 0.
        time_s: presentation time in seconds; None for a still picture.
        source: path as the user gave it.
    """

    image: np.ndarray
    index: int = 0
    time_s: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"image: expected uint8 [H, W, 3], got {self.image.dtype} {list(self.image.shape)}")


def _rows(n: int, *shape: int) -> np.ndarray:
    return np.zeros((n, *shape), np.float32)


@dataclass(frozen=True)
class Faces:
    """The N faces of one frame: arrays of equal length.

    Attributes:
        box: float32 [N, 4], x1 y1 x2 y2, pixels of the upright frame.
        detection: float32 [N], detector's confidence in [0, 1].
        landmarks: float32 [N, P, 2], pixels; P = 0 where there are none.
        track: int64 [N], stable over time; -1 where faces are not tracked.
        quality: float32 [N] by name: `face_px`, `blur`, `brightness`, `roll`, `yaw`.
        scores: float32 [N, K], calibrated; K = 0 before classification.

    >>> faces = Faces(np.array([[0, 0, 9, 9], [5, 5, 8, 8]]), np.array([0.9, 0.4]))
    >>> len(faces), len(faces[faces.detection > 0.5])
    (2, 1)
    """

    box: np.ndarray
    detection: np.ndarray
    landmarks: np.ndarray = field(default_factory=lambda: _rows(0, 0, 2))
    track: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    quality: dict[str, np.ndarray] = field(default_factory=dict)
    scores: np.ndarray = field(default_factory=lambda: _rows(0, 0))

    def __post_init__(self) -> None:
        n = len(self.box)
        fixed = {"box": np.asarray(self.box, np.float32).reshape(n, 4)}
        fixed["detection"] = np.asarray(self.detection, np.float32)
        # absent parts become N empty rows, so that indexing needs no special case
        fixed["landmarks"] = self.landmarks if len(self.landmarks) or not n else _rows(n, 0, 2)
        fixed["track"] = self.track if len(self.track) or not n else np.full(n, -1, np.int64)
        fixed["scores"] = self.scores if len(self.scores) or not n else _rows(n, 0)
        for name, array in {**fixed, **self.quality}.items():
            if len(array) != n:
                raise ValueError(f"{name} has {len(array)} rows, box has {n}")
        for name, array in fixed.items():
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.box)

    def __getitem__(self, rows: np.ndarray | Sequence[int] | slice) -> Faces:
        """The faces that a mask, index array or slice names."""
        index: Any = rows if isinstance(rows, slice) else np.asarray(rows)
        quality = {name: array[index] for name, array in self.quality.items()}
        return Faces(
            self.box[index],
            self.detection[index],
            self.landmarks[index],
            self.track[index],
            quality,
            self.scores[index],
        )

    def with_(self, **changes: Any) -> Faces:
        """A copy with some arrays replaced."""
        return replace(self, **changes)

    @classmethod
    def none(cls) -> Faces:
        """No face at all."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class FrameResult:
    """What one frame showed.

    Attributes:
        frame: the frame; its image may be None-sized once written (see `stream`).
        faces: its faces, with tracks, quality and scores.
        labels: names of the K scores.
        unsure: bool [N], true where the top score is below the model's stated threshold.
    """

    frame: Frame
    faces: Faces
    labels: tuple[str, ...]
    unsure: np.ndarray

    def __repr__(self) -> str:
        place = self.frame.source + ("" if self.time_s is None else f" at {self.time_s:.3f} s")
        return f"FrameResult({place}: {', '.join(self.top) or 'no face'})"

    def _repr_jpeg_(self) -> bytes | None:
        """What a notebook shows: the frame with its faces, at most 960 pixels wide; None where the image is gone."""
        import cv2

        from mien.report.draw import draw

        image = self.frame.image
        if not image.size:
            return None
        image = draw(image, self.faces, self.labels, self.unsure)
        scale = 960 / max(image.shape[:2])
        if scale < 1:
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return bytes(data.tobytes())

    @property
    def time_s(self) -> float | None:
        return self.frame.time_s

    @property
    def scores(self) -> np.ndarray:
        return self.faces.scores

    @property
    def top(self) -> list[str]:
        """Label with the highest score, for each face."""
        return [self.labels[k] for k in self.faces.scores.argmax(1)] if len(self.faces) else []
