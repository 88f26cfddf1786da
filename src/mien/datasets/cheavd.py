"""CHEAVD, the Chinese natural emotional audio-visual database, as handed out for the challenge MEC.

Paper: Li, Tao, Chao, Bao, Liu, "CHEAVD: a Chinese natural emotional audio-visual database", J. Ambient Intelligence and
    Humanized Computing 8, 2017; Li et al., "MEC 2016: the multimodal emotion recognition challenge of CCPR 2016".
Layout: `train/`, `val/` and `test/`, each with its films (.mp4 or .avi; sound from them or from .wav files beside them)
    and `train_label.txt`, `val_label.txt` or `test_label.txt`; a line holds a clip's name and its emotion. Folders and
    label files as in published code that reads them; the line's form from memory of the release notes, untried on the
    real tree.
Labels: angry, anxious, disgust, happy, neutral, sad, surprise, worried: the eight of 26 that the challenge keeps.
Licence: signed agreement, research only. Not to be confused with CASIA's acted speech corpus (`casia-speech`).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Clips, Media, Sounds
from mien.datasets.recordings import write_clip
from mien.errors import DataError

LABELS = ("anger", "anxiety", "disgust", "happiness", "neutral", "sadness", "surprise", "worry")
WORDS = {
    "angry": "anger",
    "anger": "anger",
    "anxious": "anxiety",
    "disgust": "disgust",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
    "worried": "worry",
}
FILMS, SOUNDS = (".mp4", ".avi"), (".wav",)


def _label_lines(table: Path) -> list[tuple[int, str, str]]:
    """(line, clip, label) of a label file: two words separated by white space, comma or semicolon."""
    rows = []
    for number, line in enumerate(table.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        cells = re.split(r"[\s,;]+", line.strip())
        if len(cells) != 2 or cells[1].lower() not in WORDS:
            raise DataError(f"{table}, line {number}: {line.strip()!r}; expected a clip and one of {', '.join(WORDS)}")
        rows.append((number, Path(cells[0]).stem, WORDS[cells[1].lower()]))
    return rows


def _split_rows(folder: Path, split: str) -> list[tuple[Path, Path, str]]:
    """(film, sound, label) of each clip of a split; a clip without a sound file of its own sounds from its film."""
    table = folder / f"{split}_label.txt"
    files = {kinds: {p.stem: p for p in folder.rglob("*") if p.suffix.lower() in kinds} for kinds in (FILMS, SOUNDS)}
    rows = []
    for number, clip, label in _label_lines(table):
        film = files[FILMS].get(clip)
        if film is None:
            raise DataError(f"{table}, line {number}: {folder} holds no film {clip}{' or '.join(FILMS)}")
        rows.append((film, files[SOUNDS].get(clip, film), label))
    return rows


@DATASETS.register(
    "cheavd",
    samples=2852,
    modalities=("frames", "audio"),
    labels=LABELS,
    licence="signed agreement, research only",
)
def cheavd(root: Path) -> Index:
    """CHEAVD (MEC 2016): `frames` and `audio` of each clip, official splits; who speaks is not told.

    Raises:
        DataError: no label file is found, a line is malformed or a clip missing.
    """
    root = Path(root)
    place = root / "data" if (root / "data").is_dir() else root
    parts = [split for split in SPLITS if (place / split / f"{split}_label.txt").is_file()]
    if not parts:
        raise DataError(f"{root} holds no train/train_label.txt, val/val_label.txt or test/test_label.txt")
    rows = [(split, *row) for split in parts for row in _split_rows(place / split, split)]
    if not rows:
        raise DataError(f"{place}: the label files of {', '.join(parts)} are empty")
    targets, majority = one_hot([row[3] for row in rows], LABELS)
    split = np.array([SPLITS.index(row[0]) for row in rows], np.int64)
    media: dict[str, Media] = {"frames": Clips([row[1] for row in rows]), "audio": Sounds([row[2] for row in rows])}
    return Index(LABELS, targets, majority, split, np.full(len(rows), ""), media)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the same layout."""
    random = np.random.default_rng(seed)
    words = ("angry", "anxious", "disgust", "happy", "neutral", "sad", "surprise", "worried")
    for split, count in (("train", 8), ("val", 4), ("test", 4)):
        folder = Path(root) / split
        lines = []
        for number in range(count):
            write_clip(folder / f"{split}_{number + 1:04d}.mp4", random, frames=3)
            lines.append(f"{split}_{number + 1:04d} {words[number]}")
        (folder / f"{split}_label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


FAKES["cheavd"] = fake
