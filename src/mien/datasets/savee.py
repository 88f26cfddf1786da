"""SAVEE: seven acted emotions, four British men, picture and sound.

Paper: Haq, Jackson, "Speaker-dependent audio-visual emotion recognition", AVSP 2009.
Layout: `AudioVisualClip/<person>/a1.avi` and `AudioData/<person>/a01.wav`, person one of DC, JE, JK, KL; for the sound
    also the widespread `ALL/<person>_a01.wav`. Layout from the authors' site and public readers, untried on the real
    tree.
Labels: a anger, d disgust, f fear, h happiness, n neutral, sa sadness, su surprise: 15 sentences each, neutral 30.
Licence: on registration, research only.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Clips, Media, Sounds
from mien.datasets.recordings import find, match, write_clip, write_sound
from mien.errors import DataError
from mien.labels import BASIC7

CODES = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
PEOPLE = ("DC", "JE", "JK", "KL")
NAME = re.compile(r"(?:([A-Z]{2})_)?(sa|su|[adfhn])(\d+)")
LICENCE = "on registration, research only"


def _index(paths: list[Path], media: dict[str, Media]) -> Index:
    names = [match(path, NAME, "a1, d1, f1, h1, n1, sa1 or su1") for path in paths]
    people = [name[1] or path.parent.name for name, path in zip(names, paths, strict=True)]
    strange = sorted(set(people) - set(PEOPLE))
    if strange:
        raise DataError(f"{paths[0].parent.parent}: unknown person {', '.join(strange)}; expected {', '.join(PEOPLE)}")
    targets, majority = one_hot([CODES[name[2]] for name in names], BASIC7)
    extra = {"sentence": np.array([int(name[3]) for name in names], np.int64)}
    return Index(BASIC7, targets, majority, np.full(len(paths), NO_SPLIT), np.array(people), media, extra)


@DATASETS.register("savee", samples=480, subjects=4, modalities=("frames", "audio"), labels=BASIC7, licence=LICENCE)
def savee(root: Path) -> Index:
    """The clips with picture and sound, without an official split: fold by subject.

    `extra["sentence"]` numbers the sentence within person and emotion.

    Raises:
        DataError: no clip is found, or one has a strange name.
    """
    patterns = ("AudioVisualClip/*/*.avi", "*/AudioVisualClip/*/*.avi", "[DJK][CEKL]/*.avi")
    paths = find(Path(root), patterns, "AudioVisualClip/<person>/a1.avi")
    return _index(paths, {"frames": Clips(paths), "audio": Sounds(paths)})


@DATASETS.register("savee-speech", samples=480, subjects=4, modalities=("audio",), labels=BASIC7, licence=LICENCE)
def savee_speech(root: Path) -> Index:
    """The spoken sound alone; see `savee`."""
    patterns = ("AudioData/*/*.wav", "*/AudioData/*/*.wav", "ALL/*.wav", "[DJK][CEKL]/*.wav", "[DJK][CEKL]_*.wav")
    paths = find(Path(root), patterns, "AudioData/<person>/a01.wav")
    return _index(paths, {"audio": Sounds(paths)})


def fake(root: Path, seed: int = 0) -> None:
    """Write two people's clips and their sound."""
    random = np.random.default_rng(seed)
    for person in PEOPLE[:2]:
        for code in CODES:
            write_clip(Path(root) / "AudioVisualClip" / person / f"{code}1.avi", random, frames=3)
            write_sound(Path(root) / "AudioData" / person / f"{code}01.wav", random)


FAKES["savee"] = FAKES["savee-speech"] = fake
