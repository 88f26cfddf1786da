"""Restorer: face crops in, crops whose hidden parts are painted over out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import WeightsError
from mien.pipeline.model import Model
from mien.pipeline.store import find_file
from mien.spec import Spec

TASK = "restoration"


class Restorer:
    """A generator that restores faces, as `mien export --restorer` writes it.

    Attributes:
        spec: `size`, `geometry` (how the faces that it learnt from were cut), `trained_on`.
        path: the file.

    Raises:
        UnknownName: no weights have that name.
        WeightsError: the file is missing, damaged, or not for restoring.
    """

    def __init__(self, name: str | Path, threads: int = 0, device: str = "cpu") -> None:
        self.path = find_file(str(name))
        self._network = Model(self.path, threads, device)
        self.spec = self._network.spec
        if self.spec.task != TASK:
            raise WeightsError(
                f"{name} is for {self.spec.task}, not for restoring; write one with `mien export --restorer`"
            )

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hex."""
        return self._network.sha256

    def check(self, reader: Spec) -> None:
        """See that weights can read what this restores.

        Raises:
            WeightsError: they read colour, which would be lost.
        """
        if reader.colour != self.spec.colour:
            raise WeightsError(
                f"{self.spec.name} restores {self.spec.colour} faces; {reader.name} reads {reader.colour}: "
                f"use weights that read {self.spec.colour}"
            )

    def __call__(self, crops: Sequence[np.ndarray] | np.ndarray, batch: int = 64) -> np.ndarray:
        """Restored faces.

        Args:
            crops: N pictures, uint8 RGB [h, w, 3] or grey [h, w], of any size.
            batch: crops per run of the network.

        Returns:
            uint8 [N, S, S], or [N, S, S, 3] where it restores colour.

        Raises:
            ValueError: a crop has another shape or type.
        """
        side = self.spec.size
        channels = len(self.spec.mean)
        out = np.zeros((len(crops), channels, side, side), np.uint8)
        for start in range(0, len(crops), batch):
            made = self._network.run(self._network.prepare(crops[start : start + batch]))
            out[start : start + batch] = np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
        return out[:, 0] if channels == 1 else np.ascontiguousarray(out.transpose(0, 2, 3, 1))
