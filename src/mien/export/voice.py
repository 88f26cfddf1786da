"""A run over features of sound becomes an ONNX file with its Spec, for `mien analyze --audio`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import WeightsError
from mien.export.calibrate import calibrated
from mien.export.onnx import find_fold, licence, write
from mien.features import FEATURES
from mien.pipeline.voice import TASK
from mien.spec import Spec
from mien.train.checkpoint import average_runs
from mien.train.recipe import read_record

MODALITY = "audio"


class VoiceScorer(nn.Module):
    """Features of sound [N, T, D] to scores [N, K]: softmax(network(sound) / temperature)."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, sound: Tensor) -> Tensor:
        return torch.softmax(self.network({MODALITY: sound}).logits / self.temperature, 1)


def reads_sound(run: Path) -> bool:
    """Whether a run's network reads sound alone."""
    recipe, _ = read_record(run)
    return recipe.modalities == (MODALITY,)


def export_voice(
    run: Path, data: Path, out: Path, *, name: str, half: bool = True, command: str = ""
) -> dict[str, Any]:
    """Write the network of a finished run over sound, calibrated on its validation rows where it has some.

    Args:
        run: folder of the run, of one fold where there are several.
        data: folder of its data set.
        half: store weights in 16 bits.
        command: how the run was trained, for the Spec.

    Returns:
        The validation figures and what was chosen.

    Raises:
        WeightsError: the run's sound is no feature extractor's, the network cannot be written as ONNX, or the written
            file disagrees with it.
    """
    network, state = average_runs([run])
    recipe, voices, fold = find_fold(run, data)
    asked = recipe.features.get(MODALITY, "as-is")
    sound = {"name": asked.partition(":")[0]} if isinstance(asked, str) else dict(asked)
    facts = FEATURES.facts(sound["name"])
    if facts.get("extra") != MODALITY:
        raise WeightsError(f"{run} reads {sound['name']}, not sound; only runs over sound can be exported")
    if voices.streams is None:
        raise WeightsError(f"{run} reads no stream of sound; only runs over sound can be exported")
    temperature, figures = calibrated(network, voices[fold.val])
    steps, width = voices.streams.shapes[MODALITY]
    spec = Spec(
        name=name,
        task=TASK,
        labels=voices.labels,
        sound={**sound, "version": facts.get("version", 1)},
        temperature=temperature,
        architecture=state["model"],
        parameters=sum(p.numel() for p in network.parameters()),
        trained_on=(recipe.dataset,),
        licence=licence(recipe),
        command=command,
        figures={key: value for key, value in figures.items() if key.startswith("val_")},
    )
    sample = torch.from_numpy(np.resize(voices.streams.items[MODALITY], (8, steps, width)).astype(np.float32))
    axes = {1: "t"} if steps > 1 else None
    scorer = VoiceScorer(network, temperature)
    try:
        write(scorer, spec, out, half=half, given=("sound", sample), axes=axes)
    except torch.onnx.errors.OnnxExporterError as error:
        what = str(error).splitlines()[0]
        raise WeightsError(f"{run}: {state['model']} cannot be written as ONNX ({what}); train voice-net") from error
    return figures
