"""Greedy pre-training of a stack of layers as denoising autoencoders, then of the whole as one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.train.stages import STAGES, Figures, Setting, learning


@STAGES.register("autoencode", paper="Vincent et al., Stacked denoising autoencoders, JMLR 2010")
@dataclass(frozen=True)
class Autoencode:
    """Layer by layer min |d_l(relu(W_l v~ + b_l)) - v|^2, v~ being v with some numbers set to 0; then the same through
    all layers and all decoders. Each part takes the stage's epochs. The decoders are dropped.

    Paper: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 2006; Vincent
        et al., "Stacked denoising autoencoders", JMLR 2010.

    Attributes:
        corrupt: share of the numbers set to 0, in [0, 1).
    """

    corrupt: float = 0.25

    def __call__(self, setting: Setting) -> Figures:
        layers: list[nn.Linear] = list(setting.part("layers"))
        decoders = [nn.Linear(layer.out_features, layer.in_features).to(setting.device) for layer in layers]
        errors = [self._fit(setting, layers, decoders, depth, depth + 1) for depth in range(len(layers))]
        return {"reconstruction": [*errors, self._fit(setting, layers, decoders, 0, len(layers))]}

    def _fit(
        self, setting: Setting, layers: list[nn.Linear], decoders: list[nn.Linear], first: int, last: int
    ) -> float:
        """Train the layers first to last - 1 and their decoders; returns the last epoch's mean squared error."""
        visible, code = setting.part("visible"), setting.part("code")
        with learning(*layers[first:last], *decoders[first:last]) as parameters:
            optimiser = torch.optim.Adam(parameters, lr=setting.lr)
            for _ in range(setting.epochs):
                errors = []
                for x in setting.shown():
                    with torch.no_grad():
                        v: Tensor = code(visible(x), first)
                    kept = torch.rand(v.shape, generator=setting.generator) >= self.corrupt
                    y = v * kept.to(v.device)
                    for layer in layers[first:last]:
                        y = torch.relu(layer(y))
                    for decoder in reversed(decoders[first:last]):
                        y = decoder(torch.relu(y))
                    loss = functional.mse_loss(y, v)
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    errors.append(float(loss.detach()))
        return round(sum(errors) / len(errors), 4)
