"""Band features of the EEG of DEAP and MAHNOB-HCI, as spread in text files that need no raw recordings.

Paper: Koelstra et al., "DEAP", IEEE Trans. Affective Computing 3(1), 2012; Soleymani et al., "A multimodal database for
    affect recognition and implicit tagging", IEEE Trans. Affective Computing 3(1), 2012.
Layout: `DEAP/` and `MAHNOB-HCI/`, each with `EEG_feature.txt` (160 columns: 32 electrodes of theta, then of slow alpha,
    alpha, beta, gamma), `subject_video.txt` and `valence_arousal_label.txt` (1 positive or high, 2 negative or low);
    MAHNOB-HCI also `EEG_emotion_category.txt`. Rows are aligned by order.
Labels: DEAP has no categories: the sign of valence. MAHNOB-HCI: 0 neutral 1 anger 2 disgust 3 fear 4 joy 5 sadness
    6 surprise 11 amusement 12 anxiety.
Licence: signed agreements with the authors of the recordings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, FAKES, NO_SPLIT, Index, one_hot
from mien.datasets.media import Arrays
from mien.errors import DataError
from mien.labels import MAHNOB9, SENTIMENT2

FEATURES = 160
CATEGORIES = {
    0: "neutral",
    1: "anger",
    2: "disgust",
    3: "fear",
    4: "happiness",
    5: "sadness",
    6: "surprise",
    11: "amusement",
    12: "anxiety",
}
LICENCE = "signed agreement, research only"


def _read(path: Path, columns: int) -> np.ndarray:
    """Numbers [N, columns] of a text file; an error names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is missing or not a text file ({error})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = np.array(line.split(), np.float64)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from error
        if len(row) != columns:
            raise DataError(f"{path}, line {number}: {len(row)} columns, expected {columns}")
        rows.append(row)
    if not rows:
        raise DataError(f"{path} has no rows")
    return np.stack(rows)


def _sign(path: Path, column: np.ndarray) -> np.ndarray:
    """1 (positive, high) as +1 and 2 (negative, low) as -1."""
    wrong = np.flatnonzero((column != 1) & (column != 2))
    if len(wrong):
        raise DataError(f"{path}, row {wrong[0] + 1}: {column[wrong[0]]:g}, expected 1 (high) or 2 (low)")
    return np.where(column == 1, 1.0, -1.0).astype(np.float32)


def _features(root: Path, name: str) -> tuple[Path, Arrays, np.ndarray, dict[str, np.ndarray]]:
    """Folder, features, people and the extra columns that both sets have."""
    folder = root / name if (root / name).is_dir() else root
    if not (folder / "EEG_feature.txt").is_file():
        raise DataError(f"{root} holds no {name}/EEG_feature.txt")
    features = _read(folder / "EEG_feature.txt", FEATURES).astype(np.float32)
    people = _read(folder / "subject_video.txt", 2)
    halves = _read(folder / "valence_arousal_label.txt", 2)
    if not len(features) == len(people) == len(halves):
        raise DataError(f"{folder}: {len(features)} features, {len(people)} subjects, {len(halves)} labels; reload it")
    where = folder / "valence_arousal_label.txt"
    extra = {
        "valence": _sign(where, halves[:, 0]),
        "arousal": _sign(where, halves[:, 1]),
        "video": people[:, 1].astype(np.int64),
        "pleasant": halves[:, 0] == 1,
        "aroused": halves[:, 1] == 1,
    }
    subject = np.array([f"p{int(person):02d}" for person in people[:, 0]])
    return folder, Arrays(features[:, None]), subject, extra


@DATASETS.register("deap-features", samples=1216, subjects=32, modalities=("eeg",), labels=SENTIMENT2, licence=LICENCE)
def deap_features(root: Path) -> Index:
    """DEAP's features, one trial a row: `eeg` float32 [1, 160], feature = 32 band + electrode; classes of valence.

    `extra` holds `valence` and `arousal` (+1 or -1), `pleasant` and `aroused` (the same as bool) and `video`. No
    official split: fold by person.

    Raises:
        DataError: a file is missing or a line malformed.
    """
    folder, eeg, subject, extra = _features(Path(root), "DEAP")
    if (folder / "EEG_emotion_category.txt").is_file():
        raise DataError(f"{folder} has categories and is MAHNOB-HCI; read it with mahnob-features")
    targets, majority = one_hot([SENTIMENT2[int(sign > 0)] for sign in extra["valence"]], SENTIMENT2)
    return Index(SENTIMENT2, targets, majority, np.full(len(eeg), NO_SPLIT), subject, {"eeg": eeg}, extra)


@DATASETS.register("mahnob-features", samples=533, subjects=27, modalities=("eeg",), labels=MAHNOB9, licence=LICENCE)
def mahnob_features(root: Path) -> Index:
    """MAHNOB-HCI's features, one trial a row: `eeg` float32 [1, 160], feature = 32 band + electrode; nine classes.

    `extra` holds `valence` and `arousal` (+1 or -1), `pleasant` and `aroused` (the same as bool) and `video`. No
    official split: fold by person.

    Raises:
        DataError: a file is missing or a line malformed.
    """
    folder, eeg, subject, extra = _features(Path(root), "MAHNOB-HCI")
    path = folder / "EEG_emotion_category.txt"
    codes = _read(path, 1)[:, 0]
    unknown = [row for row, code in enumerate(codes) if code not in CATEGORIES]
    if unknown or len(codes) != len(eeg):
        what = f"row {unknown[0] + 1}: {codes[unknown[0]]:g}" if unknown else f"{len(codes)} rows for {len(eeg)} trials"
        raise DataError(f"{path}, {what}; expected for each trial one of {', '.join(map(str, CATEGORIES))}")
    targets, majority = one_hot([CATEGORIES[int(code)] for code in codes], MAHNOB9)
    return Index(MAHNOB9, targets, majority, np.full(len(eeg), NO_SPLIT), subject, {"eeg": eeg}, extra)


def fake(root: Path, name: str, seed: int = 0) -> None:
    """Write one tiny folder in the same layout, eighteen trials of three people."""
    random = np.random.default_rng(seed)
    folder = Path(root) / name
    folder.mkdir(parents=True, exist_ok=True)
    codes = list(CATEGORIES) * 2
    tables = {
        "EEG_feature": ["\t".join(f"{value:.6f}" for value in random.normal(4, 1, FEATURES)) for _ in codes],
        "subject_video": [f"{row % 3 + 1}\t{row + 1}" for row in range(len(codes))],
        "valence_arousal_label": [f"{1 + (code not in (4, 11))}\t{1 + row % 2}" for row, code in enumerate(codes)],
        "EEG_emotion_category": [str(code) for code in codes],
    }
    if name == "DEAP":
        del tables["EEG_emotion_category"]
    for table, lines in tables.items():
        (folder / f"{table}.txt").write_text("\n".join(lines), encoding="utf-8")


FAKES["deap-features"] = lambda root, seed=0: fake(root, "DEAP", seed)
FAKES["mahnob-features"] = lambda root, seed=0: fake(root, "MAHNOB-HCI", seed)
