"""Checkpoints: tensors and plain values only, written whole or not at all, read without unpickling code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.errors import WeightsError
from mien.models import MODELS


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that an interruption leaves the old one."""
    scratch = path.with_suffix(".part")
    torch.save(state, scratch)
    os.replace(scratch, path)


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


def load_network(run: Path, device: torch.device) -> nn.Module:
    """The best network of a finished run, in evaluation mode.

    Raises:
        WeightsError: the run has no best.pt.
    """
    state = load_state(Path(run) / "best.pt")
    if state is None:
        raise WeightsError(f"{run}/best.pt is missing; train that run first")
    model = MODELS.create(state["model"], classes=state["classes"])
    model.load_state_dict(state["state"])
    model.to(device)
    return channels_last(model).eval()


def channels_last(model: nn.Module) -> nn.Module:
    """Weights laid out [K, H, W, C], which convolutions on CPUs and GPUs like best."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def last_weights(run: Path) -> dict[str, Any]:
    """The averaged weights after a run's last epoch.

    Raises:
        WeightsError: the run has no last.pt.
    """
    state = load_state(Path(run) / "last.pt")
    if state is None:
        raise WeightsError(f"{run}/last.pt is missing; train that run first")
    weights: dict[str, Any] = state["ema"]
    return weights
