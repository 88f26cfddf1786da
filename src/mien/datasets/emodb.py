"""EMO-DB, the Berlin database of emotional speech: ten actors, ten German sentences, seven emotions.

Paper: Burkhardt et al., "A database of German emotional speech", Interspeech 2005.
Layout: `wav/03a01Fa.wav` (or .ogg, .flac): two digits speaker, three characters sentence, a letter emotion, a letter
    version.
Labels: W anger 127, L boredom 81, E disgust 46, A fear 69, F happiness 71, N neutral 79, T sadness 62; the letters are
    the German words'.
Licence: free for research with citation.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Sounds
from mien.datasets.recordings import find, match, write_sound
from mien.labels import EMODB7

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "N": "neutral",
    "T": "sadness",
}
MEN = ("03", "10", "11", "12", "15")
NAME = re.compile(r"(\d\d)([ab]\d\d)([WLEAFNT])([a-z])")


@DATASETS.register(
    "emodb",
    samples=535,
    subjects=10,
    modalities=("audio",),
    labels=EMODB7,
    licence="free for research, with citation",
)
def emodb(root: Path) -> Index:
    """EMO-DB, `audio` float32 at 16 kHz; no official split: leave one speaker out.

    `extra` holds `gender` and `sentence`, of which every speaker says the same ten.

    Raises:
        DataError: no recording is found, or one is named otherwise.
    """
    patterns = [f"{folder}*.{kind}" for folder in ("wav/", "") for kind in ("wav", "ogg", "flac")]
    paths = find(Path(root), patterns, "wav/03a01Fa.wav")
    names = [match(path, NAME, "03a01Fa.wav") for path in paths]
    targets, majority = one_hot([EMOTIONS[name.group(3)] for name in names], EMODB7)
    extra = {
        "gender": np.array(["male" if name.group(1) in MEN else "female" for name in names]),
        "sentence": np.array([name.group(2) for name in names]),
    }
    subject = np.array([name.group(1) for name in names])
    return Index(EMODB7, targets, majority, np.full(len(paths), NO_SPLIT), subject, {"audio": Sounds(paths)}, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the same layout: two speakers say one sentence in each emotion."""
    random = np.random.default_rng(seed)
    for speaker in ("03", "08"):
        for letter in EMOTIONS:
            write_sound(Path(root) / "wav" / f"{speaker}a01{letter}a.wav", random)


FAKES["emodb"] = fake
