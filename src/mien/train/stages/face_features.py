"""Convolutions learn to give the features of a frozen face network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.models import MODELS
from mien.train.checkpoint import last_weights, start_from
from mien.train.stages import STAGES, Figures, Setting, learning


@STAGES.register("face-features", paper="Ding, Zhou, Chellappa, FaceNet2ExpNet, FG 2017")
@dataclass(frozen=True)
class FaceFeatures:
    """min |A g(x) - G(x)|^2: g the network's `convolutions`, G the face network's last map, A a 1x1 convolution.

    A fits the channels and is dropped; G's map is averaged or stretched to the side of g's.

    Paper: Ding, Zhou, Chellappa, "FaceNet2ExpNet", FG 2017, the pre-training of the convolutions.
    Differs: G is a MobileNet that recognises people, not VGG-Face; its last map is scaled to unit deviation, so that
        one learning rate fits any face network.

    Attributes:
        run: of the face network, in the same folder of runs.
        network: its registered name.
        arguments: of its constructor.
    """

    run: str = "faceres"
    network: str = "mobilenet-face"
    arguments: dict[str, Any] = field(default_factory=dict)

    def __call__(self, setting: Setting) -> Figures:
        teacher = MODELS.create(self.network, **self.arguments)
        start_from(teacher, last_weights(setting.runs / self.run), self.run)
        teacher.to(setting.device).eval().requires_grad_(False)
        learner: nn.Module = setting.part("convolutions")
        probe = setting.faces(torch.arange(min(64, len(setting.pixels))))
        with torch.no_grad():
            theirs, own = _features(teacher, probe), learner.eval()(probe)
        scale = 1 / theirs.std().clamp_min(1e-6)
        adapter = nn.Conv2d(own.shape[1], theirs.shape[1], 1).to(setting.device)
        with learning(learner, adapter) as parameters:
            optimiser = torch.optim.Adam(parameters, lr=setting.lr)
            for _ in range(setting.epochs):
                errors = []
                for x in setting.shown():
                    with torch.no_grad():
                        wanted = F.interpolate(_features(teacher, x), own.shape[-2:], mode="area") * scale
                    loss = F.mse_loss(adapter(learner(x)), wanted)
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    errors.append(float(loss.detach()))
        return {"regression": round(sum(errors) / len(errors), 4)}


def _features(teacher: nn.Module, x: Tensor) -> Tensor:
    """The last map of a face network, which sees grey."""
    features: Tensor = teacher(x.mean(1, keepdim=True)).aux["features"]
    return features
