"""What a network said of the test rows after every epoch, kept for the figure that nothing may be chosen by."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.train.checkpoint import save_arrays

FILE = "oracle.npz"


def read_oracle(folder: Path) -> dict[str, np.ndarray]:
    """Logits of the watched rows by epoch; empty where none were kept."""
    if not (folder / FILE).is_file():
        return {}
    with np.load(folder / FILE) as held:
        return {name: held[name] for name in held.files}


def keep_oracle(folder: Path, epoch: int, logits: np.ndarray) -> None:
    """Add an epoch's logits [N, K]; an interruption leaves the earlier epochs."""
    save_arrays(folder / FILE, **{**read_oracle(folder), str(epoch): logits})
