"""DFEW: dynamic facial expressions in the wild, clips from films, five official folds.

Paper: Jiang et al., "DFEW: a large-scale database for recognizing dynamic facial expressions in the wild", ACM MM 2020.
Layout: `EmoLabel_DataSplit/train(single-labeled)/set_1.csv` ... `set_5.csv` and `test(single-labeled)/...` (video_name,
    label); `Clip/clip_224x224/<00001>/*.jpg`, also in `clip_224x224_part_<n>` folders, or `Clip/clip_224x224_16f/`, or
    `Clip/clip_224x224_avi/<00001>.avi`, or the uncut `Clip/original/<1>.mp4`; `Annotation/annotation.xlsx` (or .csv;
    seven columns of votes in the order of the labels, clip name, label). Layout from the release's own notes.
Labels: 1 happiness 2 sadness 3 neutral 4 anger 5 surprise 6 disgust 7 fear; single-labelled clips only, those in which
    more than six of ten annotators agree.
Licence: agreement with the authors, research only.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Clips, Media
from mien.datasets.recordings import FrameFolders, find, read_csv
from mien.datasets.workbooks import read_rows, write_xlsx
from mien.errors import DataError
from mien.labels import BASIC7

ORDER = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
FOLDS = (1, 2, 3, 4, 5)
CLIPS = ("clip_224x224", "clip_224x224_16f", "clip_224x224_avi", "original")
LICENCE = "agreement with the authors, research only"


def _home(root: Path) -> Path:
    expected = "EmoLabel_DataSplit/train(single-labeled)/set_1.csv"
    return find(root, ("EmoLabel_DataSplit", "*/EmoLabel_DataSplit"), expected)[0].parent


def _split(home: Path, name: str, fold: int) -> list[tuple[int, str, int]]:
    """(clip number, label, split) of one list."""
    lists = home / "EmoLabel_DataSplit"
    path = find(lists, (f"{name}*single?label*/set_{fold}.csv",), f"{name}(single-labeled)/set_{fold}.csv")[0]
    rows = []
    for line, row in read_csv(path, ("video_name", "label")):
        clip, label = row["video_name"].strip(), row["label"].strip()
        if not clip.isdecimal() or not label.isdecimal() or not 1 <= int(label) <= len(ORDER):
            raise DataError(f"{path}, line {line}: {clip!r}, {label!r}; expected a clip's number and a label 1 to 7")
        rows.append((int(clip), ORDER[int(label) - 1], SPLITS.index(name)))
    return rows


def _media(home: Path, clips: list[int]) -> Media:
    """The first of the released forms that is there; a clip that it lacks is named when it is read."""
    folder = next((home / "Clip" / name for name in CLIPS if (home / "Clip" / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{home / 'Clip'} holds none of {', '.join(CLIPS)}")
    items = [*folder.iterdir(), *(item for part in folder.glob("*_part_*") for item in part.iterdir())]
    known = {int(item.stem): item for item in items if item.stem.isdecimal()}
    if not known:
        raise DataError(f"{folder} holds no clips named by their number, such as 00001")
    paths = [known.get(clip, folder / f"{clip:05d}") for clip in clips]
    return FrameFolders(paths) if next(iter(known.values())).is_dir() else Clips(paths)


def _votes(home: Path, clips: list[int]) -> np.ndarray:
    """Votes [N, 7] in the order of BASIC7, zeros where there is no list of them."""
    place = {clip: row for row, clip in enumerate(clips)}
    votes = np.zeros((len(clips), len(ORDER)), np.int64)
    lists = [path for path in sorted((home / "Annotation").glob("**/annotation.*")) if path.suffix in (".xlsx", ".csv")]
    path = lists[0] if lists else None
    columns = [BASIC7.index(name) for name in ORDER]
    for line, row in read_rows(path) if path else ():
        clip = row[7].split(".")[0] if len(row) > 7 else ""
        if not clip.isdecimal():
            if line > 1:  # the first row may be a header
                raise DataError(f"{path}, line {line}: expected seven votes, a clip's number and a label, found {row}")
        elif int(clip) in place:
            try:
                votes[place[int(clip)], columns] = [int(float(vote)) for vote in row[:7]]
            except ValueError:
                raise DataError(f"{path}, line {line}: expected seven numbers of votes, found {row[:7]}") from None
    return votes


@DATASETS.register("dfew", samples=11697, modalities=("frames",), labels=BASIC7, licence=LICENCE)
def dfew(root: Path, fold: int = 1) -> Index:
    """One official fold of the single-labelled clips in which a face was found; persons are unknown.

    `targets` are the annotators' votes where `Annotation/annotation.xlsx` is there, else the label alone. `extra` has
    `votes` [N, 7] and `clip`, the number in the release.

    Args:
        fold: 1 to 5, the part that is the test split.

    Raises:
        DataError: a list or the clips are missing, or a line is malformed.
    """
    if fold not in FOLDS:
        raise DataError(f"DFEW has no fold {fold}; choose one of {', '.join(map(str, FOLDS))}")
    home = _home(Path(root))
    rows = [*_split(home, "train", fold), *_split(home, "test", fold)]
    clips = [clip for clip, _, _ in rows]
    targets, majority = one_hot([label for _, label, _ in rows], BASIC7)
    votes = _votes(home, clips)
    voted = votes[np.arange(len(rows)), majority] > 0
    targets[voted] = votes[voted] / votes[voted].sum(1, keepdims=True)
    split = np.array([split for _, _, split in rows], np.int64)
    extra = {"votes": votes, "clip": np.array(clips, np.int64)}
    return Index(BASIC7, targets, majority, split, np.full(len(rows), ""), {"frames": _media(home, clips)}, extra)


def _register(fold: int) -> None:
    @DATASETS.register(f"dfew-{fold}", samples=11697, modalities=("frames",), labels=BASIC7, licence=LICENCE)
    def one_fold(root: Path) -> Index:
        return dfew(root, fold)

    one_fold.__doc__ = f"DFEW, official fold {fold}; see `dfew`."


for _fold in FOLDS:
    _register(_fold)


def fake(root: Path, seed: int = 0) -> None:
    """Write fifteen clips, their votes and five folds of three test clips."""
    random = np.random.default_rng(seed)
    root = Path(root)
    labels = {clip: 1 + clip % 7 for clip in range(1, 16)}
    votes = [[8 if k + 1 == label else int(k == label % 7) * 2 for k in range(7)] for label in labels.values()]
    header: list[str | int] = [
        "1happy",
        "2sad",
        "3neutral",
        "4angry",
        "5surprise",
        "6disgust",
        "7fear",
        "order",
        "label",
    ]
    rows: list[list[str | int]] = [header]
    rows += [[*vote, f"{clip:05d}", labels[clip]] for clip, vote in zip(labels, votes, strict=True)]
    (root / "Annotation").mkdir(parents=True)
    write_xlsx(root / "Annotation" / "annotation.xlsx", rows)
    for clip in labels:
        folder = root / "Clip" / "clip_224x224" / f"{clip:05d}"
        folder.mkdir(parents=True)
        for frame in range(1, 4):
            face = random.integers(0, 255, (7, 7, 3), dtype=np.uint8)
            quality = [cv2.IMWRITE_JPEG_QUALITY, 40]
            cv2.imwrite(str(folder / f"{clip}_{frame}.jpg"), cv2.resize(face, (56, 56)), quality)
    for fold in FOLDS:
        for name in ("train", "test"):
            path = root / "EmoLabel_DataSplit" / f"{name}(single-labeled)" / f"set_{fold}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            chosen = [clip for clip in labels if (clip % 5 == fold - 1) == (name == "test")]
            path.write_text("video_name,label\n" + "".join(f"{clip},{labels[clip]}\n" for clip in chosen))


for _name in ("dfew", *(f"dfew-{_fold}" for _fold in FOLDS)):
    FAKES[_name] = fake
