"""Detectors side by side: what they find in portraits and clips, and how long they take, in one run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mien.errors import InputError
from mien.faces import DETECTORS
from mien.faces.overlap import iou
from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import find_sources, frames
from mien.types import Faces, Frame

SAME = 0.4
"""Two boxes that share at least this of their union are of one face."""


@dataclass
class Found:
    """What one detector found.

    Attributes:
        pictures: looked at.
        empty: pictures in which it found nothing.
        faces: found in all.
        shared: how many of the reference's faces it found too.
        reference: faces that the reference found.
        alone: faces that the reference did not find.
        milliseconds: median of a picture.
    """

    pictures: int
    empty: int
    faces: int
    shared: int
    reference: int
    alone: int
    milliseconds: float


def pictures_of(name: str, every: int) -> Iterator[Frame]:
    """Every N-th frame of a clip, or the pictures of a folder.

    Raises:
        InputError: there is nothing to look at.
    """
    sources, problems = find_sources([name])
    if problems or not sources:
        raise InputError(f"{name}: {problems[0].reason if problems else 'no picture or video is in it'}")
    for source in sources:
        yield from frames(source, every=every if source.kind == "video" else 1)


def compare(pictures: Iterable[Frame], names: Sequence[str], threads: int = 1) -> dict[str, Found]:
    """What each detector finds in the same pictures, as `mien analyze` asks it; the first is the reference."""
    flows = {name: Flow(Options(detector=name, threads=threads)) for name in names}
    found: dict[str, list[Faces]] = {name: [] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for frame in pictures:
        for name, flow in flows.items():
            start = time.perf_counter()
            found[name].append(flow.detect(frame.image, still=frame.time_s is None))
            seconds[name].append(time.perf_counter() - start)
    return {name: _count(found[name], found[names[0]], seconds[name]) for name in names}


def _count(found: list[Faces], reference: list[Faces], seconds: list[float]) -> Found:
    shared = alone = 0
    for own, other in zip(found, reference, strict=True):
        overlap = iou(own.box, other.box) if len(own) and len(other) else np.zeros((len(own), len(other)))
        shared += int((overlap.max(0, initial=0) >= SAME).sum())
        alone += int((overlap.max(1, initial=0) < SAME).sum())
    return Found(
        len(found),
        sum(not len(faces) for faces in found),
        sum(map(len, found)),
        shared,
        sum(map(len, reference)),
        alone,
        round(1e3 * float(np.median(seconds)), 1) if seconds else 0.0,
    )


def known() -> list[str]:
    """Detectors that look for faces, by name."""
    return [name for name in DETECTORS.names() if name != "none"]
