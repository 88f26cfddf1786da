"""Who is who: a face of each track with its number, for the user to name them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.errors import InputError
from mien.faces.align import box_square, cut
from mien.pipeline.sources import Source, frames
from mien.report import chart
from mien.table import Row

SIDE, COLUMNS, MOST = 160, 6, 60
CELL_IN, TEXT_IN, TOP_IN, EDGE_IN = 1.3, 0.42, 0.62, 0.18
FINE_PX, FINE_DEGREES = 120, 60


@dataclass
class Best:
    """The clearest face of a track so far.

    Attributes:
        frame: where it is.
        box: x1, y1, x2, y2, pixels.
        worth: how clear it is.
        rows: frames with this track.
        first_s, last_s: seconds.
        person: the user's name, or None.
    """

    frame: int
    box: tuple[float, float, float, float]
    worth: float
    first_s: float
    person: str | None
    last_s: float = 0.0
    rows: int = 0


def clearness(row: Row) -> float:
    """How well a face can be recognised, from 0 to 1: large, certain, from the front, not dark."""
    size = min(1.0, (row["face_px"] or 0) / FINE_PX)
    front = max(0.0, 1 - abs(row["yaw"] or 0) / FINE_DEGREES)
    light = min(1.0, 4 * (row["brightness"] or 0))
    return float(size * (0.2 + 0.8 * front) * light * (row["detection"] or 0))


def best_faces(rows: Iterable[Row]) -> dict[int, Best]:
    """The clearest row of each track."""
    found: dict[int, Best] = {}
    for row in rows:
        track = row["track"]
        if track is None:
            continue
        worth = clearness(row)
        box = (row["x1"], row["y1"], row["x2"], row["y2"])
        best = found.setdefault(track, Best(row["frame"], box, worth, row["time_s"], row.get("person")))
        best.rows, best.last_s = best.rows + 1, row["time_s"]
        if worth > best.worth:
            best.frame, best.box, best.worth = row["frame"], box, worth
    return found


def track_sheet(source: Source, rows: Iterable[Row], out_path: str | Path, *, threads: int = 0) -> int:
    """Draw the clearest face of each track, most seen first, with number, name, time and number of frames.

    Args:
        source: the video, which is read again as far as it must be; a face that cannot be read again stays grey.
        rows: of this video.
        out_path: the PNG.
        threads: for decoding; 0 uses all cores.

    Returns:
        Number of tracks drawn; 60 at most.
    """
    found = best_faces(rows)
    order = sorted(found, key=lambda track: (-found[track].rows, track))[:MOST]
    faces = _crops(source, {track: found[track] for track in order}, threads)
    lines = max(1, -(-len(order) // COLUMNS))
    made = chart.figure(TOP_IN + lines * (CELL_IN + TEXT_IN) + 0.25)
    chart.write(made, EDGE_IN, 0.3, f"{Path(source.name).name}: who is who", 11, weight="bold")
    longest = max((best.last_s for best in found.values()), default=0.0)
    for place, track in enumerate(sorted(order)):
        left = EDGE_IN + (place % COLUMNS) * (CELL_IN + 0.16)
        top = TOP_IN + (place // COLUMNS) * (CELL_IN + TEXT_IN)
        area = chart.axes(made, left, top, CELL_IN, CELL_IN)
        area.set_xticks([])
        area.set_yticks([])
        area.imshow(faces.get(track, np.full((SIDE, SIDE, 3), 225, np.uint8)))
        best = found[track]
        number = chart.write(made, left, top + CELL_IN + 0.15, f"#{track}", 9, weight="bold")
        chart.write(made, number + 0.08, top + CELL_IN + 0.15, best.person or "", 9)
        chart.write(made, left, top + CELL_IN + 0.29, _when(best, longest), 6.5, chart.SOFT)
    more = len(found) - len(order)
    note = f"{more} more, seen less, not shown; " if more > 0 else "" if order else "no face was followed; "
    note += "name them in a CSV with the columns track,person and give it with --people"
    chart.write(made, EDGE_IN, made.get_figheight() - 0.12, note, 7, chart.SOFT)
    chart.save(made, out_path)
    return len(order)


def _when(best: Best, longest_s: float) -> str:
    first, last = (chart.clock(round(t, 1), longest_s) for t in (best.first_s, best.last_s))
    unit = " s" if longest_s < 120 else ""
    return f"{first} to {last}{unit}, {best.rows} frame{'' if best.rows == 1 else 's'}"


def _crops(source: Source, best: dict[int, Best], threads: int) -> dict[int, np.ndarray]:
    """The faces, uint8 [SIDE, SIDE, 3], with some room around them."""
    wanted: dict[int, list[int]] = {}
    for track, one in best.items():
        wanted.setdefault(one.frame, []).append(track)
    faces: dict[int, np.ndarray] = {}
    if not wanted:
        return faces
    with suppress(InputError):  # damage midway, which the analysis has told of
        for frame in frames(source, start=min(wanted), threads=threads):
            for track in wanted.pop(frame.index, ()):
                faces[track] = cut(frame.image, box_square(np.array(best[track].box), 1.5, 0.0), SIDE)
            if not wanted:
                break
    return faces
