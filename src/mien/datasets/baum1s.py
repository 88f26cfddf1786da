"""BAUM-1s: spontaneous emotions and mental states, Turkish speakers, picture and sound.

Paper: Zhalehpour, Onder, Akhtar, Erdem, "BAUM-1: a spontaneous audio-visual face database of affective and mental
    states", IEEE Transactions on Affective Computing 8(3), 2017.
Layout: `BAUM1s_MP4 - All/s001/S001_001.mp4` (or `BAUM1s_MP4_all`), `Annotations_BAUM1s.xlsx` with a row a clip: ...,
    clip name, emotion, emotion code, ... Layout as in public readers of the release, untried on the real tree.
Labels: 1 anger 2 boredom 3 bothered 4 concentrating 5 contempt 6 disgust 7 fear 8 happiness 9 neutral 10 sadness
    11 surprise 12 thinking 13 unsure. A clip with the name of one and the code of another (the release has one) counts
    as unlabelled.
Licence: on request, research only (the UCI record names CC BY 4.0).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Clips, Media, Sounds
from mien.datasets.recordings import find, write_clip
from mien.datasets.workbooks import read_rows, write_xlsx
from mien.errors import DataError
from mien.labels import BASIC6, BAUM13

# the codes 1 to 13 are in alphabetical order, as are the labels; the table has other words for some
WRITTEN = {"bot": "bother", "con": "concentration or contempt", "uns": "uncertainty"}
CLIP = re.compile(r"s(\d{3})_(\d{3})", re.IGNORECASE)
FILES = ("Annotations_BAUM1s.xlsx", "*/Annotations_BAUM1s.xlsx", "Annotations*1s*.xlsx")
LICENCE = "on request, research only"


def _agree(written: str, label: str) -> bool:
    """Whether an emotion as written in the table may mean this label; an unknown word says nothing."""
    start = written.strip().lower()[:3]
    known = WRITTEN.get(start) or next((name for name in BAUM13 if name.startswith(start)), "")
    return not start or not known or label in known.split(" or ")


def _table(path: Path) -> dict[str, tuple[str, str]]:
    """Clip name in upper case -> (label, "" where name and code disagree; gender, "" where not said)."""
    table = {}
    for line, row in read_rows(path):
        at = next((i for i, cell in enumerate(row) if CLIP.fullmatch(cell.strip())), None)
        if at is None:
            continue  # the header, or an empty row
        written, code = [*row, "", ""][at + 1 : at + 3]
        code = code.removesuffix(".0")
        if not code.isdecimal() or not 1 <= int(code) <= len(BAUM13):
            raise DataError(f"{path}, line {line}: emotion code {code!r} after {row[at]}, expected 1 to {len(BAUM13)}")
        label = BAUM13[int(code) - 1]
        gender = next((cell.strip()[0].upper() for cell in row if cell.lower() in ("m", "f", "male", "female")), "")
        table[row[at].strip().upper()] = (label if _agree(written, label) else "", gender)
    if not table:
        raise DataError(f"{path} has no row with a clip such as S001_001")
    return table


@DATASETS.register("baum1s", samples=1222, subjects=31, modalities=("frames", "audio"), labels=BAUM13, licence=LICENCE)
def baum1s(root: Path, labels: tuple[str, ...] = BAUM13) -> Index:
    """BAUM-1s with all thirteen states, without an official split: fold by subject. `extra` has `clip` and `gender`.

    Clips that the table does not name are unlabelled.

    Args:
        labels: keep the clips of these states.

    Raises:
        DataError: the table or the clips are missing, or a row is malformed.
    """
    sheet = find(Path(root), FILES, "Annotations_BAUM1s.xlsx")[0]
    table = _table(sheet)
    patterns = ("BAUM1s*/[sS]*/*.mp4", "[sS][0-9]*/*.mp4", "BAUM1s*/*.mp4", "*/[sS][0-9]*/*.mp4")
    paths = find(sheet.parent, patterns, "BAUM1s_MP4 - All/s001/S001_001.mp4")
    paths = [path for path in paths if CLIP.fullmatch(path.stem)]
    rows = [(path, *table.get(path.stem.upper(), ("", ""))) for path in paths]
    if labels != BAUM13:
        rows = [row for row in rows if row[1] in labels]
    if not rows:
        raise DataError(f"{sheet} names none of the clips beside it")
    targets, majority = one_hot([label for _, label, _ in rows], labels)
    clips = [path for path, _, _ in rows]
    subject = np.array([path.stem[:4].lower() for path in clips])
    extra = {
        "clip": np.array([path.stem.upper() for path in clips]),
        "gender": np.array([gender for _, _, gender in rows]),
    }
    media: dict[str, Media] = {"frames": Clips(clips), "audio": Sounds(clips)}
    return Index(labels, targets, majority, np.full(len(rows), NO_SPLIT), subject, media, extra)


@DATASETS.register("baum1s-6", samples=521, subjects=31, modalities=("frames", "audio"), labels=BASIC6, licence=LICENCE)
def baum1s_six(root: Path) -> Index:
    """The six basic emotions alone, as most papers do; see `baum1s`."""
    return baum1s(root, BASIC6)


def fake(root: Path, seed: int = 0) -> None:
    """Write two people's clips of every state and their table."""
    random = np.random.default_rng(seed)
    words = [name.title() for name in BAUM13]
    words[2:4], words[12] = ["Bothered", "Concentrating"], "Unsure"
    rows: list[list[str | int]] = [["#", "Subject", "Take", "Clip Name", "Emotion", "Emotion Code", "Gender"]]
    for subject in (1, 2):
        for code, word in enumerate(words, 1):
            clip = f"S{subject:03d}_{code:03d}"
            rows.append([len(rows), subject, code, clip, word, code, "FM"[subject - 1]])
            write_clip(Path(root) / "BAUM1s_MP4 - All" / f"s{subject:03d}" / f"{clip}.mp4", random, frames=3)
    write_xlsx(Path(root) / "Annotations_BAUM1s.xlsx", rows)


FAKES["baum1s"] = FAKES["baum1s-6"] = fake
