"""Features of one signal over time: each window by itself, then attention or the mean over the windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.attend_steps import AttendSteps
from mien.layers.conv_unit import own
from mien.layers.over_modalities import mean_there, modality
from mien.models import MODELS, Inputs, Output

SEED_SHAPES = {"eeg": (1, 310)}
"""Band features of SEED-IV in one window: 62 electrodes of five bands."""
POOLS = ("attention", "mean")


def features_of(shapes: Mapping[str, Sequence[int]], name: str) -> int:
    """D of a modality [T, D].

    Raises:
        RecipeError: it is not of features over time.
    """
    if len(shapes[name]) != 2:
        raise RecipeError(f"{name} is {list(shapes[name])}, not features [T, D]; name an extractor under [features]")
    return int(shapes[name][1])


class EEGNet(nn.Module):
    """Windows through one hidden layer, pooled over time, and a linear layer: a plain yardstick for one signal.

    Paper: a perceptron on band features as in Zheng, Lu, "Investigating critical frequency bands and channels for
        EEG-based emotion recognition with deep neural networks", IEEE Trans. Autonomous Mental Development 2015; the
        attention of Yang et al., NAACL 2016.
    Differs: trials are classified, not single windows, and nothing is pre-trained.

    Args:
        shapes: one modality -> [T, D].
        width: of the hidden layer.
        pool: `attention` over the windows, or their `mean`.
        dropout: of the features, and of the pooled ones, in [0, 1).

    Raises:
        RecipeError: more than one modality, one that is not features over time, or another pool.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        width: int = 64,
        pool: str = "attention",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(shapes) != 1 or pool not in POOLS:
            raise RecipeError(f"eeg-net reads one modality, not {', '.join(shapes)}, and pools by {' or '.join(POOLS)}")
        self.name = next(iter(shapes))
        self.step = nn.Sequential(
            nn.Dropout(dropout / 2), nn.Linear(features_of(shapes, self.name), width), nn.LayerNorm(width), nn.GELU()
        )
        self.attend = AttendSteps(width) if pool == "attention" else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Inputs) -> Output:
        x, there = modality(inputs, self.name)
        x = self.step(x)
        aux: dict[str, Tensor] = {}
        if self.attend is None:
            pooled = mean_there(x, there)
        else:
            pooled, aux["attention"] = self.attend(x, there)
        return Output(self.head(self.dropout(pooled)), pooled, aux)


@MODELS.register(
    "eeg-net", paper="Zheng, Lu 2015; Yang et al. 2016", parameters=22_404, classes=4, size=1, modality="streams"
)
def eeg_net(
    classes: int = 4, shapes: Mapping[str, Sequence[int]] = SEED_SHAPES, *, tiny: bool = False, **arguments: Any
) -> EEGNet:
    """64 units, attention over the windows; by default for SEED-IV's features."""
    return EEGNet(classes, shapes, **own({}, tiny, {"width": 8}, arguments))
