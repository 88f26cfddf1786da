"""What can be asked about faces: a weight file. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from mien.datasets.faces import FaceSet, holds_clips
from mien.errors import DataError
from mien.explain.occlusion import occlusion
from mien.pipeline.model import load
from mien.train.evaluate import clip_scores, load_split


class Subject(Protocol):
    """Weights that answer for faces and can be asked why.

    Attributes:
        name: of the weights.
        labels: K names.
        dataset: the data set to score on where none is named.
        method: how `maps` are made, for the reader of a figure.
    """

    name: str
    labels: tuple[str, ...]
    dataset: str
    method: str

    def faces(self, dataset: str, data: Path, split: str) -> FaceSet:
        """The faces of a split, as the weights take them."""

    def scores(self, faces: FaceSet) -> np.ndarray:
        """[N, K], rows sum to 1."""

    def maps(self, faces: FaceSet, classes: np.ndarray) -> np.ndarray:
        """Where a class [N] is seen in each face, [N, S, S] in [0, 1]."""


class WeightFile:
    """Packaged weights or an ONNX file; where it looks is found by covering parts of the face.

    Args:
        pool: how the scores of a clip's frames become one: their `mean`, or the `peak` of each class.

    Raises:
        UnknownName: no weights have that name.
        WeightsError: the file is missing, damaged or has no Spec.
    """

    dataset = "ferplus"
    method = "occlusion sensitivity: how far the predicted class's score falls behind a grey patch"

    def __init__(self, name: str, pool: str = "mean") -> None:
        self.model, self.pool = load(name), pool
        self.name, self.labels = self.model.spec.name, self.model.spec.labels

    def faces(self, dataset: str, data: Path, split: str) -> FaceSet:
        return load_split(dataset, data, split)

    def scores(self, faces: FaceSet) -> np.ndarray:
        if holds_clips(faces.pixels):
            return clip_scores(self.model, faces.pixels, self.pool)
        return self.model(list(faces.pixels))

    def maps(self, faces: FaceSet, classes: np.ndarray) -> np.ndarray:
        if holds_clips(faces.pixels):
            raise DataError("--explain shows stills; these are clips")
        return occlusion(lambda pixels: self.model(list(pixels)), faces.pixels, classes)
