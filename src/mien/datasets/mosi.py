"""CMU-MOSI: opinions about films spoken into a camera, as one feature vector an utterance of voice, face and words.

Paper: Zadeh et al., "Multimodal sentiment intensity analysis in videos: facial gestures and verbal messages", IEEE
    Intelligent Systems 31(6), 2016; features and split of Poria et al., "Context-dependent sentiment analysis in
    user-generated videos", ACL 2017.
Layout: `data/{audio,video,text}/{audio,video,text}_{train,test}0.csv` (73, 100 and 100 columns and the class; rows
    aligned by order), `data/text_{train,test}.csv` (the first column is the row of the transcripts) and
    `data/transcripts.csv` (utterance, words, number of its video, class), none with a header.
Labels: 1 positive, 0 negative; 1,447 utterances of 62 videos for training, 752 of 31 others for testing.
Licence: research only.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Arrays
from mien.errors import DataError
from mien.labels import SENTIMENT2

MODALITIES = ("audio", "video", "text")
PARTS = ("train", "test")


def _rows(path: Path) -> list[list[str]]:
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            return [row for row in csv.reader(file) if row]
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} is missing or not a csv file ({error})") from error


def _features(path: Path) -> tuple[np.ndarray, list[int]]:
    """Features float32 [N, 1, D] and classes, which the last column holds."""
    rows = _rows(path)
    table = []
    for number, row in enumerate(rows, 1):
        try:
            table.append([float(value) for value in row])
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from error
        if len(row) != len(rows[0]) or row[-1] not in ("0", "1"):
            raise DataError(
                f"{path}, line {number}: {len(row)} columns, the last {row[-1]!r}; expected {len(rows[0])}, 0 or 1"
            )
    if not table:
        raise DataError(f"{path} has no rows")
    array = np.array(table, np.float32)
    return array[:, None, :-1], [int(value) for value in array[:, -1]]


def _utterances(folder: Path, labels: list[int]) -> dict[str, np.ndarray]:
    """Name, words and video of each row, where the files that tell them are there."""
    tables = [folder / f"text_{part}.csv" for part in PARTS]
    if not all(path.is_file() for path in (folder / "transcripts.csv", *tables)):
        return {}
    spoken = _rows(folder / "transcripts.csv")
    found = []
    for path in tables:
        for number, row in enumerate(_rows(path), 1):
            place = int(row[0]) if row[0].isdecimal() else len(spoken)
            if place >= len(spoken) or len(spoken[place]) != 4:
                raise DataError(f"{path}, line {number}: {row[0]!r} is no row of transcripts.csv ({len(spoken)} rows)")
            found.append(spoken[place])
    wrong = [i for i, (row, label) in enumerate(zip(found, labels, strict=False)) if row[3] != str(label)]
    if wrong or len(found) != len(labels):
        what = f"the class of {found[wrong[0]][0]} differs" if wrong else f"{len(found)} rows for {len(labels)}"
        raise DataError(f"{folder}: transcripts.csv and text_*.csv do not belong to the features ({what})")
    names = [row[0] for row in found]
    return {
        "utterance": np.array(names),
        "transcript": np.array([row[1] for row in found]),
        "sequence": np.array([name.rsplit("_", 1)[0] for name in names]),
    }


@DATASETS.register("mosi", samples=2199, modalities=MODALITIES, labels=SENTIMENT2, licence="research only")
def mosi(root: Path) -> Index:
    """CMU-MOSI: features `audio` float32 [1, 73], `video` [1, 100] and `text` [1, 100]; train and test by speaker.

    `audio` holds acoustic statistics, not sound. `extra` holds `utterance`, `transcript` and, as `sequence`, the video,
    in which one person speaks.

    Raises:
        DataError: a file is missing, a line malformed or the modalities do not match.
    """
    root = Path(root)
    folder = root / "data" if (root / "data").is_dir() else root
    if not (folder / "text" / "text_train0.csv").is_file():
        raise DataError(f"{root} holds no data/text/text_train0.csv")
    media, classes = {}, {}
    for modality in MODALITIES:
        parts = [_features(folder / modality / f"{modality}_{part}0.csv") for part in PARTS]
        media[modality] = Arrays(np.concatenate([features for features, _ in parts]))
        classes[modality] = [label for _, labels in parts for label in labels]
        sizes = [len(labels) for _, labels in parts]
    if not classes["audio"] == classes["video"] == classes["text"]:
        raise DataError(f"{folder}: audio, video and text have other rows or classes; they must be of one release")
    targets, majority = one_hot([SENTIMENT2[label] for label in classes["text"]], SENTIMENT2)
    split = np.repeat([SPLITS.index(part) for part in PARTS], sizes)
    extra = _utterances(folder, classes["text"])
    return Index(SENTIMENT2, targets, majority, split, np.full(len(split), ""), media, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the same layout."""
    random = np.random.default_rng(seed)
    folder = Path(root) / "data"
    spoken = [(f"video{row // 3}_{row % 3 + 1}", "IT WAS REALLY GOOD", row // 3 + 1, row % 2) for row in range(12)]
    for modality, width in zip(MODALITIES, (73, 100, 100), strict=True):
        (folder / modality).mkdir(parents=True, exist_ok=True)
        for part, chosen in (("train", range(6)), ("test", range(6, 12))):
            rows = [[f"{value:.5f}" for value in random.uniform(-1, 1, width)] for _ in chosen]
            labelled = [[*row, spoken[place][3]] for row, place in zip(rows, chosen, strict=True)]
            _write(folder / modality / f"{modality}_{part}0.csv", labelled)
            if modality == "text":
                numbered = [[place, *row] for row, place in zip(rows, chosen, strict=True)]
                _write(folder / f"text_{part}.csv", numbered)
    _write(folder / "transcripts.csv", [list(row) for row in spoken])


def _write(path: Path, rows: list[list[object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)


FAKES["mosi"] = fake
