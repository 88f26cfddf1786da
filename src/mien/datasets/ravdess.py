"""RAVDESS: acted emotional speech, on video, as sound, or both.

Paper: Livingstone, Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE 13(5),
    2018.
Layout: `Audio_Speech_Actors_01-24/Actor_NN/03-01-EE-II-SS-RR-NN.wav` and, for video, `Video_Speech_Actor_NN/Actor_NN/`
    with `01-01-...mp4` (picture and sound) and `02-01-...mp4` (picture alone); the outer folder may be missing. The
    name's seven numbers: modality, channel (01 speech), emotion, intensity (01 normal, 02 strong), statement (01 kids,
    02 dogs), repetition, actor (odd male, even female).
Labels: 01 neutral 02 calm 03 happiness 04 sadness 05 anger 06 fear 07 disgust 08 surprise. Neutral has no strong form.
Licence: CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Clips, Media, Sounds
from mien.datasets.recordings import find, match, write_clip, write_sound
from mien.labels import RAVDESS8

ORDER = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
NAME = re.compile(r"0[1-3]-01-(0[1-8])-(0[12])-(0[12])-(0[12])-([0-2]\d)")
LICENCE = "CC BY-NC-SA 4.0"


def _read(root: Path, modality: str, endings: str, media: tuple[str, ...]) -> Index:
    file = f"Actor_*/{modality}-01-*.{endings}"
    expected = f"Actor_NN/{modality}-01-EE-II-SS-RR-NN.{endings.replace('[wo][ag][vg]', 'wav')}"
    paths = find(Path(root), (file, f"*/{file}", f"*/*/{file}"), expected)
    codes = [[int(part) for part in match(path, NAME, expected).groups()] for path in paths]
    emotion, intensity, statement, repetition, actor = np.array(codes, np.int64).T
    targets, majority = one_hot([ORDER[code - 1] for code in emotion], RAVDESS8)
    kinds: dict[str, type[Clips] | type[Sounds]] = {"frames": Clips, "audio": Sounds}
    read: dict[str, Media] = {name: kinds[name](paths) for name in media}
    extra = {
        "intensity": intensity,
        "statement": statement,
        "repetition": repetition,
        "gender": np.where(actor % 2, "M", "F"),
    }
    subject = np.array([f"{number:02d}" for number in actor])
    return Index(RAVDESS8, targets, majority, np.full(len(paths), NO_SPLIT), subject, read, extra)


@DATASETS.register(
    "ravdess", samples=1440, subjects=24, modalities=("frames", "audio"), labels=RAVDESS8, licence=LICENCE
)
def ravdess(root: Path) -> Index:
    """The speech clips with picture and sound, without an official split: fold by subject (the actor).

    `extra` has `intensity` (1 normal, 2 strong), `statement`, `repetition` and `gender`.

    Raises:
        DataError: no clip is found, or one has a strange name.
    """
    return _read(root, "01", "mp4", ("frames", "audio"))


@DATASETS.register("ravdess-video", samples=1440, subjects=24, modalities=("frames",), labels=RAVDESS8, licence=LICENCE)
def ravdess_video(root: Path) -> Index:
    """The speech clips without sound; see `ravdess`."""
    return _read(root, "02", "mp4", ("frames",))


@DATASETS.register("ravdess-speech", samples=1440, subjects=24, modalities=("audio",), labels=RAVDESS8, licence=LICENCE)
def ravdess_speech(root: Path) -> Index:
    """The spoken sound alone (.wav as published, or .ogg); see `ravdess`."""
    return _read(root, "03", "[wo][ag][vg]", ("audio",))


def fake(root: Path, seed: int = 0) -> None:
    """Write two actors' clips in all three forms."""
    random = np.random.default_rng(seed)
    for actor in (1, 2):
        for emotion in range(1, 9):
            code = f"01-{emotion:02d}-{1 + (emotion > 1) * (actor == 2):02d}-01-01-{actor:02d}"
            folder = Path(root) / f"Video_Speech_Actor_{actor:02d}" / f"Actor_{actor:02d}"
            for modality in ("01", "02"):
                write_clip(folder / f"{modality}-{code}.mp4", random, frames=3, sound=modality == "01")
            sound = Path(root) / "Audio_Speech_Actors_01-24" / f"Actor_{actor:02d}" / f"03-{code}.wav"
            write_sound(sound, random)


for _name in ("ravdess", "ravdess-video", "ravdess-speech"):
    FAKES[_name] = fake
