"""From clips to stills: the first frame with a face, the apex, and how the angles between key points changed.

`mien data apex` writes, for clips of any data set:
    `apex.csv`: clip, subject, label, first_frame and apex_frame (counted from 0), frames of the clip, fps, mean_change
        (mean |D| at the apex, degrees), path, and what else the data set says of each clip;
    `faces/`, `first/`: the face at the apex and in the first frame, RGB PNG, 112x112, upright, cut as weights want it;
    `angles.npz`: clip -> float16 [68, 68], the change of angles from first to apex in units of pi;
    `points.npz`: clip -> float32 [2, 68, 2], the points of both frames, steadied, in pixels of the clip;
    `apex.json`: the data set and the options.

The folder can be read by the reader `folder` as well.
"""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.datasets import Index
from mien.datasets.arrays import read_npz
from mien.datasets.made import RowFile, claim, read_rows
from mien.datasets.media import Media
from mien.errors import DataError
from mien.faces.align import cut, squares
from mien.faces.angles import angle_changes, apex, steady
from mien.spec import Geometry
from mien.types import Faces

SIDE = 112
SAVED_EVERY = 50  # clips; the maps are rewritten whole each time
COLUMNS = ("clip", "subject", "label", "first_frame", "apex_frame", "frames", "fps", "mean_change", "path")


@dataclass(frozen=True)
class Finder:
    """How faces are found and cut.

    Attributes:
        find: faces of a picture uint8 [H, W, 3], with their 68 points.
        geometry: how the weights want faces cut.
        detector: name of the detector.
    """

    find: Callable[[np.ndarray], Faces]
    geometry: Geometry
    detector: str


@dataclass(frozen=True)
class Apex:
    """What one clip showed.

    Attributes:
        frames: first and apex, counted from 0 in the clip.
        length: frames in the clip.
        faces: uint8 [2, 112, 112, 3], first and apex.
        points: float32 [2, 68, 2], first and apex, pixels of the clip.
        angles: float32 [68, 68], units of pi.
    """

    frames: tuple[int, int]
    length: int
    faces: np.ndarray
    points: np.ndarray
    angles: np.ndarray


def clip_names(media: Media) -> list[str]:
    """A name for each clip, fit for a file: its file's (or frames' folder's), after its row where others share it.

    Raises:
        DataError: the clips are not read from files.
    """
    files = [media.files(row) for row in range(len(media))]
    if not all(files):
        raise DataError("these frames are held in memory, not in files; they have no names to write apex frames under")
    names = [paths[0].stem if len(paths) == 1 else paths[0].parent.name for paths in files]
    often = Counter(names)
    return [name if often[name] == 1 else f"{row:05d}-{name}" for row, name in enumerate(names)]


def follow(frames: Sequence[np.ndarray] | np.ndarray, find: Callable[[np.ndarray], Faces]) -> tuple[list[int], Faces]:
    """The largest face of the first frame that shows any, through all frames.

    In later frames it is the nearest face; one further away than its own longer side is somebody else.

    Returns:
        Frames in which it was found [F], and the face in each, as F rows.
    """
    places: list[int] = []
    found: list[Faces] = []
    for number, frame in enumerate(frames):
        faces = find(frame if frame.ndim == 3 else np.repeat(frame[:, :, None], 3, 2))
        if not len(faces):
            continue
        size = faces.box[:, 2:] - faces.box[:, :2]
        if not found:
            nearest = int(size.prod(1).argmax())
        else:
            middle = faces.box[:, :2] + size / 2
            far = np.linalg.norm(middle - found[-1].box[0].reshape(2, 2).mean(0), axis=1)
            nearest = int(far.argmin())
            if far[nearest] > size[nearest].max():
                continue
        places.append(number)
        found.append(faces[[nearest]])
    if not found:
        return [], Faces.none()
    box, detection = np.concatenate([one.box for one in found]), np.concatenate([one.detection for one in found])
    return places, Faces(box, detection, np.concatenate([one.landmarks for one in found]))


def find_apex(frames: np.ndarray, finder: Finder, every: int = 1) -> Apex:
    """The frame in which the angles between the 68 points differ most from those of the first frame with a face.

    The points are first made steady by a running median over three of the frames looked at.

    Args:
        frames: uint8 [T, H, W] or RGB [T, H, W, 3].
        every: look at frames 0, every, 2 every, ...

    Raises:
        DataError: fewer than two frames show a face.
    """
    places, faces = follow(frames[::every], finder.find)
    if len(places) < 2:
        seen = len(frames[::every])
        raise DataError(f"a face in {len(places)} of {seen} frames, two are needed; another --detector may find more")
    points = steady(faces.landmarks)
    changes = angle_changes(points)
    chosen = [0, apex(changes)]
    both = faces[chosen].with_(landmarks=points[chosen].astype(np.float32))
    numbers = [every * places[row] for row in chosen]
    pictures = [frames[n] if frames.ndim == 4 else np.repeat(frames[n][:, :, None], 3, 2) for n in numbers]
    where = squares(both, finder.geometry, finder.detector)
    cuts = np.stack([cut(picture, square, SIDE) for picture, square in zip(pictures, where, strict=True)])
    angles = np.asarray(changes[chosen[1]] / np.float32(np.pi))
    return Apex((numbers[0], numbers[1]), len(frames), cuts, both.landmarks, angles)


def read_maps(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, by name.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return read_npz(path)
    except DataError as error:
        raise DataError(f"{path} is missing or damaged ({error}); delete it and run `mien data apex` again") from error


def _write_maps(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    scratch = path.with_name(path.name + ".part")
    # not np.savez, whose own arguments are names that a clip may have
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    os.replace(scratch, path)


class ApexFolder:
    """A folder of apex frames that is written clip by clip; opened again, it keeps what is whole.

    Args:
        folder: made if absent.
        options: what the frames are made by; a folder made by other options is refused.
        more: columns after `COLUMNS`.

    Attributes:
        done: names of the clips that are here.

    Raises:
        DataError: the folder was made by other options, or cannot be written to.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any], more: Sequence[str] = ()) -> None:
        self.folder, self.columns = folder, (*COLUMNS, *more)
        self._angles: dict[str, np.ndarray] = {}
        self._points: dict[str, np.ndarray] = {}
        try:
            for part in ("faces", "first"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            claim(folder / "apex.json", options)
            rows = self._whole_rows()
            self._table = RowFile(folder / "apex.csv", self.columns, rows)
        except OSError as error:
            raise DataError(f"{folder} cannot be written to ({error.strerror}); name another --out") from error
        self.done = {row[0] for row in rows}
        self._unsaved = 0

    def __enter__(self) -> ApexFolder:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.save()
        finally:
            self._table.close()

    def _whole_rows(self) -> list[list[str]]:
        """Rows of an earlier run whose pictures and maps are here too: it may have been stopped at any time."""
        files = self.folder / "angles.npz", self.folder / "points.npz"
        table = self.folder / "apex.csv"
        if not table.is_file() or not all(path.is_file() for path in files):
            return []
        self._angles, self._points = (read_maps(path) for path in files)
        kept = set(self._angles) & set(self._points)

        def whole(clip: str) -> bool:
            return clip in kept and all((self.folder / part / f"{clip}.png").is_file() for part in ("faces", "first"))

        return read_rows(table, self.columns, whole)

    def add(self, clip: str, found: Apex, cells: Mapping[str, Any]) -> None:
        """Write one clip; `cells` holds subject, label, fps and the further columns."""
        for part, face in zip(("first", "faces"), found.faces, strict=True):
            if not cv2.imwrite(str(self.folder / part / f"{clip}.png"), face[:, :, ::-1]):
                raise DataError(f"{self.folder / part}: {clip}.png cannot be written")
        self._angles[clip] = found.angles.astype(np.float16)
        self._points[clip] = found.points.astype(np.float32)
        own = {
            "clip": clip,
            "first_frame": found.frames[0],
            "apex_frame": found.frames[1],
            "frames": found.length,
            "mean_change": round(float(np.abs(found.angles).mean()) * 180, 3),
            "path": f"faces/{clip}.png",
        }
        self._table.add({**cells, **own})
        self.done.add(clip)
        self._unsaved += 1
        if self._unsaved >= SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Write the maps and points of all clips so far."""
        _write_maps(self.folder / "angles.npz", self._angles)
        _write_maps(self.folder / "points.npz", self._points)
        self._unsaved = 0


def frame_rate(media: Media, row: int) -> float:
    """Frames per second that the clip's file states, or 0 where it states none or holds pictures."""
    import av

    files = media.files(row)
    if len(files) != 1:
        return 0.0
    try:
        with av.open(str(files[0])) as container:
            return round(float(container.streams.video[0].average_rate or 0), 3)
    except (av.FFmpegError, IndexError, OSError):
        return 0.0


def _text(value: Any) -> str:
    return "" if value != value else str(value)  # NaN: not known


@dataclass(frozen=True)
class Step:
    """What became of one clip.

    Attributes:
        clip: its name.
        kept: it was here from an earlier run.
        trouble: why it was skipped, in one sentence, or empty.
    """

    clip: str
    kept: bool = False
    trouble: str = ""


def write_apexes(
    dataset: str, index: Index, out: Path, finder: Finder, every: int = 2, limit: int = 0
) -> Iterator[Step]:
    """Write the apex of every clip that is not in the folder yet; clips without one are named and skipped.

    Args:
        dataset: name of the data set, for the note of how the folder was made.
        every: look at every N-th frame.
        limit: only the first so many clips; 0 takes all.

    Raises:
        DataError: the data set has no frames, or the folder was made by other options.
    """
    media = frames_of(index)
    names = clip_names(media)
    more = extra_columns(index)
    options = {"dataset": dataset, "every": every, "detector": finder.detector}
    with ApexFolder(Path(out), options, more) as folder:
        for row, name in enumerate(names[: limit or None]):
            if name in folder.done:
                yield Step(name, kept=True)
                continue
            try:
                found = find_apex(np.asarray(media[row]), finder, every)
            except DataError as error:
                yield Step(name, trouble=str(error))
                continue
            label = index.labels[index.majority[row]] if index.majority[row] >= 0 else ""
            cells = {column: _text(index.extra[column][row]) for column in more}
            cells |= {"subject": str(index.subject[row]), "label": label}
            folder.add(name, found, {**cells, "fps": frame_rate(media, row)})
            yield Step(name)


def frames_of(index: Index) -> Media:
    """The clips of an index.

    Raises:
        DataError: it has none.
    """
    if "frames" not in index.media:
        raise DataError(f"this data set has no frames but {', '.join(index.media)}; an apex is looked for in clips")
    return index.media["frames"]


def extra_columns(index: Index) -> list[str]:
    """Names of what else an index says of each clip, one value each."""
    return [name for name, array in index.extra.items() if array.ndim == 1 and name not in COLUMNS]
