"""What M3ER has to know before it trains: how modalities agree in the training rows, and how one follows another."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch

from mien.errors import RecipeError
from mien.fusions.cca import cca
from mien.layers.over_modalities import mean_there
from mien.models.m3er import M3ER
from mien.train.stages import STAGES, Figures, Setting
from mien.train.views import as_inputs


@STAGES.register("check-modalities", paper="Mittal et al., M3ER, AAAI 2020")
class CheckModalities:
    """Directions of agreement by CCA, and a linear map from each modality to each other by ridge regression.

    Paper: Mittal et al., "M3ER: multiplicative multimodal emotion recognition using facial, textual, and speech cues",
        AAAI 2020.

    Args:
        ridge: of both, as a share of the mean variance.
    """

    def __init__(self, ridge: float = 0.1) -> None:
        self.ridge = ridge

    def __call__(self, setting: Setting) -> Figures:
        """Fill the network's buffers; returns the first canonical correlation of each pair and the share of rows in
        which each modality is then found effective.

        Raises:
            RecipeError: the network is not m3er, or two modalities are never there together.
        """
        model = setting.model
        if not isinstance(model, M3ER) or setting.streams is None:
            raise RecipeError(f"the stage check-modalities is made for m3er, not for {type(model).__name__}")
        means, there = _means(setting)
        found: Figures = {}
        with torch.no_grad():
            for name in model.names:
                getattr(model, f"mean_{name}").copy_(torch.from_numpy(means[name][there[name]].mean(0)))
            for one, other in permutations(model.names, 2):
                both = there[one] & there[other]
                if both.sum() < 3:
                    raise RecipeError(f"check-modalities: {one} and {other} are hardly ever there in the same row")
                x, y = means[one][both], means[other][both]
                getattr(model, f"map_{one}_{other}").copy_(torch.from_numpy(_linear(x, y, self.ridge)))
                if model.names.index(one) < model.names.index(other):
                    # both directions from one analysis, for their signs belong together
                    count = getattr(model, f"canon_{one}_{other}").shape[1]
                    first, second, correlations = cca(x, y, count, self.ridge)
                    getattr(model, f"canon_{one}_{other}").copy_(torch.from_numpy(first))
                    getattr(model, f"canon_{other}_{one}").copy_(torch.from_numpy(second))
                    found[f"{one}, {other}"] = round(float(correlations[0]), 3)
            model.ready.fill_(True)
            known = torch.from_numpy(np.stack([there[name] for name in model.names], 1)).to(setting.device)
            given = {name: torch.from_numpy(array).float().to(setting.device) for name, array in means.items()}
            share = model.effective(given, known).float().mean(0).tolist()
        return {"correlation": found, "effective": dict(zip(model.names, np.round(share, 3).tolist(), strict=True))}


def _means(setting: Setting) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Means over time [N, D] of the training rows as the network is given them, and which are there [N]."""
    assert setting.streams is not None
    inputs = setting.given({name: x.to(setting.device) for name, x in as_inputs(setting.streams).items()})
    means, there = {}, {}
    for name in setting.streams.names:
        mask = inputs[f"{name}_mask"]
        means[name] = mean_there(inputs[name], mask).cpu().numpy().astype(np.float64)
        there[name] = mask.any(1).cpu().numpy()
    return means, there


def _linear(x: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge regression of y [N, E] on x [N, D]: [D + 1, E], the last row the constants."""
    centred = x - x.mean(0)
    gram = centred.T @ centred
    gram += np.eye(x.shape[1]) * max(ridge * float(np.trace(gram)) / x.shape[1], 1e-9)
    slope = np.linalg.solve(gram, centred.T @ (y - y.mean(0)))
    return np.vstack([slope, y.mean(0) - x.mean(0) @ slope])
