"""Your own pictures or clips, in class folders or listed in a CSV.

Paper: none.
Layout: `<label>/...` or `{train,val,test}/<label>/...` with pictures or clips at any depth; or `labels.csv` (or the one
    other .csv or .tsv with such columns) with `path` (or `file`, `image`), `label` (or `emotion`, `expression`) and
    optionally `split`, `subject` (or `person`, `id`), `valence`, `arousal`, `sequence`; what else it has, such as a
    group for `mien bench fairness`, is kept as text. Paths are relative to the folder; a comma, semicolon or tab
    separates columns; case does not matter.
Labels: the names found, sorted, with common synonyms under the field's names (happy is happiness); or yours, in your
    order, and then a number in the data is a place in that order, from 0.
Licence: yours.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, SPLITS, Index
from mien.datasets.media import Clips, Media, Pictures
from mien.datasets.trees import CLIPS, PICTURES, build, files_below, write_noise
from mien.errors import DataError

SYNONYMS = {
    "anger": ("angry", "ang"),
    "contempt": ("contemptuous", "con"),
    "disgust": ("disgusted", "dis"),
    "fear": ("afraid", "fearful", "scared", "fea"),
    "happiness": ("happy", "joy", "joyful", "hap"),
    "neutral": ("neutrality", "neu"),
    "sadness": ("sad", "unhappy"),
    "surprise": ("surprised", "suprise", "sur"),
    "boredom": ("bored",),
    "calm": ("calmness",),
}
_NAMES = {synonym: name for name, synonyms in SYNONYMS.items() for synonym in (name, *synonyms)}

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), 0),
    **dict.fromkeys(("val", "valid", "validation", "dev"), 1),
    **dict.fromkeys(("test", "testing"), 2),
}
COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "picture", "clip", "video"),
    "label": ("label", "emotion", "expression", "class"),
    "split": ("split", "set", "usage"),
    "subject": ("subject", "person", "id", "subject_id", "person_id"),
    "valence": ("valence",),
    "arousal": ("arousal",),
    "sequence": ("sequence",),
}

READ_IN_TRAINING = frozenset({"angles", "clean7", "fer2013", "flow", "peak", "points", "same_pixels_as", "votes"})
"""Names under which other data sets keep numbers that training and evaluation look for."""


@dataclass(frozen=True)
class Sample:
    """One picture or clip; `where` is what an error message names."""

    path: Path
    label: str
    split: int = NO_SPLIT
    where: str = ""
    columns: dict[str, str] = field(default_factory=dict)


def label_name(found: str) -> str:
    """The field's name of a label as people write it.

    >>> label_name("Happy"), label_name("pain_relief")
    ('happiness', 'pain relief')
    """
    name = " ".join(found.replace("_", " ").split()).lower()
    return _NAMES.get(name, name)


def _tables(root: Path) -> list[Path]:
    found = sorted(path for path in root.iterdir() if path.suffix.lower() in (".csv", ".tsv") and path.name[0] != ".")
    return [path for path in found if path.stem.lower() == "labels"] or found


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of a table; the delimiter is the commonest of its first line."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter)
            for row in rows:
                yield rows.line_num, [cell.strip() for cell in row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table in UTF-8 ({error}); save it as CSV UTF-8") from error


def _header(path: Path) -> dict[str, int]:
    """The place of each known column."""
    _, first = next(_rows(path), (0, []))
    names = [name.lower() for name in first]
    places = ((key, [names.index(n) for n in synonyms if n in names]) for key, synonyms in COLUMNS.items())
    known = {key: place[0] for key, place in places if place}
    return {**{name: place for place, name in enumerate(names) if name and place not in known.values()}, **known}


def _from_table(root: Path, path: Path) -> Iterator[Sample]:
    places = _header(path)
    if "path" not in places or not {"label", "valence", "arousal"} & set(places):
        raise DataError(f"{path}: the first line must name the columns, at least path and label (or valence, arousal)")
    rows = _rows(path)
    next(rows)
    for line, row in rows:
        if any(row):
            where = f"{path}, line {line}"
            needed = max(place for key, place in places.items() if key in COLUMNS)
            if len(row) <= needed:
                raise DataError(f"{where}: {len(row)} columns, the first line names {needed + 1} or more")
            cells = {key: row[place] if place < len(row) else "" for key, place in places.items()}
            yield _sample(root, where, cells)


def _sample(root: Path, where: str, cells: dict[str, str]) -> Sample:
    name, split = cells["path"], cells.get("split", "").lower()
    path = root / name.replace("\\", "/")
    if not name or not path.is_file():
        raise DataError(f"{where}: {name or 'an empty path'} is no file in {root}")
    if path.suffix.lower() not in PICTURES | CLIPS:
        raise DataError(f"{where}: {name} is neither a picture nor a clip by its suffix")
    if not cells.get("label", "no such column"):
        raise DataError(f"{where}: {name} has no label; give it one or leave the line out")
    if split and split not in SPLIT_NAMES:
        raise DataError(f"{where}: unknown split {split!r}; use train, val or test, or leave it empty")
    return Sample(path, cells.get("label", ""), SPLIT_NAMES.get(split, NO_SPLIT), where, cells)


def _from_folders(root: Path) -> Iterator[Sample]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    parts = [path for path in folders if path.name.lower() in SPLIT_NAMES]
    if parts and len(parts) < len(folders):
        odd = next(path.name for path in folders if path not in parts)
        raise DataError(f"{root} holds {parts[0].name} and also {odd}; use either splits or labels as its folders")
    for place in parts or [root]:
        split = SPLIT_NAMES[place.name.lower()] if parts else NO_SPLIT
        for path in files_below(place, PICTURES | CLIPS):
            inside = path.relative_to(place).parts
            if len(inside) < 2:
                raise DataError(
                    f"{path} has no label: put it into a folder named by its label, or list it in labels.csv"
                )
            yield Sample(path, inside[0], split, str(path))


def _samples(root: Path) -> list[Sample]:
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder; expected pictures or clips in folders named by label, or a labels.csv"
        )
    tables = [path for path in _tables(root) if path.stem.lower() == "labels" or "path" in _header(path)]
    if len(tables) > 1:
        raise DataError(f"{root} holds {', '.join(p.name for p in tables)}; call the one to read labels.csv")
    samples = list(_from_table(root, tables[0]) if tables else _from_folders(root))
    if not samples:
        raise DataError(f"{root} holds no picture or clip in folders named by label, and no labels.csv that lists one")
    return samples


def _media(root: Path, samples: list[Sample]) -> dict[str, Media]:
    paths = [sample.path for sample in samples]
    clips = [path for path in paths if path.suffix.lower() in CLIPS]
    if clips and len(clips) < len(paths):
        picture = next(path for path in paths if path.suffix.lower() in PICTURES)
        raise DataError(f"{root} mixes pictures ({picture.name}) and clips ({clips[0].name}); keep them in two folders")
    return {"frames": Clips(clips)} if clips else {"face": Pictures(paths)}


def _labels(samples: list[Sample], labels: Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    """K names, and the name of each sample."""
    if labels is None:
        names = [label_name(sample.label) for sample in samples]
        return tuple(sorted(set(names) - {""})), names
    order, names = tuple(labels), []
    known = {label_name(name): name for name in order}
    for sample in samples:
        name = known.get(label_name(sample.label))
        if name is None and sample.label.isdigit() and int(sample.label) < len(order):
            name = order[int(sample.label)]
        if name is None and sample.label:
            raise DataError(f"{sample.where}: label {sample.label!r} is none of {', '.join(order)}")
        names.append(name or "")
    return order, names


def _numbers(samples: list[Sample], column: str) -> np.ndarray:
    values = []
    for sample in samples:
        cell = sample.columns[column]
        try:
            values.append(float(cell) if cell else np.nan)
        except ValueError:
            raise DataError(f"{sample.where}: {column} {cell!r} is not a number") from None
    return np.array(values, np.float32)


@DATASETS.register("folder", samples=1, modalities=("face",), labels="yours", licence="yours")
def folder(root: Path, labels: Sequence[str] | None = None) -> Index:
    """Your own pictures (`face`) or clips (`frames`).

    Args:
        root: the folder that holds the class folders or the CSV.
        labels: names in the order of a network's outputs; the names found, sorted, if not given.

    Raises:
        DataError: nothing is found, or a file, label, split or number is missing or unknown; the message names the
            file and the line.
    """
    root = Path(root)
    samples = _samples(root)
    columns = set(samples[0].columns)
    order, names = _labels(samples, labels)
    numbers = [column for column in ("valence", "arousal") if column in columns]
    extra: dict[str, np.ndarray] = {column: _numbers(samples, column) for column in numbers}
    if "sequence" in columns:
        # an empty cell is a sample on its own, not one of a sequence called ""
        own = [sample.columns["sequence"] or f"sample {row}" for row, sample in enumerate(samples)]
        extra["sequence"] = np.array(own)
    further = [column for column in samples[0].columns if column not in COLUMNS and column not in READ_IN_TRAINING]
    extra |= {column: np.array([sample.columns[column] for sample in samples]) for column in further}
    subject = [sample.columns.get("subject", "") for sample in samples]
    return build(order, names, _media(root, samples), subject, [sample.split for sample in samples], extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write class folders under train, val and test."""
    random = np.random.default_rng(seed)
    for split in SPLITS:
        for label in ("angry", "happy", "Neutral"):
            for number in range(2):
                write_noise(Path(root) / split / label / f"{number}.png", random)


FAKES["folder"] = fake
