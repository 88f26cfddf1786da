"""A long video in stretches: where it is cut, the frames of a stretch, and its people joined again at the seams.

Each stretch is read from some seconds before its beginning, as long as the tracker remembers somebody who is away, so
that at the seam both sides have seen the same people. Their boxes in those frames say who is who (intersection over
union). Only files whose packets are in good order are cut: a frame number is the place of its presentation time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import av
import numpy as np

from mien.engines.units import Chunk
from mien.errors import InputError
from mien.faces.overlap import iou
from mien.faces.track import MEMORY_S
from mien.media import MOST_PIXELS, check_size, open_media
from mien.pipeline.sources import Source, upright
from mien.table import Row
from mien.types import Frame

WARM_S = MEMORY_S
"""Seconds that are read before a stretch: as long as the tracker remembers somebody."""
SAME = 0.5
"""Boxes in the same frame that share this much of their union are of one face."""


def cut(path: str, seconds: float) -> list[Chunk]:
    """Stretches of about so many seconds; none where the file is too short for two, or not in good order.

    Reads every packet of the file and decodes none.

    Args:
        seconds: length of a stretch; the last one may be half as long again.
    """
    try:
        stamps, unit_s = _stamps(path)
    except (OSError, av.FFmpegError, IndexError, ValueError):
        return []
    if not stamps or not unit_s or len(set(stamps)) < len(stamps):
        return []
    length_s = (stamps[-1] - stamps[0]) * unit_s
    count = int(length_s / seconds + 0.5)
    if count < 2:
        return []

    def frame(at_s: float) -> int:
        return bisect_left(stamps, stamps[0] + round(at_s / unit_s))

    begins = [frame(i * seconds) for i in range(count)]
    ends = [*begins[1:], len(stamps)]
    warms = [frame(max(0.0, i * seconds - WARM_S)) for i in range(count)]
    places = zip(warms, begins, ends, strict=True)
    return [Chunk(i, count, w, b, e, stamps[w]) for i, (w, b, e) in enumerate(places)]


def _stamps(path: str) -> tuple[list[int], float]:
    """Presentation times of all frames, sorted, and their unit, seconds; none if one is unknown or the file damaged."""
    with open_media(path) as container:
        stream = container.streams.video[0]
        stamps, reached = [], 0.0
        for packet in container.demux():
            if packet.size == 0:
                continue
            if packet.pts is not None and packet.time_base:
                reached = max(reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream.index == stream.index and not packet.is_discard:
                if packet.pts is None or packet.is_corrupt:
                    return [], 0.0
                stamps.append(packet.pts)
        stated = (container.duration or 0) / av.time_base
        if stated and reached - (container.start_time or 0) / av.time_base < 0.95 * stated - 0.5:
            return [], 0.0  # it ends before its time: who reads it whole says so
        return sorted(stamps), float(stream.time_base or 0)


def chunk_frames(source: Source, chunk: Chunk, *, every: int = 1, threads: int = 0) -> Iterator[Frame]:
    """Frames of a stretch from `warm` on, as `mien.pipeline.sources.frames` gives them for the whole video.

    Raises:
        InputError: a part of it cannot be decoded (after the frames before it were given).
    """
    index = chunk.warm
    try:
        with open_media(source.name) as container:
            stream = container.streams.video[0]
            check_size(stream.width or 0, stream.height or 0, f"{source.name}: the video's frame")
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            stream.thread_type = "AUTO"
            if threads:
                stream.codec_context.thread_count = threads
            if chunk.warm:
                container.seek(chunk.warm_pts, stream=stream)
            for frame in container.decode(stream):
                if frame.pts is None or frame.pts < chunk.warm_pts:
                    continue
                if index == chunk.warm and frame.pts != chunk.warm_pts:
                    raise InputError(f"{source.name}: cannot be read from {frame.time:.1f} s on; leave --chunk-seconds")
                if index % every == 0:
                    image = upright(frame.to_ndarray(format="rgb24"), frame.rotation)
                    yield Frame(image, index, float(frame.time or 0.0), source.name)
                index += 1
                if index == chunk.end:
                    return
    except (OSError, av.FFmpegError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source.name}: damaged after frame {index - 1} ({text})") from error
    raise InputError(f"{source.name}: damaged: {chunk.end - index} frames before frame {chunk.end} cannot be decoded")


def join(chunks: Sequence[Chunk], rows_of: Callable[[Chunk], Iterable[Row]]) -> Iterator[Row]:
    """Rows of the whole video, with one numbering of tracks.

    A track of a stretch goes on with the number of the track before the seam that it shared most frames with; who was
    not there before gets the next number.

    Args:
        rows_of: the rows of a stretch from `warm` on, in order of frames.
    """
    tail: list[Row] = []
    free = 0
    for place, chunk in enumerate(chunks):
        keep_from = chunks[place + 1].warm if place + 1 < len(chunks) else chunk.end
        warm: list[Row] = []
        names: dict[int, int] | None = None
        before, tail = tail, []
        for frame, group in groupby(rows_of(chunk), key=itemgetter("frame")):
            rows = list(group)
            if frame < chunk.begin:
                warm += rows
                continue
            names = seam(before, warm) if names is None else names
            # in the order in which the tracker met them
            for track in sorted({row["track"] for row in rows} - names.keys() - {None}):
                names[track], free = free, free + 1
            rows = [{**row, "track": names.get(row["track"])} for row in rows]
            if frame >= keep_from:
                tail += rows
            yield from rows


def seam(before: Sequence[Row], after: Sequence[Row]) -> dict[int, int]:
    """Track after the seam -> track before it, by the frames that both sides have seen; each at most once."""
    votes: Counter[tuple[int, int]] = Counter()
    both = _by_frame(before).items(), _by_frame(after)
    for frame, old in both[0]:
        new = both[1].get(frame, [])
        if not new:
            continue
        shared = iou(_boxes(new), _boxes(old))
        for i, j in zip(*np.nonzero(shared >= SAME), strict=True):
            if shared[i, j] == shared[i].max() == shared[:, j].max():
                votes[new[i]["track"], old[j]["track"]] += 1
    names: dict[int, int] = {}
    for (track, known), _ in sorted(votes.items(), key=lambda item: (-item[1], item[0])):
        if track not in names and known not in names.values():
            names[track] = known
    return names


def _by_frame(rows: Iterable[Row]) -> dict[int, list[Row]]:
    frames: dict[int, list[Row]] = {}
    for row in rows:
        if row["track"] is not None:
            frames.setdefault(row["frame"], []).append(row)
    return frames


def _boxes(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.array([[row[name] for name in ("x1", "y1", "x2", "y2")] for row in rows], np.float64)
