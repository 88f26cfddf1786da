"""Scoring weights on a data set: the figures of a model card. Uses the ONNX file, not torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets import DATASETS
from mien.datasets.faces import FaceSet, load_faces
from mien.errors import DataError
from mien.metrics.evaluation import Evaluation
from mien.metrics.regression import pearson, spearman
from mien.pipeline.model import Model


def restrict(scores: np.ndarray, labels: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """Scores over `wanted` labels only, renormalised: how an 8-class model is scored on 7 classes."""
    part = scores[:, [labels.index(name) for name in wanted]]
    return np.asarray(part / np.maximum(part.sum(1, keepdims=True), 1e-12))


def evaluate(model: Model, faces: FaceSet, name: str) -> list[Evaluation]:
    """Score a model on all faces of a set; for FER+ also on FER2013's labels and on FER+7.

    Raises:
        DataError: the set has a label that the model does not know.
    """
    return evaluate_scores(model(list(faces.pixels)), model.spec.labels, faces, name)


def evaluate_scores(scores: np.ndarray, labels: tuple[str, ...], faces: FaceSet, name: str) -> list[Evaluation]:
    """The same for scores [N, K] over `labels`.

    Raises:
        DataError: the set has a label that is not among `labels`.
    """
    results = []
    rows = faces.majority >= 0
    results.append(_on(name, labels, faces.labels, faces.majority[rows], scores[rows]))
    seven = tuple(label for label in labels if label != "contempt")
    if "clean7" in faces.extra:
        rows = faces.extra["clean7"] >= 0
        truth = _reindex(faces.extra["clean7"][rows], faces.labels, seven)
        results.append(_on(f"{name}: FER+7", labels, seven, truth, scores[rows]))
    if "fer2013" in faces.extra:
        truth = _reindex(faces.extra["fer2013"], faces.labels, seven)
        results.append(_on(f"{name}: FER2013's own labels", labels, seven, truth, scores))
    return results


def rated_intensity(scores: np.ndarray, labels: tuple[str, ...], faces: FaceSet) -> dict[str, Any]:
    """How what a model says goes with the intensity that people have rated (`extra["intensity"]`).

    Its signal is 1 - neutral, or the top score where it knows no neutral.

    Returns:
        `signal`, `pearson`, `spearman`, `rows`; empty where nobody has rated.
    """
    rated = faces.extra.get("intensity")
    if rated is None or rated.dtype.kind != "f":
        return {}
    known = ~np.isnan(rated)
    neutral = "neutral" in labels
    signal = 1 - scores[:, labels.index("neutral")] if neutral else scores.max(1)
    if known.sum() < 3 or np.ptp(rated[known]) == 0 or np.ptp(signal[known]) == 0:
        return {}
    pairs = rated[known].astype(np.float64), signal[known].astype(np.float64)
    return {
        "signal": "1 - neutral" if neutral else "top score",
        "pearson": round(pearson(*pairs), 4),
        "spearman": round(spearman(*pairs), 4),
        "rows": int(known.sum()),
    }


def _reindex(truth: np.ndarray, old: tuple[str, ...], new: tuple[str, ...]) -> np.ndarray:
    return np.asarray(np.array([new.index(name) if name in new else -1 for name in old])[truth])


def _on(name: str, labels: tuple[str, ...], wanted: tuple[str, ...], truth: np.ndarray, s: np.ndarray) -> Evaluation:
    missing = [label for label in wanted if label not in labels]
    if missing:
        raise DataError(f"{name} has labels that the model does not know: {', '.join(missing)}")
    return Evaluation(name, wanted, truth, restrict(s, labels, wanted))


def load_split(dataset: str, data: Path, split: str) -> FaceSet:
    """One split of a data set, or all of it where `split` is `all`; of clips cut to the face uint8 [N, T, S, S].

    Raises:
        DataError: it has no stills and no such clips, or nothing of that split.
    """
    index = DATASETS.create(dataset, root=data)
    index = index if split == "all" else index.part(split)
    if not len(index):
        raise DataError(f"{dataset} has no {split} rows; where the authors publish no split, take --split all")
    if not DATASETS.facts(dataset).get("cut"):
        return load_faces(index)
    media = index.media["frames"]
    clips = np.stack([np.asarray(media[row]) for row in range(len(index))])
    return FaceSet(clips, index.targets, index.majority, index.split, index.labels, index.group, index.extra)


def clip_scores(model: Model, clips: np.ndarray, pool: str = "mean") -> np.ndarray:
    """Scores [N, K] of clips uint8 [N, T, S, S] by a model of still faces.

    Args:
        pool: `mean` over the frames, or the `peak`: each class's highest score over the frames, made to sum to 1.
    """
    scores = model(clips.reshape(-1, *clips.shape[2:])).reshape(*clips.shape[:2], -1)
    if pool == "mean":
        return np.asarray(scores.mean(1))
    best = scores.max(1)
    return np.asarray(best / best.sum(1, keepdims=True))
