"""4DFAB: sequences of scanned faces, 180 people in up to four sessions over five years.

Paper: Cheng, Kotsia, Pantic, Zafeiriou, "4DFAB: a large scale 4D database for facial expression analysis and biometric
    applications", CVPR 2018.
Layout: UNCONFIRMED. The release is on request, and its folders are described nowhere that could be found. This reader
    takes `<subject>/<session>/<expression>/<frame>.obj` (or .wrl): a number in the first two names, a word for the
    expression that begins with ang, dis, fea, hap, sad or sur. Lay the release out so, by links if need be.
Labels: the six basic emotions, posed; what else was recorded (spontaneous reactions, words) is left out.
Licence: agreement with Imperial College London, research only.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Media
from mien.datasets.scans import ScanFolders, cloud, depth, write_scan
from mien.errors import DataError
from mien.labels import BASIC6

STARTS = {name[:3]: name for name in BASIC6}


def _sequences(root: Path) -> list[tuple[Path, int, int, str]]:
    """(folder, subject, session, label) of every posed emotion."""
    for above in ("", "*/"):
        rows = []
        for folder in sorted(root.glob(f"{above}*/*/*/")):
            subject = re.search(r"\d+", folder.parent.parent.name)
            session = re.search(r"\d+", folder.parent.name)
            label = STARTS.get(folder.name[:3].lower())
            if subject and session and label and folder.is_dir():
                rows.append((folder, int(subject[0]), int(session[0]), label))
        if rows:
            return rows
    raise DataError(f"{root} holds no <subject>/<session>/<expression>/<frame>.obj, such as 001/1/happy/0001.obj")


@DATASETS.register(
    "4dfab",
    samples=1080,  # six emotions of 180 people in the first session; later sessions add to it
    subjects=180,
    modalities=("points", "depth"),
    labels=BASIC6,
    licence="agreement with Imperial College London, research only",
)
def dfab4(root: Path, most: int = 16) -> Index:
    """4DFAB's posed emotions, without an official split: fold by subject.

    `points` are 2,048 vertices of each scan [T, 2048, 3], `depth` the scans seen from the front [T, 112, 112].
    `extra["session"]` is 1 to 4.

    Args:
        most: read at most this many moments of a sequence, spread evenly; 0 reads all.

    Raises:
        DataError: no sequence is found.
    """
    rows = _sequences(Path(root))
    targets, majority = one_hot([label for *_, label in rows], BASIC6)
    folders = [folder for folder, *_ in rows]
    media: dict[str, Media] = {
        "points": ScanFolders(folders, cloud, most=most),
        "depth": ScanFolders(folders, depth, most=most),
    }
    subject = np.array([f"{subject:03d}" for _, subject, _, _ in rows])
    extra = {"session": np.array([session for _, _, session, _ in rows], np.int64)}
    return Index(BASIC6, targets, majority, np.full(len(rows), NO_SPLIT), subject, media, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write two people's sequences of two scans, one of them in two sessions."""
    random = np.random.default_rng(seed)
    for sitting in ("001/1", "001/2", "002/1"):
        for emotion in BASIC6:
            folder = Path(root) / sitting / emotion
            folder.mkdir(parents=True)
            for moment in range(2):
                write_scan(folder / f"{moment:04d}.obj", random, side=7)


FAKES["4dfab"] = fake
