"""Who is who over time: a small tracker by place, motion and looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mien.faces.watch import Watch
from mien.types import Faces

BINS = (8, 8)
MEMORY_S = 5.0
"""How long an absent person is remembered, seconds."""
BELIEVED = 2.0


@dataclass
class Track:
    """One person as last seen.

    Attributes:
        box: [4], pixels.
        velocity: [2], motion of the centre, pixels per second.
        looks: [D], unit length, slowly averaged.
        missed: analysed frames since the person was last seen.
        hidden: was lost close to another face, and so may be behind it.
    """

    id: int
    box: np.ndarray
    velocity: np.ndarray
    looks: np.ndarray
    seen_s: float
    missed: int = 0
    hidden: bool = False

    def centre(self, time_s: float) -> np.ndarray:
        """Where the person should be by now [2]: the motion is believed less and less, for at most BELIEVED seconds."""
        gone = max(time_s - self.seen_s, 0.0)
        ahead = BELIEVED * (1 - math.exp(-gone / BELIEVED))
        return np.asarray((self.box[:2] + self.box[2:]) / 2 + self.velocity * ahead)

    def side(self) -> float:
        return max(float((self.box[2:] - self.box[:2]).mean()), 1.0)


def describe(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Looks of a person, float32 [D] of unit length: hue and saturation of the head and of what is worn below it."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(v) for v in box)
    w, h = x2 - x1, y2 - y1
    regions = ((x1 - 0.1 * w, y1 - 0.4 * h, x2 + 0.1 * w, y2), (x1 - 0.2 * w, y2, x2 + 0.2 * w, y2 + 0.8 * h))
    parts = []
    for left, top, right, bottom in regions:
        # numpy's clip takes longer than all else here
        a, b = int(min(max(left, 0), width - 1)), int(min(max(right, 1), width))
        c, d = int(min(max(top, 0), height - 1)), int(min(max(bottom, 1), height))
        if b - a < 2 or d - c < 2:
            parts.append(np.zeros(BINS[0] * BINS[1] + 8, np.float32))
            continue
        patch = cv2.resize(image[c:d, a:b], (24, 24), interpolation=cv2.INTER_AREA)
        hsv = cv2.cvtColor(patch, cv2.COLOR_RGB2HSV)
        colour = cv2.calcHist([hsv], [0, 1], None, list(BINS), [0, 180, 0, 256]).ravel()
        light = cv2.calcHist([hsv], [2], None, [8], [0, 256]).ravel()
        parts.append(np.sqrt(np.concatenate([colour, light]) / 576))
    looks = np.concatenate(parts)
    return np.asarray(looks / max(float(np.linalg.norm(looks)), 1e-6), np.float32)


class Tracker:
    """Gives each face a track id that stays with the person.

    A face continues the track whose predicted place, size and looks are nearest; where places are ambiguous, as when
    two people cross, looks decide. A person who was away for at most `memory_s` seconds gets the old id back by looks
    and a plausible place; after that, a new one. Who was lost beside another face was probably hidden by it; of who
    left, closer looks are asked, for somebody else may have come instead.

    Args:
        memory_s: how long an absent person is remembered, seconds.

    Attributes:
        watch: what the detectors remember of the same source.
    """

    MOVED, LOOKS = 1.0, 2.5  # weight of distance (in face sides) and of difference in looks
    LIMIT = 1.6
    NEAR = 2.0  # face sides between the centres of a lost face and one that may hide it
    HIDDEN, LEFT = 0.25, 0.08  # most difference in looks of who comes back from behind somebody, or from elsewhere

    def __init__(self, memory_s: float = MEMORY_S) -> None:
        self.memory_s = memory_s
        self.watch = Watch()
        self._tracks: list[Track] = []
        self._next = 0

    def __call__(self, image: np.ndarray, faces: Faces, time_s: float) -> Faces:
        """The same faces with `track` set; frames must come in order of time."""
        self._tracks = [t for t in self._tracks if time_s - t.seen_s <= self.memory_s]
        looks = [describe(image, box) for box in faces.box]
        ids = np.full(len(faces), -1, np.int64)
        for face, track in self._match(faces.box, looks, time_s):
            self._update(track, faces.box[face], looks[face], time_s)
            ids[face] = track.id
        for track in self._tracks:
            if track.id not in ids:
                if not track.missed:
                    track.hidden = self._behind(track, faces.box, time_s)
                track.missed += 1
        for face in np.flatnonzero(ids < 0).tolist():
            track = Track(self._next, faces.box[face], np.zeros(2), looks[face], time_s)
            self._next += 1
            self._tracks.append(track)
            ids[face] = track.id
        return faces.with_(track=ids)

    def _match(self, boxes: np.ndarray, looks: list[np.ndarray], time_s: float) -> list[tuple[int, Track]]:
        """Pairs of face and track, cheapest first."""
        if not len(boxes) or not self._tracks:
            return []
        cost = np.stack([self._costs(track, boxes, looks, time_s) for track in self._tracks], 1)
        pairs, faces, tracks = [], set(), set()
        for flat in np.argsort(cost, axis=None, kind="stable"):
            face, track = divmod(int(flat), len(self._tracks))
            if cost[face, track] > self.LIMIT:
                break
            if face not in faces and track not in tracks:
                faces.add(face)
                tracks.add(track)
                pairs.append((face, self._tracks[track]))
        return pairs

    def _behind(self, track: Track, boxes: np.ndarray, time_s: float) -> bool:
        """Whether a face is close enough to hide the one that was lost."""
        sides = np.maximum((boxes[:, 2:] - boxes[:, :2]).mean(1), track.side())
        away = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - track.centre(time_s), axis=1)
        return bool((away < self.NEAR * sides).any())

    def _costs(self, track: Track, boxes: np.ndarray, looks: list[np.ndarray], time_s: float) -> np.ndarray:
        """Cost of giving each face to this track [N]; above LIMIT it is out of the question."""
        gone = max(time_s - track.seen_s, 0.0)
        centres, side = (boxes[:, :2] + boxes[:, 2:]) / 2, track.side()
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1).mean(1)
        away = np.linalg.norm(centres - track.centre(time_s), axis=1) / np.sqrt(sides * side)
        grown = np.abs(np.log(sides / side))
        unlike = np.array([1 - float(track.looks @ other) for other in looks])
        cost = self.MOVED * away / (1 + 3 * gone) + 0.5 * grown + self.LOOKS * unlike
        out = (away > 1.2 + 6 * gone) | (grown > 0.8)
        if track.missed and gone > 0.5:
            # a person who was away comes back by looks alone, so those must agree
            out |= unlike > (self.HIDDEN if track.hidden else self.LEFT)
        return np.where(out, np.inf, cost)

    @staticmethod
    def _update(track: Track, box: np.ndarray, looks: np.ndarray, time_s: float) -> None:
        passed = time_s - track.seen_s
        if 0 < passed <= 0.5:
            moved = ((box[:2] + box[2:]) - (track.box[:2] + track.box[2:])) / 2 / passed
            share = 1 - 0.8 ** (25 * passed)  # a fifth of what is new with each frame of a 25th of a second
            track.velocity = (1 - share) * track.velocity + share * moved
        else:
            track.velocity = np.zeros(2)
        blend = 0.9 * track.looks + 0.1 * looks
        track.looks = blend / max(float(np.linalg.norm(blend)), 1e-6)
        track.box, track.seen_s, track.missed, track.hidden = box, time_s, 0, False

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` goes on."""
        tracks = [
            {
                "id": t.id,
                "box": np.asarray(t.box).tolist(),
                "velocity": np.asarray(t.velocity).tolist(),
                "looks": t.looks.tolist(),
                "seen_s": t.seen_s,
                "missed": t.missed,
                "hidden": t.hidden,
            }
            for t in self._tracks
        ]
        return {"next": self._next, "tracks": tracks, "watch": self.watch.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._next = int(state["next"])
        self.watch.restore(state["watch"])
        self._tracks = [
            Track(
                int(t["id"]),
                np.array(t["box"], np.float32),
                np.array(t["velocity"]),
                np.array(t["looks"], np.float32),
                float(t["seen_s"]),
                int(t["missed"]),
                bool(t["hidden"]),
            )
            for t in state["tracks"]
        ]
