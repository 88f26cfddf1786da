"""One pass over the rows: what the page shows of them, in memory that does not grow with the recording."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mien.report.bins import Bins, Series
from mien.report.rows import COVER
from mien.table import Row

POINTS = 600  # bins of a timeline
MOST_PEOPLE = 6
MOST_VIDEOS = 24
MOST_PICTURES = 48  # faces of pictures that are shown one by one

Box = tuple[float, float, float, float]
Key = tuple[str, int, str]  # source, frame, name of the person or number of the track


@dataclass(frozen=True)
class Scale:
    """A measure of quality in classes.

    Attributes:
        name: column of the table.
        title: what a reader calls it.
        edges: between the classes, rising.
        classes: their names, one more than edges.
        poor: the classes in which the scores are less reliable.
        why: the sentence that says so; empty where there is no such class.
    """

    name: str
    title: str
    edges: tuple[float, ...]
    classes: tuple[str, ...]
    poor: tuple[int, ...] = ()
    why: str = ""


SCALES = (
    Scale(
        "face_px", "Size of the face", (40, 64, 96, 160, 320),
        ("below 40 px", "40 to 64 px", "64 to 96 px", "96 to 160 px", "160 to 320 px", "320 px and more"), (0,),
        "are smaller than 40 pixels, where scores are less reliable",
    ),
    Scale(
        "yaw", "Turn of the head", (15, 30, 45, 60),
        ("below 15°", "15 to 30°", "30 to 45°", "45 to 60°", "60° and more"), (3, 4),
        "are turned by 45° or more, where scores are less reliable",
    ),
    Scale(
        "brightness", "Brightness", (0.15, 0.3, 0.5, 0.7, 0.85),
        ("below 0.15", "0.15 to 0.3", "0.3 to 0.5", "0.5 to 0.7", "0.7 to 0.85", "0.85 and more"), (0,),
        "are darker than 0.15",
    ),
    Scale(
        "detection", "Certainty of the detector", (0.6, 0.7, 0.8, 0.9),
        ("below 0.6", "0.6 to 0.7", "0.7 to 0.8", "0.8 to 0.9", "0.9 and more"),
    ),
)  # fmt: skip


@dataclass
class Counts:
    """How many faces fall in each class of a scale, and how many of them are unsure."""

    scale: Scale
    faces: list[int] = field(default_factory=list)
    unsure: list[int] = field(default_factory=list)
    missing: int = 0

    def __post_init__(self) -> None:
        self.faces = [0] * len(self.scale.classes)
        self.unsure = [0] * len(self.scale.classes)

    def add(self, row: Row, unsure: bool) -> None:
        value = row.get(self.scale.name)
        if value is None:
            self.missing += 1
            return
        # the sign of a turn says to which side
        place = bisect_right(self.scale.edges, abs(value))
        self.faces[place] += 1
        self.unsure[place] += unsure

    @property
    def total(self) -> int:
        return sum(self.faces)


@dataclass(frozen=True)
class Recording:
    """The curves of one video or camera.

    Attributes:
        people: those most seen.
        more: number of further tracks.
        gap_s: time between two points from which on the person was absent in between.
        width_s: of a point.
    """

    people: list[Series]
    more: int
    gap_s: float
    width_s: float


@dataclass(frozen=True)
class Still:
    """A face of a picture."""

    source: str
    face: int
    label: str
    score: float
    unsure: bool
    scores: tuple[float, ...]


@dataclass
class Gathered:
    """What the rows held.

    Attributes:
        faces: rows, of recordings and of pictures.
        unsure: of these.
        tops: rows of recordings, of pictures, in which each label is on top.
        sums: of the scores of each label, of recordings and of pictures.
        recordings: by source, the first ones.
        left: sources with curves beyond `MOST_VIDEOS`.
        stills: the first ones.
        seen: for how long a person (name, or number of the track), or anybody (empty), was seen, seconds.
        boxes: where the faces that a picture is wanted of are.
        near: every box on or shortly around a wanted frame, by source and frame.
    """

    labels: Sequence[str]
    faces: list[int] = field(default_factory=lambda: [0, 0])
    unsure: list[int] = field(default_factory=lambda: [0, 0])
    tops: list[dict[str, int]] = field(default_factory=lambda: [{}, {}])
    sums: list[list[float]] = field(default_factory=list)
    recordings: dict[str, Recording] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    stills: list[Still] = field(default_factory=list)
    quality: list[Counts] = field(default_factory=lambda: [Counts(scale) for scale in SCALES])
    seen: dict[tuple[str, str], float] = field(default_factory=dict)
    boxes: dict[Key, Box] = field(default_factory=dict)
    near: dict[tuple[str, int], list[Box]] = field(default_factory=dict)


class Clock:
    """Sums up for how long each person of a recording was seen.

    Args:
        step_s: time that a frame stands for.
    """

    def __init__(self, step_s: float) -> None:
        self._step = step_s
        self._last: dict[str, float] = {}
        self.seen: dict[str, float] = {}

    def add(self, name: str, time_s: float) -> None:
        """Somebody is seen; times rise. A frame stands for the time since the one before, unless some are missed."""
        since = time_s - self._last.get(name, -1e9)
        self.seen[name] = self.seen.get(name, 0.0) + (since if since <= 1.5 * self._step else self._step)
        self._last[name] = time_s


def gather(
    rows: Iterable[Row], labels: Sequence[str], wanted: Mapping[str, set[int]], steps: Mapping[str, float]
) -> Gathered:
    """Go through the rows once.

    Args:
        rows: of all sources, those of one source one after the other.
        labels: of the model.
        wanted: frames of each source whose boxes are kept, for pictures of them.
        steps: time that an analysed frame of each source stands for, seconds.
    """
    found = Gathered(labels, sums=[[0.0] * len(labels), [0.0] * len(labels)])
    columns = [f"p_{label}" for label in labels]
    source, bins, clock, frames = None, Bins(labels, POINTS), Clock(0.0), []
    for row in rows:
        if row["source"] != source:
            _close(found, source, bins, clock)
            source, bins = row["source"], Bins(labels, POINTS)
            clock = Clock(steps.get(row["source"], 0.0))
            frames = sorted(wanted.get(row["source"], ()))
        still = row["time_s"] is None
        unsure, label = bool(row["unsure"]), row["label"]
        found.faces[still] += 1
        found.unsure[still] += unsure
        found.tops[still][label] = found.tops[still].get(label, 0) + 1
        scores = [float(row.get(name) or 0.0) for name in columns]
        found.sums[still] = [a + b for a, b in zip(found.sums[still], scores, strict=True)]
        for counts in found.quality:
            counts.add(row, unsure)
        if still:
            _still(found, row, unsure, scores)
            continue
        clock.add("", row["time_s"])
        clock.add(_who(row), row["time_s"])
        if len(found.recordings) < MOST_VIDEOS:
            bins.add((row,))
        else:
            found.left.add(row["source"])
        if frames:
            _place(found, row, frames)
    _close(found, source, bins, clock)
    return found


def _who(row: Row) -> str:
    """Name of the person, or number of the track; -1 for faces that are not followed."""
    return row.get("person") or str(-1 if row.get("track") is None else row["track"])


def _close(found: Gathered, source: str | None, bins: Bins, clock: Clock) -> None:
    """Keep the curves of a source that has ended."""
    found.seen |= {(str(source), name): seconds for name, seconds in clock.seen.items()}
    people = bins.series(MOST_PEOPLE)
    if source is not None and people:
        found.recordings[source] = Recording(people, bins.people - len(people), bins.gap_s(), bins.width_s)


def _still(found: Gathered, row: Row, unsure: bool, scores: Sequence[float]) -> None:
    """Keep a face of a picture, and the places of all faces of a picture of which one is kept."""
    where = (row["source"], int(row["frame"]))
    if len(found.stills) < MOST_PICTURES:
        face = int(row.get("face") or 0)
        found.stills.append(Still(row["source"], face, row["label"], float(row["score"]), unsure, tuple(scores)))
        found.boxes[(*where, str(face))] = _box(row)
        found.near.setdefault(where, [])
    if where in found.near:
        found.near[where].append(_box(row))


def _place(found: Gathered, row: Row, frames: Sequence[int]) -> None:
    """Keep the box where it is on, or near, a wanted frame."""
    frame = int(row["frame"])
    first = bisect_left(frames, frame - COVER)
    for wanted in frames[first : bisect_right(frames, frame + COVER)]:
        found.near.setdefault((row["source"], wanted), []).append(_box(row))
        if wanted == frame:
            found.boxes[row["source"], frame, _who(row)] = _box(row)


def _box(row: Row) -> Box:
    return row["x1"], row["y1"], row["x2"], row["y2"]
