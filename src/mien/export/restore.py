"""The generator of an occlusion-GAN becomes an ONNX file of its own, for `mien analyze --restore`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mien.augment import occluded
from mien.datasets.faces import FaceSet
from mien.errors import WeightsError
from mien.export.onnx import find_fold, licence, own_geometry, trained_on, write
from mien.layers.completion import Completer
from mien.models.composite import core
from mien.pipeline.restore import TASK
from mien.spec import Spec
from mien.train.checkpoint import average_runs
from mien.train.views import to_tensor

SHARE, MOST = 0.3, 1000


class RestoringGenerator(nn.Module):
    """The restored face alone [N, C, S, S] of a `Completer`."""

    def __init__(self, generator: Completer) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.generator(x)[0]
        return restored


def export_restorer(
    run: Path, data: Path, out: Path, *, name: str, half: bool = True, command: str = ""
) -> dict[str, float]:
    """Write the generator of a finished run: float32 [N, C, S, S] in [0, 1] to the same.

    Args:
        run: folder of the run, of one fold where there are several.
        data: folder of its data set.
        half: store weights in 16 bits.
        command: how the run was trained, for the Spec.

    Returns:
        Figures on the validation faces, which the Spec carries too: `val_changed`, how much a face that nothing hides
        is changed; `val_hidden` and `val_restored`, how far a hidden part is from the face before and after. Mean
        absolute differences of pixels in [0, 1].

    Raises:
        WeightsError: the run has no generator, or the written file disagrees with it.
    """
    network, state = average_runs([run])
    generator = getattr(core(network), "generator", None)
    if not isinstance(generator, Completer):
        raise WeightsError(f"{run} has no restoring generator; name a run of the network occlusion-gan")
    recipe, every, fold = find_fold(run, data)
    restoring = RestoringGenerator(generator).eval()
    figures = _figures(restoring, every[fold.val]) if len(fold.val) else {}
    channels = generator.channels
    spec = Spec(
        name=name,
        task=TASK,
        size=generator.size,
        colour="rgb" if recipe.colour else "gray",
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        geometry=own_geometry(recipe, every.pixels[fold.train]),
        architecture=f"{state['model']}, generator",
        parameters=sum(p.numel() for p in generator.parameters()),
        trained_on=trained_on(recipe),
        licence=licence(recipe),
        command=command,
        figures=figures,
    )
    write(restoring, spec, out, half=half, output="restored")
    return figures


@torch.no_grad()
def _figures(restoring: nn.Module, faces: FaceSet) -> dict[str, float]:
    """What it does to at most `MOST` faces, clean and with `SHARE` of them hidden."""
    rows = np.linspace(0, len(faces) - 1, min(MOST, len(faces))).astype(int)
    sums = np.zeros(4)
    for part in np.array_split(rows, max(1, len(rows) // 100)):
        y = to_tensor(torch.from_numpy(faces.pixels[part]))
        x, mask = occluded(y, 1.0, (SHARE, SHARE), torch.Generator().manual_seed(int(part[0])))
        hole = mask.expand_as(y)
        gaps = [(restoring(y) - y).abs().mean() * len(part)]
        gaps += [(z - y).abs()[hole].sum() for z in (x, restoring(x))]
        sums += [float(value) for value in (*gaps, hole.sum())]
    changed, hidden, restored = sums[0] / len(rows), sums[1] / sums[3], sums[2] / sums[3]
    return {"val_changed": round(changed, 4), "val_hidden": round(hidden, 4), "val_restored": round(restored, 4)}
