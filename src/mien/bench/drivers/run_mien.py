"""mien as its users call it: `mien.load` for the network, the command line's path for a clip."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from common import Calls, drive  # type: ignore[import-not-found]  # it lies beside this file


def start() -> Calls:
    """Weights open, nothing analysed yet."""
    import os

    import numpy as np

    from mien.analysis import Run
    from mien.pipeline.flow import Flow, Options

    flow = Flow(Options(model=os.environ.get("MIEN_DRIVEN", "mien-s"), threads=1))
    model = flow.model
    x = model.prepare(np.random.default_rng(0).integers(0, 255, (1, 48, 48, 3), dtype=np.uint8))

    def clip(path: str) -> tuple[int, int]:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(flow, Path(folder))
            run.analyze([path])
            with open(run.rows_path, "rb") as file:
                return sum(done.frames for done in run.state.values()), sum(1 for _ in file) - 1

    def network() -> Any:
        return model.run(x)

    return network, clip


if __name__ == "__main__":
    drive(start)
