"""A run over the scores of clips becomes an ONNX file with its Spec, for `mien analyze --sequence`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import WeightsError
from mien.export.calibrate import calibrated
from mien.export.onnx import find_fold, licence, write
from mien.models import MODELS
from mien.pipeline.model import load
from mien.spec import Spec
from mien.train.checkpoint import average_runs
from mien.train.embed import LEAST
from mien.train.recipe import read_record


class SequenceScorer(nn.Module):
    """Scores of frames [N, T, R] to scores of the stretch [N, K]: softmax(network(log scores) / temperature)."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, scores: Tensor) -> Tensor:
        return torch.softmax(self.network(scores.clamp_min(LEAST).log()).logits / self.temperature, 1)


def reads_clips(run: Path) -> bool:
    """Whether a run's network reads clips, of which only those over scores can be exported."""
    recipe, _ = read_record(run)
    return MODELS.facts(recipe.model).get("modality") == "frames"


def export_sequence(
    run: Path, data: Path, out: Path, *, name: str, half: bool = True, command: str = ""
) -> dict[str, Any]:
    """Write the network of a finished run over scores, calibrated on its validation rows where it has some.

    Args:
        run: folder of the run, of one fold where there are several.
        data: folder of its data set.
        half: store weights in 16 bits.
        command: how the run was trained, for the Spec.

    Returns:
        The validation figures and what was chosen.

    Raises:
        WeightsError: the run reads something else than scores, or the written file disagrees with the network.
    """
    network, state = average_runs([run])
    recipe, clips, fold = find_fold(run, data)
    if not recipe.clips.embed or recipe.clips.reads != "scores":
        raise WeightsError(
            f'{run} reads no scores; only runs with [clips] embed = "mien-s", reads = "scores" are exported'
        )
    still = load(recipe.clips.embed)
    temperature, facts = calibrated(network, clips[fold.val])
    spec = Spec(
        name=name,
        task="sequence",
        labels=clips.labels,
        frames=recipe.clips.frames,
        reads=still.spec.labels,
        weights=still.spec.name,
        temperature=temperature,
        architecture=state["model"],
        parameters=sum(p.numel() for p in network.parameters()),
        trained_on=(recipe.dataset,),
        licence=licence(recipe),
        command=command,
        figures={key: value for key, value in facts.items() if key.startswith("val_")},
    )
    sample = torch.softmax(3 * torch.randn(8, spec.frames, len(spec.reads)), 2)
    write(SequenceScorer(network, temperature), spec, out, half=half, output="sequence", given=("scores", sample))
    return facts
