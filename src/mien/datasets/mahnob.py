"""MAHNOB-HCI, emotion elicitation: face video, EEG and peripheral signals while watching film clips.

Paper: Soleymani, Lichtenauer, Pun, Pantic, "A multimodal database for affect recognition and implicit tagging", IEEE
    Trans. Affective Computing 3(1), 2012.
Layout: `Sessions/<number>/` with `session.xml` (attributes feltEmo, feltArsl, feltVlnc, feltCtrl, feltPred; a `subject`
    with its id), `Part_1_S_Trial1_emotion.bdf` and six cameras, `P1-Rec1-..._C1 trigger _C_Section_2.avi` the one in
    colour. Sessions without felt emotions belong to the tagging experiment and are passed over. Untried on the real
    tree; the numbers of feltEmo beyond the nine classes are from memory of the manual and left out.
Labels: 0 neutral 1 anger 2 disgust 3 fear 4 joy 5 sadness 6 surprise 11 amusement 12 anxiety.
Licence: signed agreement, research only.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.bdf import Signals, write_bdf
from mien.datasets.eeg_features import CATEGORIES
from mien.datasets.media import Clips, Media
from mien.datasets.recordings import write_clip
from mien.errors import DataError
from mien.labels import MAHNOB9

SCALES = {"valence": "feltVlnc", "arousal": "feltArsl", "control": "feltCtrl", "predictability": "feltPred"}
_ELSE = re.compile(r"(EXG|GSR|Erg|Resp|Temp|Plet)\w*", re.IGNORECASE)


def is_peripheral(channel: str) -> bool:
    """Whether a channel is a body signal: ECG (EXG1-3), skin response, respiration, temperature."""
    return _ELSE.fullmatch(channel) is not None


def is_eeg(channel: str) -> bool:
    """Whether a channel is one of the 32 electrodes."""
    return channel != "Status" and not is_peripheral(channel)


def _number(attributes: dict[str, str], name: str, path: Path) -> int:
    text = attributes.get(name, "")
    try:
        return int(text)
    except ValueError as error:
        raise DataError(f"{path}: {name} is {text!r}, expected a whole number") from error


def _session(path: Path) -> tuple[str, dict[str, int]] | None:
    """Person and felt emotions of a session, or None for one of another experiment."""
    try:
        session = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise DataError(f"{path} is not readable XML ({error})") from error
    if "feltEmo" not in session.attrib:
        return None
    person = session.find("subject")
    if person is None:
        raise DataError(f"{path} names no subject")
    numbers = {name: _number(session.attrib, name, path) for name in ("feltEmo", *SCALES.values())}
    return f"p{_number(person.attrib, 'id', path):02d}", numbers


@DATASETS.register(
    "mahnob",
    samples=547,
    subjects=28,
    modalities=("frames", "eeg", "physio"),
    labels=MAHNOB9,
    licence="signed agreement, research only",
)
def mahnob(root: Path) -> Index:
    """MAHNOB-HCI: `frames` of the colour camera, `eeg` [32, samples] and `physio`; sessions that have all three.

    The signals run from 30 seconds before the film to 30 seconds after it. `extra` holds `valence`, `arousal`,
    `control` and `predictability` (1..9 brought to [-1, 1]) and `session`. No official split: fold by person.

    Raises:
        DataError: no session is found or one is malformed.
    """
    root = Path(root)
    folder = root / "Sessions" if (root / "Sessions").is_dir() else root
    rows = []
    for path in sorted(folder.glob("*/session.xml"), key=lambda path: (len(path.parent.name), path.parent.name)):
        signals, films = sorted(path.parent.glob("*.bdf")), sorted(path.parent.glob("*C1*.avi"))
        session = _session(path) if signals and films else None
        if session is not None:
            rows.append((path.parent.name, *session, films[0], signals[0]))
    if not rows:
        raise DataError(f"{root} holds no Sessions/<number>/ with session.xml, a .bdf and a colour .avi (C1)")
    targets, majority = one_hot([CATEGORIES.get(row[2]["feltEmo"], "") for row in rows], MAHNOB9)
    extra = {name: np.array([(row[2][felt] - 5) / 4 for row in rows], np.float32) for name, felt in SCALES.items()}
    extra["session"] = np.array([row[0] for row in rows])
    paths = [row[4] for row in rows]
    media: dict[str, Media] = {
        "frames": Clips([row[3] for row in rows]),
        "eeg": Signals(paths, is_eeg),
        "physio": Signals(paths, is_peripheral),
    }
    subject = np.array([row[1] for row in rows])
    return Index(MAHNOB9, targets, majority, np.full(len(rows), NO_SPLIT), subject, media, extra)


ELECTRODES = (
    "Fp1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 Oz Pz Fp2 AF4 Fz F4 F8 FC6 FC2 Cz C4 T8 CP6 CP2 P4 P8 PO4 O2"
)
OTHERS = "EXG1 EXG2 EXG3 GSR1 Erg1 Resp Temp Status"


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the same layout: eight sessions of two people, and one of the tagging experiment."""
    random = np.random.default_rng(seed)
    labels = [*ELECTRODES.split(), *OTHERS.split()]
    for number, code in enumerate((0, 1, 2, 4, 6, 11, 12, 9, -1)):
        folder = Path(root) / "Sessions" / str(2 + 2 * number)
        folder.mkdir(parents=True, exist_ok=True)
        felt = f'feltEmo="{code}" feltArsl="{1 + number % 9}" feltVlnc="{9 - number % 9}" feltCtrl="5" feltPred="6"'
        (folder / "session.xml").write_text(
            '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n'
            f'<session sessionId="{folder.name}" isStim="1" {felt if code >= 0 else ""} mediaFile="69.avi">\n'
            f'  <subject id="{1 + number % 2}" gender="F" dateOfBirth="1980" />\n</session>\n',
            encoding="utf-8",
        )
        digital = random.integers(-3000, 3000, (len(labels), 64), dtype=np.int32)
        write_bdf(folder / f"Part_{1 + number % 2}_S_Trial{number + 1}_emotion.bdf", labels, digital, 32)
        film = folder / f"P{1 + number % 2}-Rec1-2009.07.09.17.53.46_C1 trigger _C_Section_{2 * number + 2}.avi"
        write_clip(film, random, frames=3, sound=False)


FAKES["mahnob"] = fake
