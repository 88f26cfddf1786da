"""Greedy pre-training of stacked restricted Boltzmann machines."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mien.layers.rbm import RBM
from mien.train.stages import STAGES, Figures, Setting


@STAGES.register("rbm", paper="Hinton, Training products of experts by minimizing contrastive divergence, 2002")
@dataclass(frozen=True)
class GreedyRBM:
    """Train the machines `rbms` of a network one after the other by CD-1, each on what those below make of the faces.

    Paper: Hinton, Osindero, Teh, "A fast learning algorithm for deep belief nets", Neural Computation 2006; the steps
        as in Hinton, "A practical guide to training restricted Boltzmann machines", 2012.

    Attributes:
        gaussian: factor of the learning rate where visible units are Gaussian, which bear less.
        momentum: share of the last step that goes on.
        decay: weight decay per step.
    """

    gaussian: float = 0.05
    momentum: float = 0.9
    decay: float = 2e-4

    def __call__(self, setting: Setting) -> Figures:
        machines: list[RBM] = list(setting.part("rbms"))
        errors = []
        for depth, machine in enumerate(machines):
            rate = setting.lr * (self.gaussian if machine.gaussian else 1.0) * (1 - self.momentum)
            tensors = (machine.weight, machine.bias, machine.visible_bias)
            going = [torch.zeros_like(tensor) for tensor in tensors]
            for _ in range(setting.epochs):
                error = self._epoch(setting, machines[: depth + 1], going, rate)
            errors.append(round(error, 4))
        return {"reconstruction": errors}

    @torch.no_grad()
    def _epoch(self, setting: Setting, machines: list[RBM], going: list[torch.Tensor], rate: float) -> float:
        """Mean reconstruction error of the last machine over one epoch in which it learns."""
        visible, machine, total = setting.part("visible"), machines[-1], []
        for x in setting.shown():
            v = visible(x)
            for below in machines[:-1]:
                v = below(v)
            step, error = machine.contrast(v, setting.generator)
            total.append(error)
            machine.weight.mul_(1 - self.decay * rate)
            for tensor, motion, wanted in zip(
                (machine.weight, machine.bias, machine.visible_bias), going, step, strict=True
            ):
                motion.mul_(self.momentum).add_(wanted)
                tensor.add_(motion, alpha=rate)
        return sum(total) / len(total)
