"""Does the tracker keep people apart? A made scene of real portraits, with known truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.errors import DataError
from mien.faces.identity import Identity
from mien.pipeline.flow import Flow
from mien.pipeline.sources import Source, frames, read_picture
from mien.types import Faces, Frame

HEIGHT, WIDTH, RATE = 360, 640, 25
SIZE = 150


@dataclass
class Tracking:
    """Counts over one scene.

    Attributes:
        people: in the scene.
        frames: of the scene.
        seen: faces that were found and belong to a person.
        crossings: how often two people passed each other closer than half a face.
        switches: how often a person's track changed, or went on with another person's.
        tracks: ids given in all; as many as people is best.
    """

    people: int
    frames: int
    seen: int = 0
    crossings: int = 0
    switches: int = 0
    tracks: int = 0


def scene(portraits: list[np.ndarray], length: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures and the people's centres [P, 2]: portraits that swing to and fro; nearer people hide farther ones."""
    random = np.random.default_rng(seed)
    count = len(portraits)
    rate, phase = random.uniform(0.02, 0.045, count), random.uniform(0, 2 * np.pi, count)
    for t in range(length):
        image = np.full((HEIGHT, WIDTH, 3), 140, np.uint8)
        centres = np.zeros((count, 2))
        for person, portrait in enumerate(portraits):
            x = WIDTH / 2 + (WIDTH / 2 - 90) * np.sin(rate[person] * t + phase[person])
            y = HEIGHT / 2 + 25 * person - 20 + 8 * np.sin(0.1 * t + person)
            centres[person] = x, y
            left, top = int(x) - SIZE // 2, int(y) - SIZE // 2
            a, b = max(0, left), min(WIDTH, left + SIZE)
            c, d = max(0, top), min(HEIGHT, top + SIZE)
            image[c:d, a:b] = portrait[c - top : d - top, a - left : b - left]
        yield image, centres


def portraits_of(folder: Path, people: int, seed: int) -> list[np.ndarray]:
    """So many portraits of a folder, drawn by chance, uint8 RGB [SIZE, SIZE, 3].

    Raises:
        DataError: the folder has too few portraits.
    """
    paths = _names(folder, people, seed)
    return [cv2.resize(read_picture(path), (SIZE, SIZE), interpolation=cv2.INTER_AREA) for path in paths]


def _names(folder: Path, people: int, seed: int) -> list[Path]:
    paths = sorted(folder.glob("*_neutral.jpg"))
    if len(paths) < people:
        raise DataError(f"{folder} holds {len(paths)} portraits named *_neutral.jpg; {people} are needed")
    chosen = np.random.default_rng(seed).choice(len(paths), people, replace=False)
    return [paths[i] for i in chosen]


def _found(flow: Flow, image: np.ndarray, *, still: bool = False) -> Faces:
    return flow.landmarks(image, flow.detect(image, still=still), flow.boxes)


def returns(folder: Path, flow: Flow, away_s: float, *, same: bool, seed: int = 0) -> bool | None:
    """Whether somebody who appears `away_s` seconds after a person left gets that person's track.

    The one who appears is the same person or somebody else, where a swinging portrait would be by then.

    Returns:
        None where no face was found before or after.

    Raises:
        DataError: the folder has too few portraits.
    """
    first, second = portraits_of(folder, 2, seed)
    tracker = flow.tracker()
    gone, back = 2 * RATE, round((2 + away_s) * RATE)
    before: int | None = None
    swings = (scene([face], back + RATE // 2, seed) for face in (first, first if same else second))
    for index, ((image, _), (later, _)) in enumerate(zip(*swings, strict=True)):
        if gone < index < back:
            continue  # one empty picture is as good as many
        picture = image if index < gone else later if index >= back else np.full_like(image, 140)
        faces = tracker(picture, _found(flow, picture), index / RATE)
        if len(faces) and index < gone:
            before = int(faces.track[0])
        if len(faces) and index >= back:
            return None if before is None else int(faces.track[0]) == before
    return None


@dataclass
class Cutting:
    """Counts over clips that are cut from one person to another and back again.

    Attributes:
        clips: in which every shot showed a face.
        merged: the second person got the first one's track.
        back: the first person, seen again, got the old track.
        tracks: ids given in all; twice the clips is best.
    """

    clips: int = 0
    merged: int = 0
    back: int = 0
    tracks: int = 0

    def count(self, flow: Flow, shots: Sequence[Sequence[np.ndarray]], *, tight: bool) -> None:
        """Add one clip of three shots, of a person, another, and the first again; `tight`: little around the face."""
        tracker, seen = flow.tracker(), []
        times = itertools.count()
        for shot in shots:
            ids: set[int] = set()
            for image in shot:
                ids.update(tracker(image, _found(flow, image, still=tight), next(times) / RATE).track.tolist())
            seen.append(ids)
        if all(seen):
            self.clips += 1
            self.merged += bool(seen[0] & seen[1])
            self.back += bool(seen[0] & seen[2])
            self.tracks += len(set.union(*seen))


SHOT = 12
"""Frames of a shot."""


@dataclass
class Distances:
    """Distances between descriptors of faces, two pictures a person.

    Attributes:
        people: of whom both pictures show one face.
        same: distance of each person's two pictures [P].
        other: of all pictures of two people, flat.
    """

    people: int
    same: np.ndarray
    other: np.ndarray

    def row(self, limit: float) -> list[str]:
        """People, both distances, and the errors if whoever is farther apart than `limit` counts as two."""
        if not self.people:
            return ["0", "", "", "", ""]
        return [
            str(self.people),
            f"{np.median(self.same):.2f}, at most {self.same.max():.2f}",
            f"{np.median(self.other):.2f}, at least {self.other.min(initial=np.inf):.2f}",
            f"{(self.same > limit).sum()} of {self.people}",
            f"{(self.other <= limit).mean():.1%}" if len(self.other) else "",
        ]


def distances(flow: Flow, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Distances:
    """How far apart `identity` sees the same and other people."""
    identity, found = Identity(flow.options.threads), []
    for pair in pairs:
        crops = [crop for image in pair for crop in identity.crops(image, flow.find(image), flow.boxes)]
        sure = [crop for crop in crops if crop is not None]
        if len(crops) == len(sure) == 2:
            found.append(identity.describe(sure))
    points = np.stack(found) if found else np.zeros((0, 2, 0))
    apart = np.linalg.norm(points[:, :, None, None] - points[None, None], axis=-1).transpose(0, 2, 1, 3)
    upper = np.triu_indices(len(points), 1)
    return Distances(len(points), np.linalg.norm(points[:, 0] - points[:, 1], axis=-1), apart[upper].ravel())


def portrait_pairs(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each person at rest and smiling."""
    paths = [(path, path.with_name(path.name.replace("_neutral", "_happy"))) for path in folder.glob("*_neutral.jpg")]
    return [(read_picture(rest), read_picture(smile)) for rest, smile in sorted(paths) if smile.is_file()]


def clip_pairs(folder: Path, most: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    """The frames in the middle of each person's first and last clip, of so many people at most."""
    pairs = []
    for clips in list(_clips(folder).values())[:most]:
        first, last = (_shot(path, 0.5)[0] for path in (clips[0], clips[-1]))
        pairs.append((first, last))
    return pairs


def _clips(folder: Path) -> dict[str, list[Path]]:
    """Clips of each person who has two at least."""
    people: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*_*.mp4")):
        people.setdefault(path.name.partition("_")[0], []).append(path)
    return {name: people[name] for name in sorted(people) if len(people[name]) > 1}


def cut_portraits(folder: Path, flow: Flow, scenes: int, *, backdrops: bool) -> Cutting:
    """Cuts between two portraits at one place; the first person comes back with a smile.

    Args:
        backdrops: each shot has its own background; else only the person changes.

    Raises:
        DataError: the folder has too few portraits, or lacks the smiles (ID_happy.jpg).
    """
    result = Cutting()
    for seed in range(scenes):
        random = np.random.default_rng(seed)
        first, second = _names(folder, 2, seed)
        smile = first.with_name(first.name.replace("_neutral", "_happy"))
        if not smile.is_file():
            raise DataError(f"{smile} is missing; each ID_neutral.jpg needs an ID_happy.jpg beside it")
        rooms = [cv2.resize(random.integers(60, 200, (3, 5, 3), np.uint8), (WIDTH, HEIGHT)) for _ in range(2)]
        shots = []
        for path, room in ((first, rooms[0]), (second, rooms[backdrops]), (smile, rooms[0])):
            portrait = cv2.resize(read_picture(path), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
            shot = []
            for shake in random.integers(-2, 3, (SHOT, 2)):
                image = room.copy()
                top, left = HEIGHT // 2 - SIZE // 2 + shake[0], WIDTH // 2 - SIZE // 2 + shake[1]
                image[top : top + SIZE, left : left + SIZE] = portrait
                shot.append(image)
            shots.append(shot)
        result.count(flow, shots, tight=False)
    return result


def cut_clips(folder: Path, flow: Flow, scenes: int) -> Cutting:
    """Cuts between clips of two people, and to another clip of the first, later in it.

    Args:
        folder: of videos whose names begin with the person and an underscore, two a person at least.

    Raises:
        DataError: too few people have two clips.
    """
    people = _clips(folder)
    names = list(people)
    if len(names) < 2:
        raise DataError(f"{folder}: {len(names)} people have two clips named PERSON_*.mp4; two people are needed")
    random, result = np.random.default_rng(0), Cutting()
    for _ in range(scenes):
        first, second = random.choice(len(names), 2, replace=False)
        a, again = random.choice(len(people[names[first]]), 2, replace=False)
        paths = people[names[first]][a], random.choice(np.array(people[names[second]])), people[names[first]][again]
        result.count(flow, [_shot(path, later) for path, later in zip(paths, (0.0, 0.0, 0.5), strict=True)], tight=True)
    return result


def _shot(path: Path, begin: float) -> list[np.ndarray]:
    """Some frames from a share of a video on."""
    images = [frame.image for frame in frames(Source(str(path), "video"))]
    start = int(begin * len(images))
    return images[start : start + SHOT]


def measure(folder: Path, flow: Flow, people: int = 3, length: int = 300, seed: int = 0) -> Tracking:
    """Make a scene of portraits in a folder, detect and track, and count.

    Raises:
        DataError: the folder has too few portraits.
    """
    portraits = portraits_of(folder, people, seed)
    result, tracker = Tracking(people, length), flow.tracker()
    last: dict[int, int] = {}
    owner: dict[int, int] = {}
    near = np.zeros((people, people), bool)
    for index, (image, centres) in enumerate(scene(portraits, length, seed)):
        frame = Frame(image, index, index / RATE)
        faces = tracker(image, _found(flow, image), frame.time_s or 0.0)
        middle = (faces.box[:, :2] + faces.box[:, 2:]) / 2
        close = np.abs(centres[:, None, 0] - centres[None, :, 0]) < SIZE / 4
        result.crossings += int(np.triu(close & ~near, 1).sum()) if index else 0
        near = close
        for face in range(len(faces)):
            away = np.linalg.norm(centres - middle[face], axis=1)
            # the one in front hides the others, so it is the one that is seen
            person = int(np.flatnonzero(away < away.min() + 12).max())
            if away[person] > SIZE / 2:
                continue
            track = int(faces.track[face])
            result.seen += 1
            result.switches += last.get(person, track) != track or owner.get(track, person) != person
            last[person], owner[track] = track, person
    result.tracks = len(owner)
    return result
