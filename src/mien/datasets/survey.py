"""What is in a data set on disk: counts, missing and broken files, flat pictures, copies within and across splits."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets import DATASETS, NO_SPLIT, SPLITS, Index
from mien.errors import DataError
from mien.protocols.guards import fingerprint

SHOWN = 5


@dataclass(frozen=True)
class Remark:
    """Something missing or odd.

    Attributes:
        grave: samples cannot be read; otherwise merely worth knowing.
        text: one sentence that names numbers and examples.
    """

    grave: bool
    text: str


def _some(items: list[Any]) -> str:
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return ", ".join(str(item) for item in items[:SHOWN]) + more


def split_names(index: Index) -> list[str]:
    """Names of the splits that occur, in order; `none` for samples without an official one."""
    present = set(index.split.tolist())
    return [*(["none"] if NO_SPLIT in present else []), *(n for i, n in enumerate(SPLITS) if i in present)]


def _code(split: str) -> int:
    return NO_SPLIT if split == "none" else SPLITS.index(split)


def counts(index: Index) -> dict[str, dict[str, int]]:
    """split -> label -> samples; `unlabelled` counts those without a category that counts as true."""
    table: dict[str, dict[str, int]] = {}
    for split in split_names(index):
        majority = index.majority[index.split == _code(split)]
        row = {label: int((majority == k).sum()) for k, label in enumerate(index.labels)}
        table[split] = {**row, "unlabelled": int((majority < 0).sum())}
    return table


def check(name: str, index: Index) -> list[Remark]:
    """Compare an index with what was published, and look for its files; nothing is decoded."""
    facts, remarks = DATASETS.facts(name), []
    published = facts.get("samples", 0)
    if facts["labels"] != "yours" and len(index) != published:
        remarks.append(Remark(False, f"{len(index):,} samples; {published:,} were published"))
    people = len(set(index.subject.tolist()) - {""})
    if facts.get("subjects") and facts["labels"] != "yours" and people != facts["subjects"]:
        remarks.append(Remark(False, f"{people} people; {facts['subjects']} were published"))
    empty = [label for k, label in enumerate(index.labels) if not (index.majority == k).any()]
    if empty:
        remarks.append(Remark(False, f"no sample of {_some(empty)}"))
    unlabelled = int((index.majority < 0).sum())
    if unlabelled and index.labels:
        remarks.append(Remark(False, f"{unlabelled:,} samples have no label that counts as true"))
    for modality, media in index.media.items():
        missing = [path for row in range(len(index)) for path in media.files(row) if not path.is_file()]
        if missing:
            remarks.append(Remark(True, f"{modality}: {len(missing):,} files are missing: {_some(missing)}"))
    shared = _shared_people(index)
    if shared:
        remarks.append(Remark(False, f"{len(shared)} people stand in more than one split: {_some(shared)}"))
    return remarks


def _shared_people(index: Index) -> list[str]:
    splits: dict[str, set[int]] = defaultdict(set)
    for person, split in zip(index.subject.tolist(), index.split.tolist(), strict=True):
        if person and split != NO_SPLIT:
            splits[person].add(split)
    return sorted(person for person, where in splits.items() if len(where) > 1)


@dataclass(frozen=True)
class Survey:
    """What decoding every sample of one modality found.

    Attributes:
        modality: what was read.
        broken: sentences naming the files that cannot be read.
        flat: rows of one single value.
        first: for each row the first row with exactly the same content, int64 [N]; -1 where unreadable.
        shapes: the five commonest shapes and how often each occurs.
    """

    modality: str
    broken: tuple[str, ...]
    flat: tuple[int, ...]
    first: np.ndarray
    shapes: tuple[tuple[str, int], ...]

    def copies(self, index: Index) -> dict[str, Any]:
        """Copies by where they stand: within one split, across two, and with another label than their first."""
        rows = np.flatnonzero((self.first >= 0) & (self.first != np.arange(len(self.first))))
        first = self.first[rows]
        here, there = index.split[rows], index.split[first]
        across: dict[str, int] = {}
        for split, other in itertools.combinations(split_names(index), 2):
            a, b = _code(split), _code(other)
            number = int((((here == a) & (there == b)) | ((here == b) & (there == a))).sum())
            if number:
                across[f"{split} and {other}"] = number
        return {
            "within": int((here == there).sum()),
            "across": across,
            "other_label": int((index.majority[rows] != index.majority[first]).sum()),
        }


def survey(index: Index, modality: str, step: Callable[[], Any] = lambda: None) -> Survey:
    """Decode every sample of a modality.

    Args:
        step: called after each sample, for a progress bar.
    """
    media = index.media[modality]
    seen: dict[str, int] = {}
    first = np.full(len(index), -1, np.int64)
    broken, flat = [], []
    shapes: dict[str, int] = defaultdict(int)
    for row in range(len(index)):
        step()
        try:
            item = media[row]
        except DataError as error:
            broken.append(str(error))
            continue
        array = np.frombuffer(item.encode(), np.uint8) if isinstance(item, str) else np.asarray(item)
        if array.size and array.min() == array.max():
            flat.append(row)
        shapes["x".join(map(str, array.shape))] += 1
        first[row] = seen.setdefault(fingerprint(item), row)
    common = sorted(shapes.items(), key=lambda pair: -pair[1])[:SHOWN]
    return Survey(modality, tuple(broken), tuple(flat), first, tuple(common))


def open_index(name: str, root: Path) -> Index:
    """Read the index of a data set.

    Raises:
        UnknownName: no data set has that name.
        DataError: the folder does not hold it.
    """
    return DATASETS.create(name, root=Path(root))
