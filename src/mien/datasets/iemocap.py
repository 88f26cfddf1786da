"""IEMOCAP: five pairs of actors in improvised and scripted scenes, with sound, words and markers on the face.

Paper: Busso et al., "IEMOCAP: interactive emotional dyadic motion capture database", Language Resources and Evaluation
    42, 2008.
Layout: `Session1/` ... `Session5/`, each with `dialog/EmoEvaluation/Ses01F_impro01.txt` (lines `[6.2901 - 8.2357]`,
    utterance, emotion, `[valence, activation, dominance]`), `dialog/transcriptions/Ses01F_impro01.txt`,
    `sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav` and `sentences/MOCAP_rotated/Ses01F_impro01/...txt` (two
    lines of names, then frame, time and 55 markers x 3). The films show both actors side by side and are not read.
    Untried on the real tree.
Labels: ang anger, dis disgust, exc excitement, fea fear, fru frustration, hap happiness, neu neutral, oth other,
    sad sadness, sur surprise; xxx (no agreement) has no class. The usual four classes join excitement to happiness.
Licence: signed agreement, research only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Arrays, Media, Sounds
from mien.datasets.recordings import write_sound
from mien.errors import DataError

CODES = {
    "ang": "anger",
    "dis": "disgust",
    "exc": "excitement",
    "fea": "fear",
    "fru": "frustration",
    "hap": "happiness",
    "neu": "neutral",
    "oth": "other",
    "sad": "sadness",
    "sur": "surprise",
}
LABELS = tuple(CODES.values())
FOUR = ("anger", "happiness", "neutral", "sadness")
JOINED = {"ang": "anger", "exc": "happiness", "hap": "happiness", "neu": "neutral", "sad": "sadness"}
MARKERS = 55
LICENCE = "signed agreement, research only"
_TURN = re.compile(r"\[([\d.]+) - ([\d.]+)\]\s+(\S+)\s+([a-z]{3})\s+\[([\d.]+), ([\d.]+), ([\d.]+)\]")
_NAME = re.compile(r"(Ses0([1-5])[FM]_\w+)_([FM])\w+")
_WORDS = re.compile(r"(\S+) \[[\d.\s]+-[\d.\s]+\]:\s*(.*)")


@dataclass(frozen=True)
class Turn:
    """One utterance: valence, activation and dominance run from 1 to 5."""

    name: str
    dialog: str
    session: int
    gender: str
    code: str
    dimensions: tuple[float, float, float]
    text: str

    def file(self, root: Path, kind: str, ending: str) -> Path:
        """Where its sound (`wav`) or its markers (`MOCAP_rotated`) lie."""
        return root / f"Session{self.session}" / "sentences" / kind / self.dialog / f"{self.name}{ending}"


class Markers:
    """One file of motion capture a sample: float32 [T, 55, 3], head motion removed; NaN where lost."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        path = self.paths[row]
        try:
            lines = path.read_text(encoding="latin1").splitlines()[2:]
            table = np.array([line.split()[2:] for line in lines if line.strip()], np.float32)
            return table.reshape(len(table), MARKERS, 3)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is missing or holds no {MARKERS} markers a line ({error})") from error

    def take(self, rows: np.ndarray) -> Markers:
        return Markers([self.paths[int(row)] for row in rows])

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.paths[row],)


def _transcript(path: Path) -> dict[str, str]:
    """Words by utterance; other lines (breaths, directions) are passed over."""
    if not path.is_file():
        raise DataError(f"{path} is missing; unpack dialog/transcriptions beside dialog/EmoEvaluation")
    found = (_WORDS.fullmatch(line.strip()) for line in path.read_text(encoding="latin1").splitlines())
    return {words.group(1): words.group(2) for words in found if words}


def _turns(root: Path) -> list[Turn]:
    files = sorted(root.glob("Session[1-5]/dialog/EmoEvaluation/Ses*.txt"))
    if not files:
        raise DataError(f"{root} holds no Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    turns = []
    for path in files:
        words = _transcript(path.parent.parent / "transcriptions" / path.name)
        for number, line in enumerate(path.read_text(encoding="latin1").splitlines(), 1):
            if not line.startswith("["):
                continue
            turn = _TURN.fullmatch(line.strip())
            name = _NAME.fullmatch(turn.group(3)) if turn else None
            if turn is None or name is None or turn.group(4) not in (*CODES, "xxx"):
                raise DataError(
                    f"{path}, line {number}: {line.strip()!r}; expected [start - end], utterance, emotion and "
                    "[valence, activation, dominance]"
                )
            valence, activation, dominance = (float(turn.group(i)) for i in (5, 6, 7))
            who = {"F": "female", "M": "male"}[name.group(3)]
            text = words.get(turn.group(3), "")
            dimensions = (valence, activation, dominance)
            turns.append(Turn(turn.group(3), name.group(1), int(name.group(2)), who, turn.group(4), dimensions, text))
    return turns


def _index(root: Path, classes: Mapping[str, str], labels: tuple[str, ...], keep_all: bool, markers: bool) -> Index:
    root = root / "IEMOCAP_full_release" if (root / "IEMOCAP_full_release").is_dir() else root
    turns = [turn for turn in _turns(root) if keep_all or turn.code in classes]
    if markers:
        turns = [turn for turn in turns if turn.file(root, "MOCAP_rotated", ".txt").is_file()]
    if not turns:
        raise DataError(f"{root} holds no utterance of {', '.join(labels)}" + (" with motion capture" * markers))
    targets, majority = one_hot([classes.get(turn.code, "") for turn in turns], labels)
    scales = ((np.array([turn.dimensions for turn in turns]) - 3) / 2).astype(np.float32)
    extra = {name: scales[:, i] for i, name in enumerate(("valence", "arousal", "dominance"))}
    extra["session"] = np.array([turn.session for turn in turns])
    extra["gender"] = np.array([turn.gender for turn in turns])
    extra["dialog"] = np.array([turn.dialog for turn in turns])
    extra["marked"] = np.array([turn.dialog[5] == turn.gender[0].upper() for turn in turns])
    extra["utterance"] = np.array([turn.name for turn in turns])
    media: dict[str, Media] = {
        "audio": Sounds([turn.file(root, "wav", ".wav") for turn in turns]),
        "text": Arrays([turn.text for turn in turns]),
    }
    if markers:
        media["points"] = Markers([turn.file(root, "MOCAP_rotated", ".txt") for turn in turns])
    subject = np.array([f"Ses0{turn.session}{turn.gender[0].upper()}" for turn in turns])
    return Index(labels, targets, majority, np.full(len(turns), NO_SPLIT), subject, media, extra)


@DATASETS.register("iemocap", samples=10039, subjects=10, modalities=("audio", "text"), labels=LABELS, licence=LICENCE)
def iemocap(root: Path) -> Index:
    """Every utterance: `audio` at 16 kHz and `text`, ten classes, or none where the raters do not agree.

    `extra` holds `valence`, `arousal` (activation) and `dominance` in [-1, 1], `session`, `gender`, `dialog`,
    `utterance` and `marked`. The usual protocol leaves one session out, so that neither actor of a pair is known.

    Raises:
        DataError: the folder has another layout or a line is malformed.
    """
    return _index(Path(root), CODES, LABELS, keep_all=True, markers=False)


@DATASETS.register("iemocap-4", samples=5531, subjects=10, modalities=("audio", "text"), labels=FOUR, licence=LICENCE)
def iemocap_four(root: Path) -> Index:
    """The usual four classes, excitement joined to happiness.

    Raises:
        DataError: the folder has another layout or a line is malformed.
    """
    return _index(Path(root), JOINED, FOUR, keep_all=False, markers=False)


@DATASETS.register(
    "iemocap-mocap", samples=5531, subjects=10, modalities=("audio", "text", "points"), labels=FOUR, licence=LICENCE
)
def iemocap_mocap(root: Path) -> Index:
    """The utterances of the four classes that have motion capture: `points` float32 [T, 55, 3], some 120 frames/s.

    One actor of a scene wears the markers; `extra["marked"]` says whether the speaker is that one.

    Raises:
        DataError: the folder has another layout, a line is malformed or no utterance has motion capture.
    """
    return _index(Path(root), JOINED, FOUR, keep_all=False, markers=True)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the same layout: two sessions of one scene, the woman's turns with motion capture."""
    random = np.random.default_rng(seed)
    codes = ("neu", "ang", "hap", "exc", "sad", "xxx", "fru", "neu")
    for session in (1, 2):
        dialog, base = f"Ses0{session}F_impro01", Path(root) / f"Session{session}"
        turns, words = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""], []
        for number, code in enumerate(codes):
            name = f"{dialog}_{'FM'[number % 3 == 2]}{number:03d}"
            start = 6.29 + 3 * number
            turns += [f"[{start:.4f} - {start + 2:.4f}]\t{name}\t{code}\t[2.5000, {1 + number / 2:.4f}, 3.0000]"]
            turns += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
            words.append(f"{name} [{start:08.4f}-{start + 2:08.4f}]: Excuse me, number {number}.")
            write_sound(base / "sentences" / "wav" / dialog / f"{name}.wav", random)
            if "_F" in name[-5:]:
                folder = base / "sentences" / "MOCAP_rotated" / dialog
                folder.mkdir(parents=True, exist_ok=True)
                rows = [f"{frame} {frame / 120:.5f} " + _row(random) for frame in range(4)]
                (folder / f"{name}.txt").write_text("\n".join(["Frame# Time CH1", "      X Y Z", *rows]) + "\n")
        for part, lines in (("EmoEvaluation", turns), ("transcriptions", words)):
            (base / "dialog" / part).mkdir(parents=True, exist_ok=True)
            (base / "dialog" / part / f"{dialog}.txt").write_text("\n".join(lines) + "\n", encoding="latin1")


def _row(random: np.random.Generator) -> str:
    return " ".join(f"{value:.3f}" for value in random.normal(0, 50, 3 * MARKERS))


FAKES["iemocap"] = FAKES["iemocap-4"] = FAKES["iemocap-mocap"] = fake
