"""What one task does: some pictures, a video, the plan of a long video, or a stretch of one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from mien.pipeline.sources import Source

PICTURES_A_UNIT = 64
"""A picture takes some 20 ms: alone it would cost more in carrying and files than in analysing."""
FILES, PLAN, CHUNK = "files", "plan", "chunk"


@dataclass(frozen=True)
class Chunk:
    """A stretch of a video, in frames counted from 0 in order of presentation.

    Attributes:
        number, of: which one, of how many.
        warm: first frame that is looked at, so that the tracker knows who is there at `begin`.
        begin, end: first frame whose rows count, and the one after the last.
        warm_pts: presentation time of `warm` in units of the stream.
    """

    number: int
    of: int
    warm: int
    begin: int
    end: int
    warm_pts: int


@dataclass(frozen=True)
class Unit:
    """One task.

    Attributes:
        id: 16 hexadecimal digits, the same in every run; names the part of the results.
        kind: `files` (analyse them), `plan` (say where a video is to be cut) or `chunk` (analyse a stretch of one).
    """

    id: str
    sources: tuple[Source, ...]
    kind: str = FILES
    chunk: Chunk | None = None

    @property
    def name(self) -> str:
        """Unlike `id`, different for each kind and chunk of a source."""
        return f"{self.id}-{self.chunk.number:05d}" if self.chunk else f"{self.id}-{self.kind}"

    def to_json(self) -> str:
        """As text, for carriers that know tables only."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Unit:
        """What `to_json` gave."""
        facts = json.loads(text)
        chunk = Chunk(**facts["chunk"]) if facts["chunk"] else None
        return cls(facts["id"], tuple(Source(**source) for source in facts["sources"]), facts["kind"], chunk)


def unit_of(sources: Sequence[Source], kind: str = FILES, chunk: Chunk | None = None) -> Unit:
    """A unit with the id that belongs to these sources."""
    digest = hashlib.sha256("\0".join(source.name for source in sources).encode()).hexdigest()
    return Unit(digest[:16], tuple(sources), kind, chunk)


def units_of(sources: Iterable[Source]) -> list[Unit]:
    """Each video by itself, pictures by the dozen; the largest files first, so that none is left for the end."""
    pictures: list[Source] = []
    videos: list[tuple[int, Source]] = []
    for source in sources:
        if source.kind == "picture":
            pictures.append(source)
        else:
            videos.append((_size(source.name), source))
    videos.sort(key=lambda item: -item[0])
    groups = [pictures[i : i + PICTURES_A_UNIT] for i in range(0, len(pictures), PICTURES_A_UNIT)]
    return [unit_of([source]) for _, source in videos] + [unit_of(group) for group in groups]


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
