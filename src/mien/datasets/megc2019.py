"""The composite of the Micro-Expression Grand Challenge 2019: SMIC, CASME II and SAMM as one set of three classes.

Paper: See et al., "MEGC 2019 - the second facial micro-expressions grand challenge", FG 2019; flow images of Liong et
    al., "Shallow triple stream three-dimensional CNN (STSTNet)", FG 2019, as spread with Wang et al., "HTNet", 2024.
Layout: `labels.csv` (flow_file_28x28, face_file_224, subject, dataset, label_0neg_1pos_2sur), or the challenge's own
    headerless `combined_3class_gt.csv` (smic, s01, s1_ne_01, 0); `STSNet_whole_norm_u_v_os/006_006_1_2 .png` (28x28,
    with the space before the dot) and `combined_datasets_whole/006_006_1_2.jpg` (224x224).
Labels: 0 negative 250, 1 positive 109, 2 surprise 83; SMIC 164, CASME II 145, SAMM 133 clips; 68 people.
Licence: signed agreements with the authors of each of the three.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Pictures
from mien.datasets.workbooks import read_rows, read_table
from mien.errors import DataError
from mien.labels import MICRO3

FLOW, FACE = "STSNet_whole_norm_u_v_os", "combined_datasets_whole"
COLUMNS = ("flow_file_28x28", "face_file_224", "subject", "dataset", "label_0neg_1pos_2sur")
PARTS = {"smic": "smic", "casme2": "casme2", "casmeii": "casme2", "samm": "samm"}


def _key(name: str) -> str:
    """A clip's name without the differences of spelling between the lists: `s01_s01_ne_01 .png` is `s1_s1_ne_1`."""
    return re.sub(r"0*(\d+)", r"\1", Path(name).stem.strip().lower())


def _challenge_rows(root: Path, table: Path) -> list[tuple[int, list[str]]]:
    """The challenge's own list, in the columns of labels.csv."""
    files = {folder: {_key(path.name): path.name for path in (root / folder).glob("*")} for folder in (FLOW, FACE)}
    rows = []
    for number, cells in read_rows(table):
        if not any(cells):
            continue
        if len(cells) != 4:
            raise DataError(f"{table}, row {number}: {len(cells)} columns, expected data set, subject, clip, class")
        part, subject, clip, label = cells
        names = [files[folder].get(_key(f"{subject}_{clip}")) for folder in (FLOW, FACE)]
        if None in names:
            raise DataError(f"{table}, row {number}: no flow or face picture is named like {subject}_{clip}")
        rows.append((number, [str(names[0]), str(names[1]), subject, part, label]))
    return rows


def _rows(root: Path) -> tuple[Path, list[tuple[int, list[str]]]]:
    table = root / "labels.csv"
    if table.is_file():
        return table, [(number, [cells[name] for name in COLUMNS]) for number, cells in read_table(table, COLUMNS)]
    table = root / "combined_3class_gt.csv"
    if table.is_file():
        return table, _challenge_rows(root, table)
    raise DataError(f"{root} holds neither labels.csv nor combined_3class_gt.csv beside {FLOW}/ and {FACE}/")


@DATASETS.register(
    "megc2019",
    samples=442,
    subjects=68,
    modalities=("flow", "face"),
    labels=MICRO3,
    licence="signed agreements with the three authors",
)
def megc2019(root: Path) -> Index:
    """The composite: `flow` uint8 [28, 28, 3] (u, v, optical strain) and `face` RGB [224, 224, 3]; no frames.

    `extra["part"]` names the data set a clip comes from; leave one of the 68 subjects out.

    Raises:
        DataError: the list is missing or a line of it malformed.
    """
    root = Path(root)
    root = root / "megc2019_htnet" if (root / "megc2019_htnet").is_dir() else root
    table, rows = _rows(root)
    if not rows:
        raise DataError(f"{table} has no rows")
    names, subjects, parts = [], [], []
    for number, (_, _, subject, part, label) in rows:
        place = PARTS.get(part.lower().replace(" ", ""))
        if place is None or label not in ("0", "1", "2") or not re.search(r"\d", subject):
            raise DataError(
                f"{table}, row {number}: data set {part!r}, subject {subject!r}, class {label!r}; "
                f"expected one of {', '.join(PARTS)}, a numbered subject and 0, 1 or 2"
            )
        names.append(MICRO3[int(label)])
        parts.append(place)
        # the lists disagree on zeros (SAMM's 006 is 6 in the challenge's own)
        person = f"{int(subject):03d}" if subject.isdecimal() else subject
        subjects.append(f"{place}-{person}")
    targets, majority = one_hot(names, MICRO3)
    media = {
        "flow": Pictures([_with_space(root / FLOW / cells[0]) for _, cells in rows]),
        "face": Pictures([root / FACE / cells[1] for _, cells in rows]),
    }
    split = np.full(len(rows), NO_SPLIT)
    return Index(MICRO3, targets, majority, split, np.array(subjects), media, {"part": np.array(parts)})


def _with_space(path: Path) -> Path:
    """The flow picture as it is called on disk: some copies dropped the space before the dot, csv readers strip it."""
    return path if path.is_file() else path.with_name(f"{path.stem.strip()}.png")


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny tree in the widespread layout."""
    random = np.random.default_rng(seed)
    root = Path(root)
    for folder in (FLOW, FACE):
        (root / folder).mkdir(parents=True, exist_ok=True)
    lines = [",".join(COLUMNS)]
    people = (("SAMM", "006", "006_1_{}"), ("CASMEII", "sub01", "EP19_0{}"), ("SMIC", "s01", "s01_ne_0{}"))
    for part, subject, clip in people:
        for label in range(3):
            name = f"{subject}_{clip.format(label + 2)}"
            face = name.replace("s01_s01", "s01_s1")
            lines.append(f"{name} .png,{face}.jpg,{subject},{part},{label}")
            flow = random.integers(0, 255, (28, 28, 3), dtype=np.uint8)
            cv2.imwrite(str(root / FLOW / f"{name} .png"), flow)
            coarse = random.integers(0, 255, (7, 7, 3), dtype=np.uint8)
            cv2.imwrite(str(root / FACE / f"{face}.jpg"), coarse.repeat(32, 0).repeat(32, 1))
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


FAKES["megc2019"] = fake
