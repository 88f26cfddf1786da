"""What a training step is given: augmented faces, their targets, and what else the network reads or learns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mien.augment import mirrored
from mien.datasets.faces import FaceSet
from mien.datasets.streams import Streams
from mien.errors import RecipeError
from mien.faces.angles import mirror_map
from mien.models import MODELS, Inputs
from mien.train.clips import jittered
from mien.train.recipe import Recipe
from mien.train.tasks import Task
from mien.train.views import as_inputs, to_tensor


@dataclass
class Batch:
    """Augmented training rows.

    Attributes:
        inputs: of the network: the faces [n, C, S, S], or `face` and `angles`, or modalities and their masks.
        face: the faces [n, C, S, S]; the inputs where there are several modalities.
        targets: [n, K].
        further: targets of the further tasks, by name.
    """

    inputs: Inputs
    face: Inputs
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


class StreamFeed:
    """Draws augmented batches of several modalities: `<modality>` and `<modality>_mask`, as `as_inputs` gives them.

    Pictures and clips are moved and lit as the recipe's `augment` says, without mixing; features get the noise and lose
    the stretch of time that `[streams]` says; then whole modalities are hidden.

    Args:
        streams: of the training rows.
        targets: [N, K].
    """

    def __init__(self, recipe: Recipe, streams: Streams, targets: Tensor, device: torch.device) -> None:
        self.augment, self.how, self.device = recipe.augment, recipe.streams, device
        self.streams, self.targets = streams, targets
        self.further: dict[str, tuple[Task, Tensor]] = {}
        self.scale = scales(streams)

    def __call__(self, rows: Tensor, side: int, generator: torch.Generator) -> Batch:
        """The rows in all modalities; pictures [n, C, side, side], clips [n, T, 1, side, side]."""
        inputs = as_inputs(self.streams[rows.numpy()])
        for name in self.streams.names:
            x, there = inputs[name], inputs[f"{name}_mask"]
            if self.streams.items[name].dtype == np.uint8:
                clip = x.ndim == 5
                # frames take the place of channels, so that one warp and one light serve the clip
                x = self.augment(x[:, :, 0] if clip else x, side, generator)
                x = x[:, :, None] if clip else x
            elif self.how.noise:
                deviation = torch.from_numpy(self.scale[name][1]).reshape(-1, *[1] * (x.ndim == 4) * 2)
                x = x + self.how.noise * deviation * torch.randn(x.shape, generator=generator)
            if self.how.time_mask and there.shape[1] > 1:
                there = there & ~stretch(there, self.how.time_mask, generator)
            inputs[name], inputs[f"{name}_mask"] = x, there
        if self.how.dropout:
            self._hide(inputs, generator)
        for name in self.streams.names:
            inputs[name] = blanked(inputs[name], inputs[f"{name}_mask"])
        inputs = {name: x.to(self.device) for name, x in inputs.items()}
        return Batch(inputs, inputs, self.targets[rows].to(self.device), {})

    def _hide(self, inputs: dict[str, Tensor], generator: torch.Generator) -> None:
        """Take whole modalities from rows; of those that a row has, one drawn at random stays."""
        masks = [inputs[f"{name}_mask"] for name in self.streams.names]
        there = torch.stack([mask.any(1) for mask in masks], 1)
        kept = torch.rand(there.shape, generator=generator) >= self.how.dropout
        saved = (torch.rand(there.shape, generator=generator) * there).argmax(1)
        kept[torch.arange(len(kept)), saved] = True
        for place, name in enumerate(self.streams.names):
            inputs[f"{name}_mask"] = masks[place] & kept[:, place, None]


def stretch(there: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """A stretch of the steps that are there, of 0 to `most` of their number, for each row: bool like `there` [n, T].

    One step is always left.
    """
    steps = there.sum(1)
    length = (torch.rand(len(there), generator=generator) * (most * steps + 1)).long().minimum((steps - 1).clamp_min(0))
    first = (torch.rand(len(there), generator=generator) * (steps - length + 1)).long()
    # number of each step among those that are there
    number = there.cumsum(1) - 1
    return there & (number >= first[:, None]) & (number < (first + length)[:, None])


def blanked(x: Tensor, there: Tensor) -> Tensor:
    """0 where nothing is there: features [n, T, D] step by step, others [n, ...] as a whole."""
    shape = [*there.shape, *[1] * (x.ndim - 2)]
    return x * there.reshape(shape).to(x.dtype)


def scales(streams: Streams) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and deviation of each feature [D] over the steps that are there, of each channel [C] of maps.

    A feature that hardly varies has deviation 1, so that it is not blown up. Pictures and clips have none.
    """
    found = {}
    for name, array in streams.items.items():
        if array.dtype == np.uint8:
            continue
        there = streams.masks[name]
        values = array[there] if array.ndim == 3 else np.moveaxis(array[there[:, 0]], 1, -1).reshape(-1, array.shape[1])
        if not len(values):
            values = np.zeros((1, array.shape[2 if array.ndim == 3 else 1]), np.float32)
        mean, deviation = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
        deviation = np.where(deviation > 1e-6 * np.maximum(1, np.abs(mean)), deviation, 1.0)
        found[name] = mean.astype(np.float32), deviation.astype(np.float32)
    return found
