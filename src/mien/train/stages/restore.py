"""A generator learns to restore hidden parts of faces, alone or against two critics."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.augment import occluded
from mien.errors import RecipeError
from mien.layers.completion import Critic, around, windows
from mien.train.checkpoint import last_weights
from mien.train.stages import STAGES, Figures, Setting, learning

LOCAL_SIDE = 24


@STAGES.register("restore", paper="Li et al., Generative face completion, CVPR 2017; Ge, Dai, Zhu et al. 2021")
@dataclass(frozen=True)
class Restore:
    """min_G max_D |y - G(x)|_1 + w_h |y - r|_1 on the hidden part + w_m BCE(m) + w_l L_local + w_g L_global + w_p L_p.

    x is the face y behind an occluder; r, m and G(x) = m r + (1 - m) x are what the generator gives. The local critic
    sees the box around the hidden part, the global one the face; G steps up log D (Goodfellow et al., 2014). L_p is the
    distance of the recogniser's feature maps of G(x) and y, relative to those of y.

    Paper: Li, Liu, Yang, Yang, "Generative face completion", CVPR 2017, eqs 1 to 3 and section 3.3 (reconstruction
        first, then the critics): make it two stages, the first with `local` and `overall` 0. Ge, Dai, Zhu et al.,
        Applied Sciences 11(24) 11588, 2021.
    Differs: L1 in place of L2; the generator is taught where the face is hidden, for it is not told; both critics join
        at once; no parsing network; L_p is ours; the learning rate falls to zero along a cosine.

    Attributes:
        least, most: share of the face's area that is hidden, drawn evenly.
        clean: share of faces that nothing hides, so that the generator learns to leave them alone.
        hidden: w_h.
        mask: w_m.
        local: w_l; 0 leaves the critic out.
        overall: w_g; 0 leaves the critic out.
        perceptual: w_p; needs `recogniser`.
        recogniser: name of a run of `mini-s-fine`, in the same folder of runs, from whose weights the recogniser
            starts; empty leaves it as it is.
    """

    least: float = 0.05
    most: float = 0.6
    clean: float = 0.2
    hidden: float = 1.0
    mask: float = 0.3
    local: float = 0.0
    overall: float = 0.0
    perceptual: float = 0.0
    recogniser: str = ""

    def __call__(self, setting: Setting) -> Figures:
        if not 0 < self.least <= self.most < 1:
            raise RecipeError(f"stage 'restore': least = {self.least}, most = {self.most}; 0 < least <= most < 1")
        if self.perceptual and not self.recogniser:
            raise RecipeError("stage 'restore': perceptual needs recogniser = the name of a run of mini-s-fine")
        if self.recogniser:
            setting.part("take")(last_weights(setting.runs / self.recogniser))
        generator: nn.Module = setting.part("generator")
        pair = Pair(self, generator, setting)
        with learning(generator) as parameters:
            step = torch.optim.Adam(parameters, lr=setting.lr, betas=(0.5, 0.999))
            steps = setting.epochs * math.ceil(len(setting.pixels) / setting.batch)
            slower = torch.optim.lr_scheduler.CosineAnnealingLR(step, steps)
            figures: list[list[float]] = []
            for _ in range(setting.epochs):
                figures = []
                for rows in setting.batches():
                    x, y, mask = self._given(setting, rows)
                    if mask.any():  # in a batch of very few, chance may hide none
                        figures.append(pair.learn(step, x, y, mask))
                    slower.step()
        mean = np.mean(figures, 0)
        names = ("l1", "hidden_l1", "mask_error", *(("fooled",) if pair.critics else ()))
        return {name: round(float(value), 4) for name, value in zip(names, mean, strict=True)}

    def _given(self, setting: Setting, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Faces x behind occluders, the faces y, and the masks bool [n, 1, S, S]."""
        y = setting.faces(rows)
        y = torch.where(setting.flips(len(rows)), y.flip(3), y)
        y = F.interpolate(y, (setting.part("generator").size,) * 2, mode="bilinear", align_corners=False)
        x, mask = occluded(y, 1 - self.clean, (self.least, self.most), setting.generator)
        return x.contiguous(memory_format=torch.channels_last), y, mask


class Pair:
    """The generator and its critics in training."""

    def __init__(self, stage: Restore, generator: nn.Module, setting: Setting) -> None:
        self.stage, self.generator, self.device = stage, generator, setting.device
        self.recogniser: nn.Module | None = None
        if stage.perceptual:
            self.recogniser = copy.deepcopy(setting.part("recogniser")).eval().requires_grad_(False)
        channels, side = setting.faces(torch.arange(1)).shape[1], setting.part("generator").size
        self.local = Critic(channels, LOCAL_SIDE).to(self.device) if stage.local else None
        self.overall = Critic(channels, side).to(self.device) if stage.overall else None
        self.critics = [critic for critic in (self.local, self.overall) if critic is not None]
        if self.critics:
            judged = [p for critic in self.critics for p in critic.parameters()]
            self.against = torch.optim.Adam(judged, lr=setting.lr, betas=(0.5, 0.999))

    def learn(self, step: torch.optim.Optimizer, x: Tensor, y: Tensor, mask: Tensor) -> list[float]:
        """One step of the critics, one of the generator; returns its errors and how often the critics are fooled."""
        with torch.autocast(self.device.type, torch.bfloat16):
            made, where, painted = self.generator(x)
        loss, errors = self._rebuilt(made, where, painted, y, mask)
        if self.critics:
            self._judge(made.detach(), y, mask)
            for critic in self.critics:
                critic.requires_grad_(False)
            terms = self._verdicts(made, mask)
            loss = loss + sum(weight * F.softplus(-z).mean() for weight, z in terms)
            errors.append(float(torch.cat([(z > 0).float() for _, z in terms]).mean()))
            for critic in self.critics:
                critic.requires_grad_(True)
        if self.recogniser is not None:
            loss = loss + self.stage.perceptual * self._seen(made, y)
        step.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        step.step()
        return errors

    def _rebuilt(
        self, made: Tensor, where: Tensor, painted: Tensor, y: Tensor, mask: Tensor
    ) -> tuple[Tensor, list[float]]:
        """Loss of reconstruction and mask; mean error of the face, of its hidden part, and of the mask."""
        gap = (made - y).abs().mean()
        hole = mask.expand_as(y)
        inside = ((painted - y).abs() * hole).sum() / hole.sum().clamp_min(1)
        wrong = F.binary_cross_entropy_with_logits(where, mask.float())
        loss = gap + self.stage.hidden * inside + self.stage.mask * wrong
        return loss, [float(value.detach()) for value in (gap, inside, wrong)]

    def _judge(self, made: Tensor, y: Tensor, mask: Tensor) -> None:
        """One step of the critics."""
        taken, painted = self._verdicts(y, mask), self._verdicts(made, mask)
        pairs = zip(taken, painted, strict=True)
        loss = torch.stack([(F.softplus(-t).mean() + F.softplus(p).mean()) / 2 for (_, t), (_, p) in pairs]).sum()
        self.against.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.against.step()

    def _verdicts(self, faces: Tensor, mask: Tensor) -> list[tuple[float, Tensor]]:
        """Weight and logits of each critic for those of the faces that are hidden in part."""
        rows = mask.any((1, 2, 3))
        some, holes = faces[rows], mask[rows, 0]
        found = []
        with torch.autocast(self.device.type, torch.bfloat16):
            if self.local is not None:
                found.append((self.stage.local, self.local(windows(some, around(holes), LOCAL_SIDE))))
            if self.overall is not None:
                found.append((self.stage.overall, self.overall(some)))
        return found

    def _seen(self, made: Tensor, y: Tensor) -> Tensor:
        """L_p."""
        assert self.recogniser is not None
        with torch.autocast(self.device.type, torch.bfloat16):
            with torch.no_grad():
                wanted = self.recogniser(y).aux["features"].float()
            seen = self.recogniser(made).aux["features"].float()
        distance: Tensor = (seen - wanted).abs().mean() / wanted.abs().mean().clamp_min(1e-6)
        return distance
