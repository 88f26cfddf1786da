"""CK+, the extended Cohn-Kanade set: 593 sequences of 123 people from neutral to the apex, 327 of 118 people labelled.

Paper: Lucey et al., "The extended Cohn-Kanade dataset (CK+)", CVPR Workshops 2010.
Layout: `cohn-kanade-images/S005/001/S005_001_00000011.png`, `Emotion/S005/001/S005_001_00000011_emotion.txt` (one
    number; the folder is empty where there is no label), and optionally `FACS/.../*_facs.txt` (an action unit and its
    intensity a line, 0 where it was not given) and `Landmarks/.../*_landmarks.txt` (68 lines of x and y, every frame).
Labels: 0 neutral 1 anger 2 contempt 3 disgust 4 fear 5 happiness 6 sadness 7 surprise; no sequence is labelled 0.
Licence: research agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.media import Box, FrameFiles, Pictures
from mien.datasets.trees import build, frames_in, locate, write_noise
from mien.errors import DataError
from mien.labels import FERPLUS8

CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
LABELS = tuple(sorted(set(CODES) - {"neutral"}))
UNITS = 64
"""Columns of `action_units`, for units 1 to 64."""
MARGIN = 0.2
"""Of the landmarks' height, added on all sides for the face box."""
LICENCE = "research agreement"


@dataclass(frozen=True)
class Recording:
    """One sequence: `name` is "" where it has no label."""

    subject: str
    number: str
    name: str
    frames: tuple[Path, ...]

    def beside(self, root: Path | None, suffix: str, frame: int = -1) -> Path | None:
        """The annotation of a frame in the parallel tree `root`, if it is there."""
        if root is None:
            return None
        path = root / self.subject / self.number / f"{self.frames[frame].stem}{suffix}"
        return path if path.is_file() else None


def _rows(path: Path, columns: int) -> list[list[float]]:
    rows = []
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if text.strip():
            try:
                rows.append([float(cell) for cell in text.split()])
            except ValueError:
                rows.append([])
            if len(rows[-1]) != columns:
                raise DataError(f"{path}, line {line}: expected {columns} number(s), found {text.strip()!r}")
    return rows


def _label(folder: Path) -> str:
    paths = sorted(path for path in folder.glob("*_emotion.txt") if path.name[0] != ".")
    if not paths:
        return ""
    rows = _rows(paths[0], 1)
    if len(rows) != 1 or rows[0][0] not in range(len(CODES)):
        raise DataError(f"{paths[0]}, line 1: expected one number from 0 to 7, found {[row[0] for row in rows]}")
    return CODES[int(rows[0][0])]


def _recordings(root: Path, unlabelled: bool = False) -> list[Recording]:
    images, emotions = locate(root, "cohn-kanade-images"), locate(root, "Emotion", "Emotion_labels")
    if images is None or emotions is None:
        raise DataError(
            f"{root} lacks {'Emotion' if images else 'cohn-kanade-images'}; expected both CK+ folders in it"
        )
    recordings = []
    for place in sorted(images.glob("S*/*")):
        subject, number = place.parent.name, place.name
        name = _label(emotions / subject / number)
        if place.is_dir() and (name or unlabelled):
            frames = frames_in(place)
            if not frames:
                raise DataError(f"{place} holds no pictures")
            recordings.append(Recording(subject, number, name, frames))
    if not recordings:
        raise DataError(f"{emotions} labels no sequence of {images}; expected S005/001/S005_001_00000011_emotion.txt")
    return recordings


def _units(recordings: Sequence[Recording], facs: Path | None) -> dict[str, np.ndarray]:
    present = np.full((len(recordings), UNITS), -1, np.int8)
    strength = np.zeros((len(recordings), UNITS), np.int8)
    for row, recording in enumerate(recordings):
        path = recording.beside(facs, "_facs.txt")
        if path is None:
            continue
        present[row] = 0
        for unit, value in _rows(path, 2):
            if not (1 <= unit <= UNITS and 0 <= value <= 5):
                raise DataError(f"{path}: action unit {unit:g} with intensity {value:g} is out of range")
            present[row, int(unit) - 1], strength[row, int(unit) - 1] = 1, int(value)
    return {"action_units": present, "action_unit_intensity": strength}


@DATASETS.register("ckplus", samples=327, subjects=118, modalities=("frames",), labels=LABELS, licence=LICENCE)
def ckplus(root: Path, contempt: bool = True, unlabelled: bool = False) -> Index:
    """CK+ as whole sequences from neutral to the apex, without an official split: fold by subject.

    `extra` has `sequence`, `apex` (the last frame) and, where FACS is there, `action_units` (int8 [N, 64] for units
    1 to 64: 1 active, 0 not, -1 not coded) and `action_unit_intensity` (0 to 5, 0 where it was not given), both of the
    last frame.

    Args:
        contempt: keep contempt (7 classes) or leave it out (6).
        unlabelled: also the 266 sequences without an expression, for their action units.

    Raises:
        DataError: a folder is missing, or an annotation is malformed; the message names the file and line.
    """
    root = Path(root)
    recordings = [r for r in _recordings(root, unlabelled) if contempt or r.name != "contempt"]
    labels = LABELS if contempt else tuple(name for name in LABELS if name != "contempt")
    extra = {
        "sequence": np.array([f"{r.subject}_{r.number}" for r in recordings]),
        "apex": np.array([len(r.frames) - 1 for r in recordings]),
    }
    facs = locate(root, "FACS", "FACS_labels")
    if facs is not None:
        extra.update(_units(recordings, facs))
    frames = FrameFiles([r.frames for r in recordings])
    return build(labels, [r.name for r in recordings], {"frames": frames}, [r.subject for r in recordings], extra=extra)


@DATASETS.register(
    "ckplus-6",
    samples=309,
    subjects=106,
    modalities=("frames",),
    labels=tuple(name for name in LABELS if name != "contempt"),
    licence=LICENCE,
)
def ckplus_six(root: Path) -> Index:
    """CK+ sequences without contempt: six classes."""
    return ckplus(root, contempt=False)


def _box(recording: Recording, landmarks: Path | None, frame: int) -> Box | None:
    path = recording.beside(landmarks, "_landmarks.txt", frame)
    if path is None:
        return None
    points = np.array(_rows(path, 2))
    if len(points) < 2:
        raise DataError(f"{path} has {len(points)} points; expected 68 lines of x and y")
    low, high = points.min(0), points.max(0)
    margin = MARGIN * (high[1] - low[1])
    x1, y1, x2, y2 = (float(v) for v in (*(low - margin), *(high + margin)))
    return max(0.0, x1), max(0.0, y1), x2, y2


@DATASETS.register("ckplus-stills", samples=981, subjects=118, modalities=("face",), labels=LABELS, licence=LICENCE)
def ckplus_stills(root: Path, neutral: bool = False) -> Index:
    """CK+ as stills: the last three frames of each labelled sequence, cut to the face where Landmarks is there.

    `extra` has `sequence` and `frame` (its place in the sequence).

    Args:
        neutral: also the first frame of each sequence, as neutral (8 classes).

    Raises:
        DataError: as for `ckplus`.
    """
    root = Path(root)
    landmarks = locate(root, "Landmarks")
    rows: list[tuple[Recording, int, str]] = []
    for recording in _recordings(root):
        frames = len(recording.frames)
        if neutral and frames > 3:
            rows.append((recording, 0, "neutral"))
        rows += [(recording, frame, recording.name) for frame in range(max(0, frames - 3), frames)]
    faces = Pictures(
        [recording.frames[frame] for recording, frame, _ in rows],
        boxes=[_box(recording, landmarks, frame) for recording, frame, _ in rows],
    )
    extra = {
        "sequence": [f"{recording.subject}_{recording.number}" for recording, _, _ in rows],
        "frame": [frame for _, frame, _ in rows],
    }
    names, subject = [name for _, _, name in rows], [recording.subject for recording, _, _ in rows]
    return build(FERPLUS8 if neutral else LABELS, names, {"face": faces}, subject, extra=extra)


@DATASETS.register(
    "ckplus-stills-8", samples=1308, subjects=118, modalities=("face",), labels=FERPLUS8, licence=LICENCE
)
def ckplus_stills_eight(root: Path) -> Index:
    """CK+ stills with the first frame of each sequence as neutral: eight classes."""
    return ckplus_stills(root, neutral=True)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree: two people, each expression and an unlabelled sequence, action units and landmarks."""
    random, root = np.random.default_rng(seed), Path(root)
    for subject in ("S005", "S010"):
        for code in range(8) if subject == "S005" else (1, 5):
            place, stem = Path(subject) / f"{code + 1:03d}", f"{subject}_{code + 1:03d}_{4:08d}"
            for frame in range(1, 5):
                name = f"{subject}_{code + 1:03d}_{frame:08d}"
                write_noise(root / "cohn-kanade-images" / place / f"{name}.png", random, (20, 24), grey=True)
                points = random.uniform(6, 16, (68, 2))
                lines = "".join(f"   {x:.7e}   {y:.7e}\n" for x, y in points)
                _write(root / "Landmarks" / place / f"{name}_landmarks.txt", lines)
            (root / "Emotion" / place).mkdir(parents=True, exist_ok=True)
            if code:
                _write(root / "Emotion" / place / f"{stem}_emotion.txt", f"   {code:.7e}\n")
            _write(root / "FACS" / place / f"{stem}_facs.txt", f"   4.0000000e+00   {code % 6:.7e}\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


FAKES["ckplus"] = FAKES["ckplus-6"] = FAKES["ckplus-stills"] = FAKES["ckplus-stills-8"] = fake
