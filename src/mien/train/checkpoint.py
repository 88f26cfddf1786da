"""Checkpoints: tensors and plain values only, written whole or not at all, read without unpickling code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.errors import WeightsError
from mien.losses import LOSSES
from mien.losses.margin import give_head
from mien.models.clips import FrameEncoder
from mien.models.composite import core, create
from mien.pipeline.writers import whole_file


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that an interruption leaves the old one.

    Raises:
        OSError: the disk refuses it.
    """
    with whole_file(path) as part, open(part, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # torch closes its archive while the disk's refusal is on its way, and fails once more
            refusal = error.__context__
            raise (refusal if isinstance(refusal, OSError) else error) from None
        file.flush()
        os.fsync(file.fileno())


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz so that an interruption leaves the old one or the new one."""
    with whole_file(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's own keyword stands among its arrays' names


def load_state(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint; None if there is none.

    Raises:
        WeightsError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{path} is not a readable checkpoint ({error}); delete it to start again") from error
    return state


def _create(state: dict[str, Any]) -> nn.Module:
    model = create(state)
    if "margin" in state:
        # the loss's head stands in the place of the network's
        give_head(core(model), LOSSES.create(state["margin"]["name"], **state["margin"]["arguments"]))  # type: ignore[arg-type]
    return model


def load_network(run: Path, device: torch.device) -> nn.Module:
    """The best network of a finished run, in evaluation mode.

    Raises:
        WeightsError: the run has no best.pt.
    """
    state = load_state(Path(run) / "best.pt")
    if state is None:
        raise WeightsError(f"{run}/best.pt is missing; train that run first")
    model = _create(state)
    model.load_state_dict(state["state"])
    model.to(device)
    return channels_last(model).eval()


def average_runs(runs: Sequence[Path], least_prior: float = 0.0) -> tuple[nn.Module, dict[str, Any]]:
    """The mean of the best weights of runs of one network that start from each other, and the last run's facts.

    Paper: Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models", ICML 2022.

    Args:
        least_prior: a rarer class counts as if it were as frequent as this among the faces drawn.

    Returns:
        The network; and the facts, with `adjustment` [K], what training left out of the scores, prior ** tau. The
        members of an ensemble have put back what they choose; beyond that it counts whole.

    Raises:
        WeightsError: a run has no best.pt, or the runs are not of one network.
    """
    states = []
    for run in runs:
        state = load_state(Path(run) / "best.pt")
        if state is None:
            raise WeightsError(f"{run}/best.pt is missing; run `mien train` first")
        states.append(state)
    kinds = {(state["model"], state["classes"]) for state in states}
    if len(kinds) > 1:
        raise WeightsError(f"only runs of one network can be averaged; these are {sorted(kinds)}")
    weights = {
        name: torch.stack([state["state"][name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[-1]["state"].items()
    }
    model = _create(states[-1])
    model.load_state_dict(weights)
    least = max(least_prior, 1e-6)
    left_out = [
        (1.0 if state["model"] == "ensemble" else state["tau"]) * np.log(np.maximum(state["prior"], least))
        for state in states
    ]
    prior = np.exp(np.mean(left_out, 0))
    return model.eval(), {**states[-1], "adjustment": prior.tolist()}


def channels_last(model: nn.Module) -> nn.Module:
    """Weights laid out [K, H, W, C], which convolutions on CPUs and GPUs like best."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        elif parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return model


def last_weights(run: Path) -> dict[str, Any]:
    """The averaged weights after a run's last epoch.

    Raises:
        WeightsError: the run has no last.pt.
    """
    state = load_state(Path(run) / "last.pt")
    if state is None:
        raise WeightsError(f"{run}/last.pt is missing; train that run first")
    weights: dict[str, Any] = state["ema"]
    if all(key.startswith(("net.", "heads.", "maps.", "scale.")) for key in weights):
        # of a composite or a standardised network, the network inside
        return {key.removeprefix("net."): value for key, value in weights.items() if key.startswith("net.")}
    return weights


def start_from(model: nn.Module, weights: dict[str, Any], name: str) -> None:
    """Load an earlier run's weights; a head that is missing or of another size keeps its own.

    Raises:
        WeightsError: anything else differs.
    """
    encoder = getattr(model, "encoder", None)
    if isinstance(encoder, FrameEncoder) and not any(key.startswith("encoder.") for key in weights):
        # a network for single faces becomes the one that reads each frame
        encoder.take(weights)
        return
    own = model.state_dict()
    fitting = {
        key: value
        for key, value in weights.items()
        if not (key.startswith("head.") and key in own and own[key].shape != value.shape)
    }
    try:
        missing, unexpected = model.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"the weights of {name} are of another network: {error}") from error
    strange = [key for key in [*missing, *unexpected] if not key.startswith("head.")]
    if strange:
        raise WeightsError(f"the weights of {name} are of another network: {', '.join(strange[:4])} do not match")
