"""FER2013 and the FER+ votes.

Paper: Goodfellow et al., "Challenges in representation learning", ICONIP 2013; Barsoum et al., "Training deep networks
    for facial expression recognition with crowd-sourced label distribution", ICMI 2016.
Layout: `fer2013.csv` (emotion, pixels, Usage) or `icml_face_data.csv` (the same rows; column names begin with a space)
    and, for FER+, `fer2013new.csv` (Usage, Image name, ten vote columns). Folders of pictures are `fer2013-folders`
    and `ferplus-folders`.
Labels: FER2013 0 angry 1 disgust 2 fear 3 happy 4 sad 5 surprise 6 neutral; FER+ ten taggers over eight expressions,
    `unknown` and `NF` (not a face). Four rules make labels of the votes: `ferplus` (the plain majority) and the three
    of FER+'s own code (see `paper_targets`).
Licence: none stated for the pictures (ICML 2013 challenge, from a web search); the FER+ votes are MIT.
"""

from __future__ import annotations

import contextlib
import csv
import os
from pathlib import Path
from typing import Literal

import numpy as np

from mien.datasets import DATASETS, FAKES, Index
from mien.datasets.arrays import read_npz
from mien.datasets.media import Arrays
from mien.errors import DataError
from mien.labels import BASIC7, FERPLUS8
from mien.protocols.guards import fingerprint

USAGES = ("Training", "PublicTest", "PrivateTest")
FILES = ("fer2013.csv", "icml_face_data.csv", "fer2013/fer2013.csv")
FER2013_ORDER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
PLUS_LICENCE = "votes MIT; none stated for the pictures"
COLUMNS = [VOTES.index(name) for name in FERPLUS8]
EXPRESSIONS = len(FERPLUS8)
DIGITS = tuple("0123456")

Rule = Literal["majority", "probability", "multilabel"]


def _read_rows(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pixels, emotion, usage = [], [], []
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = [name.strip() for name in next(lines, [])]
        if not {"emotion", "pixels", "Usage"} <= set(header):
            raise DataError(
                f"{path}: expected the columns emotion, pixels and Usage, found {', '.join(header) or 'none'}"
            )
        columns = [header.index(name) for name in ("emotion", "pixels", "Usage")]
        for number, line in enumerate(lines, 2):
            try:
                label, face, use = (line[k] for k in columns)
                pixels.append(np.array(face.split(), np.uint8).reshape(48, 48))
                emotion.append(DIGITS.index(label.strip()))
                usage.append(USAGES.index(use.strip()))
            except (IndexError, ValueError, OverflowError) as error:
                raise DataError(
                    f"{path}, line {number}: expected emotion 0..6, 2304 pixels 0..255 and Usage: {error}"
                ) from error
    if not pixels:
        raise DataError(f"{path} has no rows")
    return np.stack(pixels), np.array(emotion, np.int64), np.array(usage, np.int64)


def _read_faces(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    path = next((root / name for name in FILES if (root / name).is_file()), None)
    if path is None:
        raise DataError(f"{root / FILES[0]} is missing; put Kaggle's fer2013.csv or icml_face_data.csv into {root}")
    cache = path.parent / f".fer2013-{path.stat().st_size}.npz"
    # a damaged cache is written anew
    with contextlib.suppress(DataError, KeyError):
        arrays = read_npz(cache)
        return arrays["pixels"], arrays["emotion"], arrays["usage"]
    pixels, emotion, usage = _read_rows(path)
    with contextlib.suppress(OSError):  # a read-only folder only costs the next run its ten seconds
        part = cache.with_name(f"{cache.stem}-{os.getpid()}.npz")
        np.savez(part, pixels=pixels, emotion=emotion, usage=usage)
        os.replace(part, cache)
    return pixels, emotion, usage


def _read_votes(root: Path, split: np.ndarray) -> np.ndarray:
    path = next((p for p in (root / "fer2013new.csv", root / "fer2013" / "fer2013new.csv") if p.is_file()), None)
    if path is None:
        raise DataError(f"{root / 'fer2013new.csv'} is missing; put FER+'s fer2013new.csv beside fer2013.csv")
    votes, usage = [], []
    with open(path, newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                votes.append([int(row[name]) for name in VOTES])
                usage.append(USAGES.index(row["Usage"]))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}, line {number}: expected Usage and ten counts, {', '.join(VOTES)}") from error
    if len(votes) != len(split):
        raise DataError(f"{path} has {len(votes)} rows, fer2013.csv has {len(split)}; they must be of the same release")
    if usage != split.tolist():
        raise DataError(f"{path}: its Usage column differs from that of the faces; their rows must be in one order")
    return np.array(votes, np.int64)


def same_pixels_as(pixels: np.ndarray) -> np.ndarray:
    """First row with the very same pixels, for each row [N]."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(fingerprint(face), row) for row, face in enumerate(pixels)])


def vote_targets(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets [N, 8] (zeros without any vote for the eight), majority [N] and clean7 [N] of votes [N, 10]."""
    counts = votes[:, COLUMNS].astype(np.float32)
    to_index = np.array([FERPLUS8.index(name) if name in FERPLUS8 else -1 for name in VOTES])
    majority = to_index[votes.argmax(1)]
    clean7 = np.where((votes.max(1) > 5) & (majority != FERPLUS8.index("contempt")), majority, -1)
    return counts / np.maximum(counts.sum(1), 1)[:, None], majority, clean7


def _probable(votes: np.ndarray) -> np.ndarray:
    """The leading expressions of one face's votes [10]; zeros where the face is left out."""
    kept, rest, covered = np.zeros(len(votes)), votes.copy(), 0
    while covered < 0.75 * votes.sum() and np.count_nonzero(kept) < 3:
        level = rest.max()
        tied = np.flatnonzero(rest == level)
        faceless = tied[tied >= EXPRESSIONS]
        kept[tied[tied < EXPRESSIONS]] = level
        if len(faceless):
            # `unknown` ends the search; where it leads, it is the face's label
            kept[faceless[0]] = level if not kept.any() else 0
            break
        rest[tied] = 0
        covered += level * len(tied)
    doubtful = kept.sum() <= 0.5 * votes.sum() or np.count_nonzero(kept) > 3
    return np.zeros(len(votes)) if doubtful else kept


def paper_targets(votes: np.ndarray, rule: Rule) -> np.ndarray:
    """Targets [N, 8] of votes [N, 10] by one of the rules of the FER+ paper's code; zeros where it drops the face.

    All drop single votes first, and then the faces whose largest share is `unknown` or `NF`:
    - `majority`: one label, which has more than half of the votes that are left; else dropped.
    - `probability`: the expressions with most votes, at most three, until they hold three quarters of the votes;
      dropped where they hold half or less. Also what the paper trains on with cross-entropy.
    - `multilabel`: all with at least 30 % of the votes, shares kept; dropped where they hold half or less. The paper
      gives all of them a target of 1: `targets > 0`.
    """
    votes = np.where(votes > 1, votes, 0)
    kinds, place = np.unique(votes, axis=0, return_inverse=True)
    total, top = kinds.sum(1), kinds.max(1)
    if rule == "majority":
        kept = np.eye(len(VOTES))[kinds.argmax(1)] * (2 * top > total)[:, None]
    elif rule == "probability":
        kept = np.array([_probable(row) for row in kinds]).reshape(kinds.shape)
    else:
        kept = np.where(kinds >= 0.3 * total[:, None], kinds, 0)
        kept = kept * (2 * kept.sum(1) > total)[:, None]
    kept = kept * (kept.argmax(1) < EXPRESSIONS)[:, None]
    shares = kept[:, COLUMNS]
    targets: np.ndarray = (shares / np.maximum(shares.sum(1), 1e-9)[:, None]).astype(np.float32)
    return targets[place.reshape(-1)]


@DATASETS.register(
    "fer2013", samples=35887, modalities=("face",), labels=BASIC7, licence="none stated for the pictures"
)
def fer2013(root: Path) -> Index:
    """FER2013 with its own seven labels; val is PublicTest, test is PrivateTest.

    Raises:
        DataError: a file is missing or malformed.
    """
    pixels, emotion, usage = _read_faces(Path(root))
    order = np.array([BASIC7.index(name) for name in FER2013_ORDER])
    majority = order[emotion]
    extra = {"same_pixels_as": same_pixels_as(pixels)}
    targets = np.eye(len(BASIC7), dtype=np.float32)[majority]
    unknown = np.full(len(pixels), "")
    return Index(BASIC7, targets, majority, usage, unknown, {"face": Arrays(pixels)}, extra)


@DATASETS.register("ferplus", samples=35887, modalities=("face",), labels=FERPLUS8, licence=PLUS_LICENCE)
def ferplus(root: Path) -> Index:
    """FER+ with eight expressions and soft votes; val is PublicTest, test is PrivateTest.

    `targets` are the votes for the eight expressions, normalised; rows without any are left out. `majority` is the
    first maximum in the csv's column order, -1 where that is `unknown` or `NF`. `extra` has `votes` (counts [N, 8]),
    `fer2013` (the original label, index into FERPLUS8), `clean7` (more than five taggers agree on one of FER2013's
    seven; index into FERPLUS8, else -1) and `same_pixels_as`.

    Raises:
        DataError: a file is missing or malformed.
    """
    base = fer2013(Path(root))
    votes = _read_votes(Path(root), base.split)
    targets, majority, clean7 = vote_targets(votes)
    original = np.array([FERPLUS8.index(name) for name in BASIC7])[base.majority]
    same = base.extra["same_pixels_as"]
    extra = {"votes": votes[:, COLUMNS], "fer2013": original, "clean7": clean7, "same_pixels_as": same}
    return Index(FERPLUS8, targets, majority, base.split, base.subject, base.media, extra)[targets.sum(1) > 0]


def _by_rule(root: Path, rule: Rule) -> Index:
    base = fer2013(Path(root))
    votes = _read_votes(Path(root), base.split)
    targets = paper_targets(votes, rule)
    extra = {"votes": votes[:, COLUMNS], "same_pixels_as": base.extra["same_pixels_as"]}
    # first maximum in the csv's column order, as in `ferplus`
    ranked = targets[:, [FERPLUS8.index(name) for name in VOTES[:EXPRESSIONS]]].argmax(1)
    majority = np.array([FERPLUS8.index(name) for name in VOTES[:EXPRESSIONS]])[ranked]
    return Index(FERPLUS8, targets, majority, base.split, base.subject, base.media, extra)[targets.sum(1) > 0]


@DATASETS.register("ferplus-majority", samples=31412, modalities=("face",), labels=FERPLUS8, licence=PLUS_LICENCE)
def ferplus_majority(root: Path) -> Index:
    """FER+ by the paper's majority rule: one label a face, faces without an absolute majority left out."""
    return _by_rule(root, "majority")


@DATASETS.register("ferplus-probability", samples=34966, modalities=("face",), labels=FERPLUS8, licence=PLUS_LICENCE)
def ferplus_probability(root: Path) -> Index:
    """FER+ by the paper's probability rule, which its cross-entropy training shares: up to three shares a face."""
    return _by_rule(root, "probability")


@DATASETS.register("ferplus-multilabel", samples=34615, modalities=("face",), labels=FERPLUS8, licence=PLUS_LICENCE)
def ferplus_multilabel(root: Path) -> Index:
    """FER+ by the paper's multi-label rule: every expression with 30 % of the votes."""
    return _by_rule(root, "multilabel")


def fake(root: Path, rows: int = 60, seed: int = 0) -> None:
    """Write a tiny fer2013.csv and fer2013new.csv: noise faces whose brightness depends on the label."""
    random = np.random.default_rng(seed)
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    usages = ["Training"] * (rows - 2 * (rows // 4)) + ["PublicTest"] * (rows // 4) + ["PrivateTest"] * (rows // 4)
    with open(root / "fer2013.csv", "w", newline="") as faces, open(root / "fer2013new.csv", "w", newline="") as votes:
        face_rows, vote_rows = csv.writer(faces), csv.writer(votes)
        face_rows.writerow(["emotion", "pixels", "Usage"])
        vote_rows.writerow(["Usage", "Image name", *VOTES])
        for row, usage in enumerate(usages):
            emotion = row % 7
            face = random.integers(0, 90, 48 * 48) + 20 * emotion
            face_rows.writerow([emotion, " ".join(map(str, face)), usage])
            count = np.zeros(len(VOTES), int)
            count[VOTES.index(FER2013_ORDER[emotion])] = 8
            count[int(random.integers(0, len(VOTES)))] += 2
            vote_rows.writerow([usage, f"fer{row:07d}.png", *count])


for _name in ("fer2013", "ferplus", "ferplus-majority", "ferplus-probability", "ferplus-multilabel"):
    FAKES[_name] = fake
