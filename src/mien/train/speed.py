"""Training speed: this project's step against a plain 32-bit loop on the same faces, in turns, in one run."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.datasets.faces import FaceSet
from mien.models import Output
from mien.train.loop import Trainer, build_model, move_average, pick_device
from mien.train.recipe import Recipe, load_recipe
from mien.train.study import machine
from mien.train.views import to_tensor


def made_faces(count: int, size: int, labels: tuple[str, ...]) -> FaceSet:
    """Noise: how fast a step is does not depend on what is shown."""
    random = np.random.default_rng(0)
    classes = np.arange(count) % len(labels)
    return FaceSet(
        random.integers(0, 255, (count, size, size), np.uint8),
        np.eye(len(labels), dtype=np.float32)[classes],
        classes,
        np.zeros(count, np.int64),
        labels,
        np.array([f"#{row}" for row in range(count)]),
    )


class PlainLoop:
    """What one writes first: 32-bit floats, default memory layout, one augmented batch a step, cross-entropy, SGD."""

    def __init__(self, recipe: Recipe, faces: FaceSet, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.model: nn.Module = build_model(recipe, len(faces.labels))[0].to(device).train()
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        self.pixels, self.classes = torch.from_numpy(faces.pixels), torch.from_numpy(faces.majority)
        self.generator = torch.Generator().manual_seed(0)

    def step(self, rows: torch.Tensor) -> None:
        x = to_tensor(self.pixels[rows].to(self.device))
        x = self.recipe.augment(x, self.recipe.size[-1], self.generator)
        output: Output = self.model(x)
        loss = nn.functional.cross_entropy(output.logits, self.classes[rows].to(self.device))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()


def _seconds(step: Any, rows: list[torch.Tensor], device: torch.device) -> float:
    start = time.perf_counter()
    for batch in rows:
        step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def training_speed(name: str, *, steps: int = 8, rounds: int = 3, device: str = "auto") -> dict[str, Any]:
    """Faces a second of a recipe's own step and of the plain loop with its network, batch, size and augmentation.

    The two take turns, round by round, after one round that does not count; medians over the rounds.

    Args:
        name: of a recipe whose loss needs nothing but logits.
        steps: batches a round.
    """
    place = pick_device(device)
    # no teacher: a plain loop has none, and the scores of one are asked for once, before the first step
    recipe = load_recipe(name)
    recipe = dataclasses.replace(recipe, init="", distill=dataclasses.replace(recipe.distill, teachers=()))
    labels = tuple(f"class-{number}" for number in range(8))
    faces = made_faces(recipe.batch * 2, recipe.size[-1], labels)
    batches = [torch.arange(recipe.batch) + recipe.batch * (number % 2) for number in range(steps)]
    with tempfile.TemporaryDirectory() as folder:
        rows = np.arange(len(faces)), np.arange(0)
        ours = Trainer(recipe, faces, Path(folder) / "run", place, rows=rows)
        ours.model.train()
        plain = PlainLoop(recipe, faces, place)

        def own(batch: torch.Tensor) -> None:
            ours.take(batch, recipe.size[-1])
            move_average(ours.ema, ours.model, recipe.optimiser.ema)

        taken: dict[str, list[float]] = {"mien": [], "plain": []}
        for _ in range(rounds + 1):
            taken["mien"].append(_seconds(own, batches, place))
            taken["plain"].append(_seconds(plain.step, batches, place))
    faces_shown = recipe.batch * steps
    rate = {who: faces_shown / statistics.median(times[1:]) for who, times in taken.items()}
    return {
        "recipe": name,
        "network": recipe.model,
        "batch": recipe.batch,
        "size": recipe.size[-1],
        "mien": round(rate["mien"], 1),
        "plain": round(rate["plain"], 1),
        "ratio": round(rate["mien"] / rate["plain"], 2),
        "machine": machine(place),
    }
