"""CASIA Chinese emotional speech corpus: four actors say the same sentences in six emotions.

Paper: Tao, Kang, Li, "Prosody conversion from neutral speech to emotional speech", IEEE Trans. Audio, Speech, and
    Language Processing 14(4), 2006, for the recordings; distributed by the Institute of Automation, Beijing.
Layout: `liuchanhg/angry/201.wav`: speaker, emotion, sentence; at the top or below `CASIA database/`. The corpus counts
    9,600 clips; the part that is given away for free, read here, has 50 sentences x 6 emotions x 4 speakers = 1,200.
Labels: angry, fear, happy, neutral, sad, surprise.
Licence: research only; the whole corpus is sold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Sounds
from mien.datasets.recordings import find, write_sound
from mien.errors import DataError

LABELS = ("anger", "fear", "happiness", "neutral", "sadness", "surprise")
FOLDERS = {
    "angry": "anger",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
SPEAKERS = ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang")


@DATASETS.register(
    "casia-speech", samples=1200, subjects=4, modalities=("audio",), labels=LABELS, licence="research only"
)
def casia_speech(root: Path) -> Index:
    """CASIA's free part, `audio` float32 at 16 kHz; no official split: leave one speaker out.

    `extra["sentence"]` is the number of the sentence, said by every speaker in every emotion: a model of words learns
    nothing of emotion from it.

    Raises:
        DataError: no recording is found, or a folder is no known emotion.
    """
    paths = find(Path(root), ("*/*/[0-9]*.wav", "*/*/*/[0-9]*.wav"), "liuchanhg/angry/201.wav")
    names = [path.parent.name.lower() for path in paths]
    unknown = sorted(set(names) - set(FOLDERS))
    if unknown:
        raise DataError(f"{root}: unknown emotion folders {', '.join(unknown)}; expected {', '.join(FOLDERS)}")
    targets, majority = one_hot([FOLDERS[name] for name in names], LABELS)
    subject = np.array([path.parent.parent.name for path in paths])
    extra = {"sentence": np.array([path.stem for path in paths])}
    return Index(LABELS, targets, majority, np.full(len(paths), NO_SPLIT), subject, {"audio": Sounds(paths)}, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the same layout: two of the speakers, one sentence."""
    random = np.random.default_rng(seed)
    for speaker in SPEAKERS[:2]:
        for emotion in FOLDERS:
            write_sound(Path(root) / speaker / emotion / "201.wav", random)


FAKES["casia-speech"] = fake
