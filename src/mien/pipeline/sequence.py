"""Sequence model: the scores of a stretch of frames in, scores of the whole stretch out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.errors import WeightsError
from mien.pipeline.model import checked
from mien.pipeline.session import open_session
from mien.pipeline.store import find_file, sha256
from mien.spec import KEY, Spec


class SequenceModel:
    """A classifier of stretches of frames, as `mien export` writes it of a run over scores.

    Attributes:
        spec: `frames` T, `reads` (the labels of the frames' scores), `labels` (of its own scores), `weights` (whose
            scores it learnt from).
        path: the file.

    Raises:
        UnknownName: no weights have that name.
        WeightsError: the file is missing, damaged, or not for sequences.
    """

    def __init__(self, name: str | Path) -> None:
        self.path = find_file(str(name))
        self._session = open_session(self.path.read_bytes(), 1)
        text = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        if text is None:
            raise WeightsError(f"{self.path.name} has no {KEY} metadata; export it with `mien export`")
        self.spec = Spec.from_json(text)
        if self.spec.task != "sequence" or self.spec.frames < 2 or not self.spec.reads:
            raise WeightsError(f"{name} is for {self.spec.task}, not for sequences; export a run over scores")

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hex."""
        return sha256(self.path)

    def check(self, labels: tuple[str, ...], weights: str) -> str:
        """What does not fit about scores of `labels` by these weights, in one sentence; empty if it can be used.

        Raises:
            WeightsError: the scores lack a label that the model reads.
        """
        missing = [label for label in self.spec.reads if label not in labels]
        if missing:
            raise WeightsError(
                f"{self.spec.name} reads scores of {', '.join(self.spec.reads)}; the faces were scored by {weights}, "
                f"which lacks {', '.join(missing)}; analyse with --model {self.spec.weights}"
            )
        if weights != self.spec.weights:
            return f"{self.spec.name} learnt from the scores of {self.spec.weights}, not of {weights}"
        return ""

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Scores [N, K] of stretches [N, T, R], in the order of `spec.reads`, each row of T x R a frame's scores."""
        given = np.asarray(scores, np.float32)
        if given.ndim != 3 or given.shape[1:] != (self.spec.frames, len(self.spec.reads)):
            raise ValueError(
                f"scores: expected [N, {self.spec.frames}, {len(self.spec.reads)}], got {list(given.shape)}"
            )
        found = self._session.run(None, {"scores": given})[0]
        return checked(found, len(given), self.spec.labels, self.spec.name)
