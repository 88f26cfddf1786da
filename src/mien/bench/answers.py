"""What weights answer to the samples of a data set, beside what the data set says of them: for figures by group."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mien.datasets import DATASETS, NO_SPLIT, SPLITS, Index, find_index
from mien.datasets.faces import FaceSet, load_faces
from mien.errors import DataError, WeightsError
from mien.explain.subject import WeightFile
from mien.metrics.evaluation import Evaluation
from mien.train.evaluate import evaluate_scores
from mien.types import Frame


@dataclass(frozen=True)
class Answers:
    """Samples with a label, N of them.

    Attributes:
        weights: what answered.
        labels: K names.
        truth: int64 [N].
        scores: [N, K], rows sum to 1; NaN in the row of a picture in which no face was found.
        person: str [N], or None where the data set names nobody.
        columns: what the data set says of each sample, arrays of N rows.
        rows: which samples, in a few words.
    """

    weights: str
    labels: tuple[str, ...]
    truth: np.ndarray
    scores: np.ndarray
    person: np.ndarray | None
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    rows: str = ""

    def column(self, name: str) -> np.ndarray:
        """Raises: DataError, naming the columns that there are."""
        if name not in self.columns:
            known = [key for key, values in self.columns.items() if values.ndim == 1]
            there = f"it says {', '.join(known)}" if known else "it says nothing of its samples but their label"
            raise DataError(f"the data set does not state {name!r}; {there}")
        return self.columns[name]


def answers(weights: str, dataset: str, data: Path, split: str = "", detector: str = "none") -> Answers:
    """Scores of a weight file, or those that a finished run's test has written (`predictions.npz`).

    Args:
        weights: weights in the package, an .onnx file, or the folder of a run that `mien bench run` has tested.
        split: `train`, `val`, `test` or `all`; empty: `test` where the authors publish a split, else `all`.
        detector: finds the face in each picture first; `none`: each picture is a face.

    Raises:
        DataError: the data set has no such samples, or labels that the weights do not know.
        WeightsError: the run has not been tested, or on other data.
    """
    index = find_index(dataset, data)
    if Path(weights).is_dir():
        return _of_run(Path(weights), index)
    subject = WeightFile(weights)
    kept, rows = _part(index, split, dataset)
    if DATASETS.facts(dataset).get("cut"):
        clips = kept.media["frames"]
        pixels = np.stack([np.asarray(clips[row]) for row in range(len(kept))])
        faces = FaceSet(pixels, kept.targets, kept.majority, kept.split, kept.labels, kept.group, kept.extra)
        scores = subject.scores(faces)
    elif detector != "none":
        faces = _without_pixels(kept)
        scores = _found(subject, kept, detector)
    else:
        if "frames" in kept.media and "face" not in kept.media:
            raise DataError(
                f"{dataset} holds clips; cut them to the face first: mien data clips {dataset} {data} -o OUT"
            )
        faces = load_faces(kept)
        scores = subject.scores(faces)
    first = evaluate_scores(scores, subject.labels, faces, dataset)[0]
    known = np.flatnonzero(kept.majority >= 0)
    return _answers(subject.name, first, kept, known, rows)


def _part(index: Index, split: str, dataset: str) -> tuple[Index, str]:
    published = bool((index.split != NO_SPLIT).any())
    wanted = split or ("test" if published else "all")
    if wanted == "all":
        return index, "all samples"
    part = index[index.split == SPLITS.index(wanted)]
    if not len(part):
        raise DataError(f"{dataset} has no {wanted} samples; where nobody publishes a split, take --split all")
    return part, f"{wanted} samples"


def _without_pixels(index: Index) -> FaceSet:
    nothing = np.zeros((len(index), 0), np.uint8)
    return FaceSet(nothing, index.targets, index.majority, index.split, index.labels, index.group, index.extra)


def _found(subject: WeightFile, index: Index, detector: str) -> np.ndarray:
    """Scores [N, K] of the largest face of each picture, found and cut as by `mien analyze`; NaN where none is."""
    from mien.pipeline.flow import Flow, Options

    if "face" not in index.media:
        raise DataError(f"--detector looks for faces in pictures; this data set has {', '.join(index.media)}")
    flow = Flow(Options(detector=detector), subject.model)
    scores = np.full((len(index), len(subject.labels)), np.nan, np.float32)
    for row in range(len(index)):
        picture = index.media["face"][row]
        image = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, 2)
        for result in flow.run([Frame(np.ascontiguousarray(image))]):
            if len(result.faces):
                scores[row] = result.faces.scores[int(result.faces.quality["face_px"].argmax())]
    return scores


def _of_run(folder: Path, index: Index) -> Answers:
    path = folder / "predictions.npz"
    if not path.is_file():
        raise WeightsError(f"{folder} has no predictions.npz; test the run first: mien bench run RECIPE --runs FOLDER")
    with np.load(path, allow_pickle=False) as held:
        missing = [name for name in ("rows", "truth", "scores") if name not in held.files]
        if missing or held["scores"].ndim != 2:
            raise WeightsError(f"{path} holds no scores of classes; test the run again with mien bench run")
        rows, truth, scores = held["rows"], held["truth"], held["scores"]
    other = len(rows) and (rows.max() >= len(index) or not np.array_equal(index.majority[rows], truth))
    if other or scores.shape[1] != len(index.labels):
        raise WeightsError(f"{folder} was tested on other data: its labels are not those of the data set named")
    known = truth >= 0
    result = Evaluation(folder.name, index.labels, truth[known], scores[known])
    return _answers(folder.name, result, index, rows[known], "test rows of every fold")


def _answers(name: str, result: Evaluation, index: Index, rows: np.ndarray, what: str) -> Answers:
    people = index.subject[rows]
    person = people if (people != "").all() else None
    columns = {key: column[rows] for key, column in index.extra.items()}
    return Answers(name, result.labels, result.truth, result.scores, person, columns, what)
