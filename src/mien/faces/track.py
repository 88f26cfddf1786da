"""Who is who over time: a small tracker by place, motion and looks, and by the face itself where these leave doubt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from mien.faces.identity import Identity
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
        cut: the camera has changed since the person was last seen, so that places say nothing.
        crops: the face at first and lately, as `Identity.crops` gives them; at most two.
        cropped_s: when the last of them was taken.
        known: descriptors of `crops` [M, D], once somebody has asked for them.
    """

    id: int
    box: np.ndarray
    velocity: np.ndarray
    looks: np.ndarray
    seen_s: float
    missed: int = 0
    hidden: bool = False
    cut: bool = False
    crops: list[np.ndarray] = field(default_factory=list)
    cropped_s: float = -math.inf
    known: np.ndarray | None = None

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


class Cuts:
    """Whether a frame comes from another camera, or shows somebody else, than the one before."""

    SIZE = 32, 18
    CHANGE = 0.02  # lack of correlation with the frame before that nearly all frames of a quiet shot stay below
    GREAT = 0.07  # few movements in front of the camera change as much
    SUDDEN = 3.0  # a cut changes so many times as much as the frames before did
    SHARE = 0.2  # of the newest frame in what is usual
    GAP_S = 1.0  # frames farther apart than this may differ for other reasons
    FLAT = 2.0  # standard deviation below which a frame is empty: black, or faded out

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._time_s = 0.0
        self._usual = self.CHANGE

    def __call__(self, image: np.ndarray, time_s: float) -> int:
        """Look at the next frame, uint8 [H, W, 3]: 0 none, 1 perhaps a cut, 2 most likely one."""
        step = max(1, min(image.shape[:2]) // 90)
        small = cv2.resize(image[::step, ::step], self.SIZE, interpolation=cv2.INTER_AREA)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        if float(gray.std()) < self.FLAT:
            return 0
        last, passed = self._last, time_s - self._time_s
        self._last, self._time_s = gray, time_s
        if last is None or passed > self.GAP_S:
            return 0
        change = 1 - float(np.corrcoef(gray.ravel(), last.ravel())[0, 1])
        most = max(self.CHANGE, self.SUDDEN * self._usual)
        # what goes on becomes usual, so that a wild scene is no row of cuts
        self._usual += self.SHARE * (min(change, most) - self._usual)
        if change <= most:
            return 0
        return 2 if change > self.GREAT else 1

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` goes on; the last frame is not among them, however small it is."""
        return {"usual": self._usual}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._usual = float(state["usual"])


class Shown:
    """The faces of one frame; each is cut and described once at most, when somebody asks."""

    def __init__(self, image: np.ndarray, faces: Faces, identity: Identity | None, detector: str) -> None:
        self._image, self._faces, self._identity, self._detector = image, faces, identity, detector
        self._crops: dict[int, np.ndarray | None] = {}
        self._descriptors: dict[int, np.ndarray] = {}

    def crop(self, face: int) -> np.ndarray | None:
        """The face as `Identity` wants it; None where it is too small, or there is no identity."""
        if self._identity is None:
            return None
        if face not in self._crops:
            self._crops[face] = self._identity.crops(self._image, self._faces[[face]], self._detector)[0]
        return self._crops[face]

    def descriptor(self, face: int) -> np.ndarray | None:
        """Float32 [D]; None where there is no crop."""
        crop = self.crop(face)
        if crop is None or self._identity is None:
            return None
        if face not in self._descriptors:
            self._descriptors[face] = self._identity.describe([crop])[0]
        return self._descriptors[face]


class Tracker:
    """Gives each face a track id that stays with the person.

    A face continues the track whose predicted place, size and looks are nearest. Where these leave doubt, because two
    people are close, somebody comes back or the camera changes, the faces themselves are compared, if an `identity` is
    given and they are large enough. A person who was away for at most `memory_s` seconds gets the old id back, after
    that a new one. Without faces to compare, looks and a plausible place decide; who was lost beside another face was
    probably hidden by it; of who left, closer looks are asked, for somebody else may have come instead.

    Args:
        memory_s: how long an absent person is remembered, seconds.
        identity: describes faces.
        detector: that drew the boxes (`Flow.boxes`), where faces come without landmarks.

    Attributes:
        watch: what the detectors remember of the same source.
    """

    MOVED, LOOKS = 1.0, 2.5  # weight of distance (in face sides) and of difference in looks
    LIMIT = 1.6
    NEAR = 2.0  # face sides between the centres of a lost face and one that may hide it
    HIDDEN, LEFT = 0.25, 0.08  # most difference in looks of who comes back from behind somebody, or from elsewhere
    AWAY_S = 0.5  # seconds after which a place is no proof any more
    SAME = 0.55  # most distance between two descriptors of one person
    FACES, USUAL = 2.0, 0.4  # weight of that distance, and what it often is for one person
    CLOSE = 0.6  # two tracks whose costs for a face differ by less are both possible
    REFRESH_S = 1.0  # seconds between two looks at how a face is

    def __init__(self, memory_s: float = MEMORY_S, identity: Identity | None = None, detector: str = "") -> None:
        self.memory_s = memory_s
        self.watch = Watch()
        self._identity, self._detector = identity, detector
        self._cuts = Cuts()
        self._tracks: list[Track] = []
        self._next = 0

    def __call__(self, image: np.ndarray, faces: Faces, time_s: float) -> Faces:
        """The same faces with `track` set; frames must come in order of time."""
        self._tracks = [t for t in self._tracks if time_s - t.seen_s <= self.memory_s]
        if self._identity is not None and (sure := self._cuts(image, time_s)):
            for track in self._tracks:
                # without a face to compare, places are still the best there is; one that is just being hidden by
                # another is like nobody's
                if track.crops and (sure > 1 or not self._beside(track)):
                    track.cut, track.velocity = True, np.zeros(2)
        looks = [describe(image, box) for box in faces.box]
        shown = Shown(image, faces, self._identity, self._detector)
        ids = np.full(len(faces), -1, np.int64)
        for face, track in self._match(faces.box, looks, shown, time_s):
            self._update(track, faces.box[face], looks[face], time_s)
            ids[face] = track.id
            if time_s - track.cropped_s >= self.REFRESH_S:
                self._remember(track, shown.crop(face), time_s)
        for track in self._tracks:
            if track.id not in ids:
                if not track.missed:
                    track.hidden = self._behind(track, faces.box, time_s)
                track.missed += 1
        for face in np.flatnonzero(ids < 0).tolist():
            track = Track(self._next, faces.box[face], np.zeros(2), looks[face], time_s)
            self._remember(track, shown.crop(face), time_s)
            self._next += 1
            self._tracks.append(track)
            ids[face] = track.id
        return faces.with_(track=ids)

    def _match(
        self, boxes: np.ndarray, looks: list[np.ndarray], shown: Shown, time_s: float
    ) -> list[tuple[int, Track]]:
        """Pairs of face and track, cheapest first."""
        if not len(boxes) or not self._tracks:
            return []
        cost = np.stack([self._costs(track, boxes, looks, time_s) for track in self._tracks], 1)
        if self._identity is not None:
            self._compare(cost, boxes, shown, time_s)
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

    def _compare(self, cost: np.ndarray, boxes: np.ndarray, shown: Shown, time_s: float) -> None:
        """Compare faces wherever it is in doubt who they are, and change those costs [faces, tracks] in place."""
        settled = self._settled(cost, time_s)
        for column, track in enumerate(self._tracks):
            lost = self._lost(track, time_s)
            for face in range(len(boxes)):
                possible = cost[face, column] <= self.LIMIT and not settled[face, column]
                if not (possible or (lost and not settled[face].any())):
                    continue
                apart = self._apart(track, shown, face)
                if apart is None:
                    continue
                if lost and (track.cut or not track.hidden):
                    cost[face, column] = self.FACES * apart if apart <= self.SAME else np.inf
                else:  # of somebody who is half hidden, a descriptor is but one more hint
                    cost[face, column] += self.FACES * max(0.0, apart - self.USUAL) * 0.5

    def _lost(self, track: Track, time_s: float) -> bool:
        return track.cut or (track.missed > 0 and time_s - track.seen_s > self.AWAY_S)

    def _settled(self, cost: np.ndarray, time_s: float) -> np.ndarray:
        """bool [faces, tracks]: a person who was just there, and nobody else can be the face, nor the face another."""
        possible = np.where(cost <= self.LIMIT, cost, np.inf)
        settled = np.zeros(cost.shape, bool)
        for column, track in enumerate(self._tracks):
            face = int(possible[:, column].argmin())
            best = possible[face, column]
            if not np.isfinite(best) or self._lost(track, time_s):
                continue
            others = min(
                np.delete(possible[face], column).min(initial=np.inf),
                np.delete(possible[:, column], face).min(initial=np.inf),
            )
            settled[face, column] = others - best > self.CLOSE
        return settled

    def _apart(self, track: Track, shown: Shown, face: int) -> float | None:
        """Distance between a face and the nearest one known of a track; None where either is too small."""
        mine = shown.descriptor(face)
        if mine is None or not track.crops or self._identity is None:
            return None
        if track.known is None:
            track.known = self._identity.describe(track.crops)
        return float(np.linalg.norm(track.known - mine, axis=1).min())

    @staticmethod
    def _remember(track: Track, crop: np.ndarray | None, time_s: float) -> None:
        if crop is not None:
            track.crops = [*track.crops[:1], crop]
            track.cropped_s, track.known = time_s, None

    def _beside(self, track: Track) -> bool:
        """Whether somebody else is close enough to hide this person."""
        others = [t.box for t in self._tracks if t is not track]
        return bool(others) and self._behind(track, np.stack(others), track.seen_s)

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
        if self._lost(track, time_s):
            # a person who was away comes back by looks alone, so those must agree
            out |= unlike > (self.HIDDEN if track.hidden and not track.cut else self.LEFT)
        return np.where(out, np.inf, cost)

    def _update(self, track: Track, box: np.ndarray, looks: np.ndarray, time_s: float) -> None:
        passed = time_s - track.seen_s
        if 0 < passed <= self.AWAY_S and not track.cut:
            moved = ((box[:2] + box[2:]) - (track.box[:2] + track.box[2:])) / 2 / passed
            share = 1 - 0.8 ** (25 * passed)  # a fifth of what is new with each frame of a 25th of a second
            track.velocity = (1 - share) * track.velocity + share * moved
        else:
            track.velocity = np.zeros(2)
        blend = 0.9 * track.looks + 0.1 * looks
        track.looks = blend / max(float(np.linalg.norm(blend)), 1e-6)
        track.box, track.seen_s, track.missed, track.hidden, track.cut = box, time_s, 0, False, False

    def state(self) -> dict[str, Any]:
        """Plain values from which `restore` goes on; pictures and descriptors of faces are not among them."""
        tracks = [
            {
                "id": t.id,
                "box": np.asarray(t.box).tolist(),
                "velocity": np.asarray(t.velocity).tolist(),
                "looks": t.looks.tolist(),
                "seen_s": t.seen_s,
                "missed": t.missed,
                "hidden": t.hidden,
                "cut": t.cut,
            }
            for t in self._tracks
        ]
        return {"next": self._next, "tracks": tracks, "watch": self.watch.state(), "cuts": self._cuts.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._next = int(state["next"])
        self.watch.restore(state["watch"])
        self._cuts.restore(state["cuts"])
        self._tracks = [
            Track(
                int(t["id"]),
                np.array(t["box"], np.float32),
                np.array(t["velocity"]),
                np.array(t["looks"], np.float32),
                float(t["seen_s"]),
                int(t["missed"]),
                bool(t["hidden"]),
                bool(t["cut"]),
            )
            for t in state["tracks"]
        ]
