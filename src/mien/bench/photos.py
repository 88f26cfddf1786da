"""Accuracy on a folder of photos whose file names say the expression, such as `017_happy.jpg`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.pipeline.flow import Flow, Options
from mien.pipeline.sources import read_picture
from mien.table import rows_of
from mien.types import Frame

NAMES = {"happy": "happiness", "smiling": "happiness", "sad": "sadness", "angry": "anger", "surprised": "surprise"}


@dataclass
class Photos:
    """Counts over the photos; `wrong` lists (file, true, seen).

    `pairs` counts the photos of an expression with one of the same person's neutral face beside it, `above` those of
    them that score more of that expression against neutral than the neutral face does.
    """

    photos: int = 0
    found: int = 0
    several: int = 0
    right: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)
    unsure: int = 0
    pairs: int = 0
    above: int = 0
    wrong: list[tuple[str, str, str]] = field(default_factory=list)


def measure(folder: Path, **options: Any) -> Photos:
    """Analyse the photos and compare the largest face's label with the name's."""
    result, flow = Photos(), Flow(Options(**options))
    scores: dict[tuple[str, str], dict[str, float]] = {}
    for path in sorted(folder.glob("*_*.jpg")):
        person, _, word = path.stem.rpartition("_")
        truth = NAMES.get(word, word)
        rows = [row for frame in flow.run([Frame(read_picture(path))]) for row in rows_of(frame)]
        result.photos += 1
        result.total[truth] += 1
        if not rows:
            result.wrong.append((path.name, truth, "no face"))
            continue
        result.found += 1
        result.several += len(rows) > 1
        row = max(rows, key=lambda r: r["face_px"])
        result.unsure += row["unsure"]
        scores[person, truth] = {name[2:]: value for name, value in row.items() if name.startswith("p_")}
        result.right[truth] += row["label"] == truth
        if row["label"] != truth:
            result.wrong.append((path.name, truth, row["label"]))
    for (person, truth), shown in scores.items():
        rest = scores.get((person, "neutral"))
        if rest is not None and truth != "neutral" and truth in shown:
            result.pairs += 1
            result.above += shown[truth] * rest["neutral"] > rest[truth] * shown["neutral"]
    return result
