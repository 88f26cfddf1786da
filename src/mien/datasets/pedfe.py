"""PEDFE: genuine and posed expressions of the six basic emotions on video.

Paper: Miolla, Cardaioli, Scarpazza, "Padova Emotional Dataset of Facial Expressions (PEDFE): a unique dataset of
    genuine and posed emotional facial expressions", Behavior Research Methods 55, 2023.
Layout: `PEDFE_set_clips/<subject>_<emotion><type>_<n>.avi` (or .mp4), emotion by the Italian initial (below), type g
    genuine or s posed; `Supplemental_Material_T1.csv` with the raters' scores; where there is one, `frames.csv` (clip,
    frames, fps, ...).
Labels: d disgust, f happiness (felicità), p fear (paura), r anger (rabbia), s surprise, t sadness (tristezza); no
    neutral. The paper counts 1,458 clips of 56 people; the released table and clips that were read hold 1,161 of 45.
Licence: on request, research only.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Clips
from mien.datasets.recordings import find, match, read_csv, write_clip
from mien.errors import DataError
from mien.labels import BASIC6

LETTERS = {"d": "disgust", "f": "happiness", "p": "fear", "r": "anger", "s": "surprise", "t": "sadness"}
NAME = re.compile(r"(\d+)_([dfprst])([gs])_(\d+)")
SCORES = {
    "hit_emotion": "Hit rate Emotion (%)",
    "hit_type": "Hit rate Typo (%)",
    "genuineness": "Mean_Genuineness",
    "genuineness_sd": "SD_Genuineness",
    "intensity": "Mean_Intensity",
    "intensity_sd": "SD_Intensity",
    "seconds": "Duration(s)",
}
FILES = ("PEDFE_set_clips/*_*_*.*", "*_*_*.avi", "*_*_*.mp4", "*/PEDFE_set_clips/*_*_*.*")


def _beside(clips: Path, name: str) -> Path | None:
    """A listing in the clips' folder or above it."""
    return next((folder / name for folder in (clips, clips.parent) if (folder / name).is_file()), None)


def _scores(path: Path | None, codes: list[str]) -> dict[str, np.ndarray]:
    """The raters' scores of each clip, NaN where there are none, and the person's gender."""
    place = {code: row for row, code in enumerate(codes)}
    scores = {name: np.full(len(codes), np.nan, np.float32) for name in SCORES}
    gender = np.full(len(codes), "", "<U1")
    for line, row in read_csv(path, ["PEDFE_code", "Gender", *SCORES.values()]) if path else ():
        at = place.get(row["PEDFE_code"].strip())
        if at is None:
            continue
        gender[at] = row["Gender"].strip()
        for name, column in SCORES.items():
            try:
                scores[name][at] = float(row[column])
            except ValueError:
                raise DataError(f"{path}, line {line}: {column} is {row[column]!r}, expected a number") from None
    return {**scores, "gender": gender}


def _frames(path: Path | None, codes: list[str]) -> np.ndarray:
    """Number of frames of each clip, 0 where unknown."""
    known = {}
    for line, row in read_csv(path, ["clip", "frames"]) if path else ():
        if not row["frames"].isdecimal():
            raise DataError(f"{path}, line {line}: frames is {row['frames']!r}, expected a number")
        known[row["clip"]] = int(row["frames"])
    return np.array([known.get(code, 0) for code in codes], np.int64)


@DATASETS.register(
    "pedfe", samples=1458, subjects=56, modalities=("frames",), labels=BASIC6, licence="on request, research only"
)
def pedfe(root: Path) -> Index:
    """PEDFE, without an official split: fold by subject.

    `extra` has `genuine` (bool), the raters' `hit_emotion` and `hit_type` (%), `genuineness` and `intensity` (means,
    and `..._sd`), `seconds`, `gender` and `frames` (0 where not listed).

    Raises:
        DataError: no clip is found, one has a strange name, or a listing is malformed.
    """
    paths = find(Path(root), FILES, "PEDFE_set_clips/<subject>_<emotion><type>_<n>.avi or .mp4")
    names = [match(path, NAME, "<subject>_<emotion><type>_<n>") for path in paths]
    targets, majority = one_hot([LETTERS[name[2]] for name in names], BASIC6)
    codes = [path.stem for path in paths]
    extra = {
        "genuine": np.array([name[3] == "g" for name in names]),
        **_scores(_beside(paths[0].parent, "Supplemental_Material_T1.csv"), codes),
        "frames": _frames(_beside(paths[0].parent, "frames.csv"), codes),
    }
    subject = np.array([f"{int(name[1]):02d}" for name in names])
    return Index(BASIC6, targets, majority, np.full(len(paths), NO_SPLIT), subject, {"frames": Clips(paths)}, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write two people's clips, genuine and posed, and their scores."""
    random = np.random.default_rng(seed)
    root = Path(root)
    rows, frames = [], []
    for subject in (2, 11):
        for letter in LETTERS:
            for kind in "gs":
                code = f"{subject}_{letter}{kind}_1"
                write_clip(root / "PEDFE_set_clips" / f"{code}.avi", random, sound=False)
                hits = [f"{value:.2f}" for value in random.uniform(0, 100, len(SCORES))]
                rows.append([subject, "F", code, "Posed" if kind == "s" else "Genuine", LETTERS[letter].title(), *hits])
                frames.append([code, 5, 25.0, 32, 24])
    with open(root / "Supplemental_Material_T1.csv", "w", newline="") as file:
        csv.writer(file).writerows([["Subject", "Gender", "PEDFE_code", "Type", "Emotion", *SCORES.values()], *rows])
    with open(root / "frames.csv", "w", newline="") as file:
        csv.writer(file).writerows([["clip", "frames", "fps", "width", "height"], *frames])


FAKES["pedfe"] = fake
