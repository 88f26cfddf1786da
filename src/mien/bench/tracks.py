"""Does the tracker keep people apart? A made scene of real portraits, with known truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mien.errors import DataError
from mien.faces.track import Tracker
from mien.pipeline.flow import Flow
from mien.pipeline.sources import read_picture
from mien.types import Frame

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


def scene(portraits: list[np.ndarray], frames: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures and the people's centres [P, 2]: portraits that swing to and fro; nearer people hide farther ones."""
    random = np.random.default_rng(seed)
    count = len(portraits)
    rate, phase = random.uniform(0.02, 0.045, count), random.uniform(0, 2 * np.pi, count)
    for t in range(frames):
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
    paths = sorted(folder.glob("*_neutral.jpg"))
    if len(paths) < people:
        raise DataError(f"{folder} holds {len(paths)} portraits named *_neutral.jpg; {people} are needed")
    chosen = np.random.default_rng(seed).choice(len(paths), people, replace=False)
    return [cv2.resize(read_picture(paths[i]), (SIZE, SIZE), interpolation=cv2.INTER_AREA) for i in chosen]


def returns(folder: Path, flow: Flow, away_s: float, *, same: bool, seed: int = 0) -> bool | None:
    """Whether somebody who appears `away_s` seconds after a person left gets that person's track.

    The one who appears is the same person or somebody else, where a swinging portrait would be by then.

    Returns:
        None where no face was found before or after.

    Raises:
        DataError: the folder has too few portraits.
    """
    first, second = portraits_of(folder, 2, seed)
    tracker = Tracker()
    gone, back = 2 * RATE, round((2 + away_s) * RATE)
    before: int | None = None
    swings = (scene([face], back + RATE // 2, seed) for face in (first, first if same else second))
    for index, ((image, _), (later, _)) in enumerate(zip(*swings, strict=True)):
        if gone < index < back:
            continue  # one empty picture is as good as many
        picture = image if index < gone else later if index >= back else np.full_like(image, 140)
        faces = tracker(picture, flow.detect(picture, still=False), index / RATE)
        if len(faces) and index < gone:
            before = int(faces.track[0])
        if len(faces) and index >= back:
            return None if before is None else int(faces.track[0]) == before
    return None


def measure(folder: Path, flow: Flow, people: int = 3, frames: int = 300, seed: int = 0) -> Tracking:
    """Make a scene of portraits in a folder, detect and track, and count.

    Raises:
        DataError: the folder has too few portraits.
    """
    portraits = portraits_of(folder, people, seed)
    result, tracker = Tracking(people, frames), Tracker()
    last: dict[int, int] = {}
    owner: dict[int, int] = {}
    near = np.zeros((people, people), bool)
    for index, (image, centres) in enumerate(scene(portraits, frames, seed)):
        frame = Frame(image, index, index / RATE)
        faces = tracker(image, flow.detect(image, still=False), frame.time_s or 0.0)
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
