"""EmotioNet: web faces with action units, and the categories that follow from them.

Paper: Benitez-Quiroz, Srinivasan, Martinez, "EmotioNet: an accurate, real-time algorithm for the automatic annotation
    of a million facial expressions in the wild", CVPR 2016; and "EmotioNet challenge", arXiv 1703.01210.
Layout: `dataFile_<nnnn>.txt` at the root or in a folder `emotioNet_challenge_files*`, without a header, separated by
    tabs: the picture's address at the authors' server, its address on the web, then 60 action units (1 active, 0 not,
    999 unknown). `dataFile_1000.txt` is the part annotated by hand (25,000; AUs 1 2 4 5 6 9 10 12 15 17 18 20 24 25 26
    28 43 51-56), the others are automatic (950,000; AUs 1 2 4 5 6 9 12 17 20 25 26 43). `emotionet-16` reads
    `URLsWithEmotionCat*.xlsx` (without its password) or the same as csv, of the challenge's second track: two
    addresses, then a column a category, 1 where it holds. Pictures are downloaded from the addresses to
    `Images/N_<n>/N_<n>_<nnnnn>.jpg`, as in the address, or to `images/<list>/<name>.jpg`. Layout from public scripts
    that download and read the set; untried on the real tree.
Labels: the paper's 23 basic and compound categories, by their prototypical action units (`PROTOTYPES`).
Differs: the lists name no category. A face has the one with most action units among those whose units are all active,
    and none (majority -1) where two have as many or no prototype fits; the paper does not say what further active
    units change. AU 7 is never annotated, so anger, hatred and sadly angry cannot come out of the published lists.
Licence: research only, by agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, SPLITS, Index, one_hot
from mien.datasets.media import Pictures
from mien.datasets.webface import pictures_in
from mien.datasets.workbooks import read_rows, write_xlsx
from mien.errors import DataError

PROTOTYPES = {
    "happiness": (12, 25),
    "sadness": (4, 15),
    "fear": (1, 4, 20, 25),
    "anger": (4, 7, 24),
    "surprise": (1, 2, 25, 26),
    "disgust": (9, 10, 17),
    "happily sad": (4, 6, 12, 25),
    "happily surprised": (1, 2, 12, 25),
    "happily disgusted": (10, 12, 25),
    "sadly fearful": (1, 4, 15, 25),
    "sadly angry": (4, 7, 15),
    "sadly surprised": (1, 4, 25, 26),
    "sadly disgusted": (4, 10),
    "fearfully angry": (4, 20, 25),
    "fearfully surprised": (1, 2, 5, 20, 25),
    "fearfully disgusted": (1, 4, 10, 20, 25),
    "angrily surprised": (4, 25, 26),
    "disgustedly surprised": (1, 2, 5, 10),
    "happily fearful": (1, 2, 12, 25, 26),
    "angrily disgusted": (4, 10, 17),
    "awe": (1, 2, 5, 25),
    "appalled": (4, 9, 10),
    "hatred": (4, 7, 10),
}
"""The action units of each category."""

LABELS = tuple(PROTOTYPES)
SHEET = {
    "angrily_disgusted": "angrily disgusted",
    "angrily_surprised": "angrily surprised",
    "angry": "anger",
    "appalled": "appalled",
    "awed": "awe",
    "disgusted": "disgust",
    "fearful": "fear",
    "fearfully_angry": "fearfully angry",
    "fearfully_surprised": "fearfully surprised",
    "happily_disgusted": "happily disgusted",
    "happily_surprised": "happily surprised",
    "happy": "happiness",
    "sad": "sadness",
    "sadly_angry": "sadly angry",
    "sadly_disgusted": "sadly disgusted",
    "surprised": "surprise",
}
LABELS16 = tuple(SHEET.values())
UNITS = 60
STATES = {"0": 0, "1": 1, "999": -1}
BY_HAND = "dataFile_1000"
LICENCE = "research only, by agreement"


def category(active: Sequence[int]) -> str:
    """The category of a set of active action units, or "".

    >>> category([6, 12, 25]), category([1, 2, 12, 25]), category([12])
    ('happiness', 'happily surprised', '')
    """
    fitting = sorted((-len(units), name) for name, units in PROTOTYPES.items() if set(units) <= set(active))
    if not fitting or (len(fitting) > 1 and fitting[0][0] == fitting[1][0]):
        return ""
    return fitting[0][1]


class _Downloads:
    """Which pictures of the lists lie on disk; each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self.base = next((root / name for name in ("Images", "images") if (root / name).is_dir()), root)
        self.known: dict[Path, frozenset[str]] = {}

    def find(self, address: str, listing: str) -> Path | None:
        *above, name = address.strip("'\" ").split("/")
        for folder in (self.base / above[-1] if above else self.base, self.base / listing, self.base):
            if folder not in self.known:
                self.known[folder] = frozenset(pictures_in(folder))
            if name in self.known[folder]:
                return folder / name
        return None


def _units(text: str) -> tuple[np.ndarray, str]:
    states = [STATES[word.strip()] for word in text.split("\t")]
    if len(states) != UNITS:
        raise ValueError(f"{len(states)} action units")
    return np.array(states, np.int8), category([k + 1 for k, state in enumerate(states) if state == 1])


def _lists(root: Path, pattern: str) -> list[Path]:
    return sorted(path for folder in (root, *sorted(root.glob("emotioNet*"))) for path in folder.glob(pattern))


@DATASETS.register("emotionet", samples=975000, modalities=("face",), labels=LABELS, licence=LICENCE)
def emotionet(root: Path) -> Index:
    """EmotioNet's downloaded pictures, RGB and whole; val is the part annotated by hand, train the automatic one.

    `extra["action_units"]` int8 [N, 60] is AU 1 to 60: 1 active, 0 not, -1 unknown. Rows whose picture is not on disk
    (many addresses are dead) are left out. The pictures are not cut to the face: detect it first.

    Raises:
        DataError: no list, a malformed line, or not a single picture of the lists on disk.
    """
    root = Path(root)
    lists, downloads = _lists(root, "dataFile_*.txt"), _Downloads(root)
    if not lists:
        raise DataError(f"{root} holds no dataFile_<nnnn>.txt of EmotioNet's challenge files")
    seen: dict[str, tuple[np.ndarray, str]] = {}  # a million rows repeat a few thousand patterns
    rows: list[tuple[Path, str, str]] = []
    for path in lists:
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    address, _, text = line.rstrip("\r\n\t").split("\t", 2)
                    if text not in seen:
                        seen[text] = _units(text)
                except (ValueError, KeyError) as error:
                    raise DataError(
                        f"{path}, line {number}: expected two addresses and {UNITS} action units of 0, 1 or 999, "
                        f"separated by tabs: {error}"
                    ) from error
                picture = downloads.find(address, path.stem)
                if picture is not None:
                    rows.append((picture, text, "val" if path.stem == BY_HAND else "train"))
    if not rows:
        raise DataError(f"{downloads.base} holds no picture of the lists; expected N_<n>/N_<n>_<nnnnn>.jpg")
    targets, majority = one_hot([seen[row[1]][1] for row in rows], LABELS)
    split = np.array([SPLITS.index(row[2]) for row in rows], np.int64)
    extra = {"action_units": np.stack([seen[row[1]][0] for row in rows])}
    faces = Pictures([row[0] for row in rows])
    return Index(LABELS, targets, majority, split, np.full(len(rows), ""), {"face": faces}, extra)


@DATASETS.register("emotionet-16", samples=2478, modalities=("face",), labels=LABELS16, licence=LICENCE)
def emotionet_sixteen(root: Path) -> Index:
    """The challenge's second track: 16 categories given by people, RGB, whole pictures; no official split.

    The count, 2,478, is that of later papers. Rows whose picture is not on disk are left out.

    Raises:
        DataError: no sheet, unknown columns, a row of no or several categories, or no picture on disk.
    """
    root = Path(root)
    lists, downloads = _lists(root, "URLsWithEmotionCat*.[cx]*"), _Downloads(root)
    if not lists:
        raise DataError(f"{root} holds no URLsWithEmotionCat*.xlsx (without its password) or .csv")
    (_, header), *lines = read_rows(lists[0]) or [(1, [])]
    header = [name.lower() for name in header]
    if not set(SHEET) <= set(header):
        raise DataError(f"{lists[0]}: expected the columns {', '.join(SHEET)}")
    columns = {name: header.index(column) for column, name in SHEET.items()}
    rows: list[tuple[Path, str]] = []
    for number, line in lines:
        if not any(line):
            continue
        names = [name for name, k in columns.items() if k < len(line) and line[k] in ("1", "1.0")]
        if len(names) != 1:
            raise DataError(f"{lists[0]}, row {number}: expected one category, found {', '.join(names) or 'none'}")
        picture = downloads.find(line[0], lists[0].stem)
        if picture is not None:
            rows.append((picture, names[0]))
    if not rows:
        raise DataError(f"{downloads.base} holds no picture of {lists[0].name}")
    targets, majority = one_hot([row[1] for row in rows], LABELS16)
    split, nobody = np.full(len(rows), NO_SPLIT), np.full(len(rows), "")
    return Index(LABELS16, targets, majority, split, nobody, {"face": Pictures([row[0] for row in rows])})


def fake(root: Path, seed: int = 0) -> None:
    """Write two tiny lists, a sheet and pictures; the last address of each list is dead."""
    random = np.random.default_rng(seed)
    root = Path(root)
    server = "https://s3.us-east-2.amazonaws.com/emotionet/Images"
    sheet: list[list[str | int]] = [["URL", "URL_orig", *SHEET]]
    for number, listing in enumerate(("dataFile_0001", BY_HAND), 1):
        folder = root / "Images" / f"N_{number:010d}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for row, units in enumerate((*PROTOTYPES.values(), ())):
            name = f"{folder.name}_{row:05d}.jpg"
            states = [str(int(unit in units)) if unit < 57 else "999" for unit in range(1, UNITS + 1)]
            lines.append("\t".join([f"{server}/{folder.name}/{name}", f"http://example.org/{row}.jpg", *states]))
            if units:
                cv2.imwrite(str(folder / name), random.integers(0, 255, (40, 40, 3), dtype=np.uint8))
            if listing != BY_HAND and row < len(SHEET):
                given = [1 if k == row else -1 for k in range(len(SHEET))]
                sheet.append([f"{server}/{folder.name}/{name}", "http://example.org", *given])
        (root / f"{listing}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_xlsx(root / "URLsWithEmotionCat_aws.xlsx", sheet)


FAKES["emotionet"] = FAKES["emotionet-16"] = fake
