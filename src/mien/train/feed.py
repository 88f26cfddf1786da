"""What a training step is given: augmented faces, their targets, and what else the network reads or learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mien.augment import mirrored
from mien.datasets.faces import FaceSet
from mien.errors import RecipeError
from mien.faces.angles import mirror_map
from mien.models import MODELS, Inputs
from mien.train.clips import jittered
from mien.train.recipe import Recipe
from mien.train.tasks import Task
from mien.train.views import to_tensor


@dataclass
class Batch:
    """Augmented training rows.

    Attributes:
        inputs: of the network: the faces [n, C, S, S], or `face` and `angles`.
        face: the faces [n, C, S, S].
        targets: [n, K].
        further: targets of the further tasks, by name.
    """

    inputs: Inputs
    face: Tensor
    targets: Tensor
    further: dict[str, Tensor]


def angles_of(recipe: Recipe, faces: FaceSet) -> np.ndarray | None:
    """Maps of the change of angles [N, A, 68, 68], where the recipe's network reads them and the data set has them.

    Raises:
        RecipeError: the recipe's `inputs` ask for them and the data set has none.
    """
    maps = faces.extra.get("angles")
    if maps is None and "angles" in recipe.inputs:
        raise RecipeError(
            f"{recipe.name}: inputs name angles, but {recipe.dataset} has no earlier frame to compare with"
        )
    auxiliary = MODELS.facts(recipe.model).get("auxiliary", ()) if recipe.arguments.get("angles", 1) else ()
    return maps if "angles" in (*recipe.inputs, *auxiliary) else None


class Feed:
    """Draws augmented batches of faces.

    Args:
        pixels: uint8 [N, S, S] or [N, S, S, 3].
        targets: [N, K].
        angles: maps [N, A, 68, 68], or None.
        further: each further task and its targets [N, ...], by name.
    """

    def __init__(
        self,
        recipe: Recipe,
        pixels: Tensor,
        targets: Tensor,
        angles: np.ndarray | None,
        further: dict[str, tuple[Task, Tensor]],
        device: torch.device,
    ) -> None:
        self.augment, self.device = recipe.augment, device
        self.pixels, self.targets, self.further = pixels, targets, further
        self.angles = None if angles is None else torch.from_numpy(np.stack([angles, mirror_map(angles)]))

    def __call__(self, rows: Tensor, side: int, generator: torch.Generator) -> Batch:
        """The rows' faces, augmented to [n, C, side, side], with all targets moved and mixed as they are."""
        x = to_tensor(self.pixels[rows].to(self.device))
        x, theta = self.augment.transform(x, side, generator)
        goals = [self.targets[rows].to(self.device)]
        goals += [task.follow(known[rows], theta).to(self.device) for task, known in self.further.values()]
        if self.angles is not None:
            goals.append(self.angles[mirrored(theta).long(), rows].to(self.device))
        x, goals = self.augment.mix(x, goals, generator)
        x = x.contiguous(memory_format=torch.channels_last)
        maps = goals.pop() if self.angles is not None else None
        further = dict(zip(self.further, goals[1:], strict=True))
        return Batch(x if maps is None else {"face": x, "angles": maps}, x, goals[0], further)


class ClipFeed:
    """Draws augmented batches of clips: all frames of a clip are moved and lit alike.

    Args:
        every: all frames uint8 [N, F, S, S], or embeddings float32 [N, 2, F, D], the second of mirrored faces.
        last: the last frame that counts, [N].
        targets: [N, K].
    """

    def __init__(
        self, recipe: Recipe, every: np.ndarray, last: np.ndarray, targets: Tensor, device: torch.device
    ) -> None:
        self.augment, self.clips, self.device = recipe.augment, recipe.clips, device
        self.every, self.last, self.targets = torch.from_numpy(every), torch.from_numpy(last), targets
        self.further: dict[str, tuple[Task, Tensor]] = {}

    def __call__(self, rows: Tensor, side: int, generator: torch.Generator) -> Batch:
        """T frames of each of these clips, as pixels [n, T, 1, side, side] or embeddings [n, T, D]."""
        chosen = jittered(self.last[rows], self.clips.frames, generator)
        if self.clips.order == "shuffled":
            order = torch.rand(chosen.shape, generator=generator).argsort(1)
            chosen = chosen.gather(1, order)
        goals = [self.targets[rows].to(self.device)]
        if self.every.is_floating_point():
            mirrored = (torch.rand(len(rows), generator=generator) < self.augment.flip).long()
            x = self.every[rows[:, None], mirrored[:, None], chosen].to(self.device)
        else:
            # frames take the place of channels, so that one warp and one light serve the clip
            x = self.every[rows[:, None], chosen].to(self.device).float() / 255
            x = self.augment(x, side, generator)[:, :, None]
        x, goals = self.augment.mix(x, goals, generator)
        return Batch(x, x, goals[0], {})
