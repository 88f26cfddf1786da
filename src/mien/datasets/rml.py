"""RML: six acted emotions in six languages, eight people, picture and sound.

Paper: Wang, Guan, "Recognizing human emotional state from audiovisual signals", IEEE Transactions on Multimedia 10(5),
    2008.
Layout: `s1/an1.avi` ... `s8/...`, for speakers of several languages `s1/<language>/an1.avi`; the two archives unpack to
    `rml-1` (s1 to s5) and `rml-2`, which may stand above. Layout as in public readers of the release, untried on the
    real tree; the names of the language folders are kept as they come.
Labels: an anger, di disgust, fe fear, ha happiness, sa sadness, su surprise.
Licence: on request, research only.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Clips, Media, Sounds
from mien.datasets.recordings import match, write_clip
from mien.errors import DataError
from mien.labels import BASIC6

CODES = {"an": "anger", "di": "disgust", "fe": "fear", "ha": "happiness", "sa": "sadness", "su": "surprise"}
NAME = re.compile(r"(an|di|fe|ha|sa|su)\D?\d+\D?", re.IGNORECASE)
PERSON = re.compile(r"s([1-8])", re.IGNORECASE)


def _clips(root: Path) -> list[tuple[Path, str, str]]:
    """(clip, person, language) of every clip; the language is "" where the speaker has one alone."""
    rows = []
    for above in ("", "*/", "*/*/"):
        for speaker in sorted(root.glob(f"{above}[sS][1-8]")):
            for path in sorted([*speaker.glob("*.avi"), *speaker.glob("*/*.avi")]):
                person = PERSON.fullmatch(speaker.name)
                if person:
                    rows.append((path, f"s{person[1]}", "" if path.parent == speaker else path.parent.name))
        if rows:
            return rows
    raise DataError(f"{root} holds no s1 ... s8 folders of an1.avi, di1.avi, ...")


@DATASETS.register(
    "rml",
    samples=720,
    subjects=8,
    modalities=("frames", "audio"),
    labels=BASIC6,
    licence="on request, research only",
)
def rml(root: Path) -> Index:
    """RML, without an official split: fold by subject. `extra["language"]` names the folder of the language.

    Raises:
        DataError: no clip is found, or one has a strange name.
    """
    rows = _clips(Path(root))
    names = [match(path, NAME, "an1.avi, di1.avi, ...") for path, _, _ in rows]
    targets, majority = one_hot([CODES[name[1].lower()] for name in names], BASIC6)
    paths = [path for path, _, _ in rows]
    subject = np.array([person for _, person, _ in rows])
    extra = {"language": np.array([language for _, _, language in rows])}
    media: dict[str, Media] = {"frames": Clips(paths), "audio": Sounds(paths)}
    return Index(BASIC6, targets, majority, np.full(len(rows), NO_SPLIT), subject, media, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write three speakers' clips, one of them in two languages."""
    random = np.random.default_rng(seed)
    for folder in ("rml-1/s1/English", "rml-1/s1/Mandarin", "rml-1/s2", "rml-2/s6"):
        for code in CODES:
            write_clip(Path(root) / folder / f"{code}1.avi", random, frames=3)


FAKES["rml"] = fake
