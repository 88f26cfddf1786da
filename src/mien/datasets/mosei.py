"""CMU-MOSEI: sentences of 1,000 people in online videos, as aligned features of voice, face and words.

Paper: Zadeh et al., "Multimodal language analysis in the wild: CMU-MOSEI dataset and interpretable dynamic fusion
    graph", ACL 2018.
Layout: one pickle of arrays, as most work uses: `mosei_senti_data.pkl`, spread with Tsai et al., "Multimodal
    transformer for unaligned multimodal language sequences", ACL 2019 (for each of train, valid and test: text [N, 50,
    300], audio [N, 50, 74], vision [N, 50, 35], labels [N, 1, 1], id), or `aligned_50.pkl` of the MMSA tool kit (text,
    audio, vision, regression_labels, id, raw_text). The original .csd files are not read. Untried on the real files.
Labels: sentiment from -3 to 3; below 0 negative, 0 neutral, above positive. 16,326 / 1,871 / 4,659 sentences.
Licence: research only.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets import DATASETS, FAKES, SPLITS, Index, one_hot
from mien.datasets.media import Arrays
from mien.datasets.pickles import load_arrays
from mien.errors import DataError
from mien.labels import SENTIMENT2, SENTIMENT3

FILES = ("mosei_senti_data.pkl", "aligned_50.pkl", "Processed/aligned_50.pkl")
PARTS = ("train", "valid", "test")
KEYS = {"audio": "audio", "video": "vision", "text": "text"}


def _features(path: Path, part: str, content: dict[str, Any], key: str, rows: int) -> np.ndarray:
    """Float32 [rows, T, D]; what is not finite (COVAREP's logarithms of silence) becomes 0."""
    array = content.get(key)
    if not isinstance(array, np.ndarray) or array.ndim != 3 or len(array) != rows or array.dtype.kind != "f":
        shape = getattr(array, "shape", type(array).__name__)
        raise DataError(f"{path}: {key} of {part} is {shape}, expected numbers [{rows}, steps, features]")
    array = array.astype(np.float32, copy=False)
    array[~np.isfinite(array)] = 0
    return array


def _video(name: Any) -> str:
    """The video of a sentence: the first of (video, start, end), or what stands before `$_$` in the tool kit's."""
    first = name[0] if isinstance(name, (np.ndarray, list, tuple)) else name
    text = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
    return text.split("$_$")[0]


def _sentiment(path: Path, part: str, content: dict[str, Any]) -> np.ndarray:
    scores = content.get("regression_labels", content.get("labels"))
    try:
        flat = np.asarray(scores, np.float32).reshape(-1)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: the labels of {part} are no numbers ({error})") from error
    wrong = np.flatnonzero(~(np.abs(flat) <= 3))
    if len(wrong):
        raise DataError(f"{path}: label {wrong[0]} of {part} is {flat[wrong[0]]}, expected -3 to 3")
    return flat


def _read(root: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Arrays], dict[str, np.ndarray]]:
    """Sentiment, split, media and extra columns of the pickle that the folder holds."""
    path = next((root / name for name in FILES if (root / name).is_file()), None)
    if path is None:
        raise DataError(f"{root} holds neither mosei_senti_data.pkl nor aligned_50.pkl")
    content = load_arrays(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(part), dict) for part in PARTS):
        raise DataError(f"{path} holds no parts train, valid and test")
    scores = [_sentiment(path, part, content[part]) for part in PARTS]
    items: dict[str, list[np.ndarray]] = {name: [] for name in KEYS}
    videos: list[str] = []
    for part, score in zip(PARTS, scores, strict=True):
        for name, key in KEYS.items():
            # rows are views, so that gigabytes are not copied to join the parts
            items[name].extend(_features(path, part, content[part], key, len(score)))
        ids = content[part].get("id")
        if ids is None or len(ids) != len(score):
            raise DataError(f"{path}: {part} has no id for each of its {len(score)} sentences")
        videos.extend(_video(name) for name in ids)
    sentiment = np.concatenate(scores)
    extra = {"sequence": np.array(videos), "valence": sentiment / 3}
    if all("raw_text" in content[part] for part in PARTS):
        extra["transcript"] = np.array([str(text) for part in PARTS for text in content[part]["raw_text"]])
    split = np.repeat(np.arange(len(SPLITS)), [len(score) for score in scores])
    return sentiment, split, {name: Arrays(arrays) for name, arrays in items.items()}, extra


@DATASETS.register("mosei", samples=22856, modalities=tuple(KEYS), labels=SENTIMENT3, licence="research only")
def mosei(root: Path) -> Index:
    """CMU-MOSEI in three classes: features `audio` float32 [50, 74], `video` [50, 35] and `text` [50, 300].

    `audio` holds acoustic features, not sound. `extra` holds the sentiment as `valence` in [-1, 1] and, as `sequence`,
    the video. The whole file is read (some gigabytes). Official train, val and test.

    Raises:
        DataError: the file is missing or holds something else.
    """
    sentiment, split, media, extra = _read(Path(root))
    names = [SENTIMENT3[int(np.sign(score)) + 1] for score in sentiment]
    targets, majority = one_hot(names, SENTIMENT3)
    return Index(SENTIMENT3, targets, majority, split, np.full(len(split), ""), media, extra)


@DATASETS.register("mosei-2", samples=22856, modalities=tuple(KEYS), labels=SENTIMENT2, licence="research only")
def mosei_two(root: Path) -> Index:
    """CMU-MOSEI as negative and positive; neutral sentences keep their `valence` and have no class.

    Raises:
        DataError: the file is missing or holds something else.
    """
    sentiment, split, media, extra = _read(Path(root))
    targets, majority = one_hot([("negative", "", "positive")[int(np.sign(s)) + 1] for s in sentiment], SENTIMENT2)
    return Index(SENTIMENT2, targets, majority, split, np.full(len(split), ""), media, extra)


def fake(root: Path, seed: int = 0) -> None:
    """Write a tiny file in the same layout."""
    random = np.random.default_rng(seed)
    Path(root).mkdir(parents=True, exist_ok=True)
    content = {}
    for part, rows in zip(PARTS, (6, 3, 3), strict=True):
        shapes = {"text": (rows, 5, 300), "audio": (rows, 5, 74), "vision": (rows, 5, 35)}
        features = {key: random.uniform(-1, 1, shape).astype(np.float32) for key, shape in shapes.items()}
        features["audio"][0, 0, 0] = -np.inf
        labels = np.resize(np.array([-2.0, 0.0, 1.3333334]), rows).reshape(rows, 1, 1)
        ids = np.array([[f"{part}{row // 2}", "0.5", "3.2"] for row in range(rows)], object)
        content[part] = {**features, "labels": labels, "id": ids}
    (Path(root) / FILES[0]).write_bytes(pickle.dumps(content, protocol=4))


FAKES["mosei"] = FAKES["mosei-2"] = fake
