"""What a network learns before its first epoch in other ways than by the recipe's loss: stages, one file each.

A recipe names them, in order, as tables `[[stage]]`: greedy layer-wise pre-training, an adversarial pair, clustering.
A stage is a callable made from the table's `arguments`; it gets a `Setting`, changes weights and buffers of the network
in place, and returns figures for the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mien.datasets.streams import Streams
from mien.errors import RecipeError
from mien.models.composite import core
from mien.models.scaled import Scaled
from mien.registry import Registry
from mien.train.recipe import Stage
from mien.train.views import to_tensor

if TYPE_CHECKING:
    from mien.train.loop import Trainer

Figures = dict[str, Any]
STAGES: Registry[Callable[[Setting], Figures]] = Registry("stage", "mien.train.stages")


@dataclass
class Setting:
    """What a stage works on.

    Attributes:
        model: the network, on `device`.
        pixels: uint8 [N, S, S] or [N, S, S, 3], the training faces.
        classes: their class numbers [N].
        labels: K names.
        people: number of each face's person or sequence [N].
        runs: folder that other runs lie in.
        generator: the only source of chance, so that a run repeats.
        mirror: probability that a face is shown mirrored.
        streams: the training rows in several modalities, in place of `pixels`.
        given: from such rows as they are fed to what `model` is given of them (standardised, where the recipe says so).
    """

    model: nn.Module
    pixels: Tensor
    classes: Tensor
    labels: tuple[str, ...]
    people: Tensor
    runs: Path
    device: torch.device
    generator: torch.Generator
    batch: int = 128
    epochs: int = 10
    lr: float = 1e-3
    mirror: float = 0.5
    streams: Streams | None = None
    given: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict

    def faces(self, rows: Tensor) -> Tensor:
        """The faces of some rows, float32 [n, C, S, S] in [0, 1]."""
        return to_tensor(self.pixels[rows].to(self.device))

    def batches(self) -> Iterator[Tensor]:
        """The rows of one epoch in random order; a last batch of one face is left out."""
        for rows in torch.split(torch.randperm(len(self.pixels), generator=self.generator), self.batch):
            if len(rows) > 1:
                yield rows

    def flips(self, count: int) -> Tensor:
        """Which of some faces are to be mirrored, bool [count, 1, 1, 1]."""
        drawn = torch.rand(count, 1, 1, 1, generator=self.generator)
        return (drawn < self.mirror).to(self.device)

    def shown(self) -> Iterator[Tensor]:
        """The faces of one epoch, batch by batch, some of them mirrored."""
        for rows in self.batches():
            x = self.faces(rows)
            yield torch.where(self.flips(len(x)), x.flip(3), x)

    def part(self, name: str) -> Any:
        """An attribute of the network that the stage is made for.

        Raises:
            RecipeError: the network has none.
        """
        if not hasattr(self.model, name):
            raise RecipeError(f"a stage needs a network with {name!r}; {type(self.model).__name__} has none")
        return getattr(self.model, name)


@contextmanager
def learning(*modules: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The parameters of these modules, trained inside the block even where the recipe freezes them later."""
    parameters = [p for module in modules for p in module.parameters()]
    before = [p.requires_grad for p in parameters]
    for module in modules:
        module.train().requires_grad_(True)
    try:
        yield parameters
    finally:
        for parameter, flag in zip(parameters, before, strict=True):
            parameter.requires_grad_(flag)
            parameter.grad = None


def run_stage(stage: Stage, trainer: Trainer) -> Figures:
    """Run one stage of a recipe on what its trainer holds.

    Raises:
        UnknownName: no stage has that name.
        RecipeError: it takes no such argument, has no epochs, or the network is not one that it fits.
    """
    if trainer.recipe.inputs:
        raise RecipeError(f"stage {stage.name!r} shows faces as they are; leave out inputs, or the stage")
    if stage.epochs < 1:
        raise RecipeError(f"stage {stage.name!r}: epochs = {stage.epochs}; give at least 1, or leave the stage out")
    try:
        made = STAGES.create(stage.name, **stage.arguments)
    except TypeError as error:
        # a wrong name of an argument; the message of Python names it
        raise RecipeError(f"stage {stage.name!r}: {str(error).split('.__init__() ')[-1]}") from error
    setting = Setting(
        model=core(trainer.model),
        pixels=trainer.pixels,
        classes=trainer.targets.argmax(1),
        labels=trainer.labels,
        people=trainer.people,
        runs=trainer.beside,
        device=trainer.device,
        generator=trainer.order,
        batch=trainer.recipe.batch,
        epochs=stage.epochs,
        lr=stage.lr,
        mirror=trainer.recipe.augment.flip,
        streams=trainer.train.streams,
        given=trainer.model.scale if isinstance(trainer.model, Scaled) else dict,
    )
    return made(setting)
