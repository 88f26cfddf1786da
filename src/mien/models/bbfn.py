"""BBFN: two pairs of modalities, each fused both ways and kept apart by discriminators, joined at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.complementation import GatedComplement
from mien.layers.over_modalities import mean_there, modality
from mien.layers.sequence_encoder import SequenceEncoder
from mien.models import MODELS, Inputs, Output
from mien.models.joint_fusion import MOSI_SHAPES


class Pair(nn.Module):
    """Layers in which two modalities complement each other, each layer with its separator.

    Args:
        width: E.
        layers: L.
    """

    def __init__(self, width: int, layers: int, heads: int, drop: float) -> None:
        super().__init__()
        self.to_main = nn.ModuleList(GatedComplement(width, heads, drop) for _ in range(layers))
        self.to_other = nn.ModuleList(GatedComplement(width, heads, drop) for _ in range(layers))
        self.shared = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.separators = nn.ModuleList(nn.Linear(width, 1) for _ in range(layers))

    def forward(self, main: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Both modalities' vectors [N, E] after the last layer, and the separators' logits [N, L, 2]."""
        (x, x_there), (y, y_there) = main, other
        told = []
        for to_main, to_other, shared, separator in zip(
            self.to_main, self.to_other, self.shared, self.separators, strict=True
        ):
            control = [torch.tanh(shared(mean_there(z, there))) for z, there in ((x, x_there), (y, y_there))]
            told.append(torch.cat([separator(part) for part in control], 1))
            both = torch.cat(control, 1)
            x, y = to_main(x, y, y_there, both), to_other(y, x, x_there, both)
        return mean_there(x, x_there), mean_there(y, y_there), torch.stack(told, 1)


class BBFN(nn.Module):
    """The main modality (text) with each of the others as a pair; a missing modality adds zeros.

    `aux["separator"]` holds the discriminators' logits [N, pairs * L, 2] for the loss `separation`.

    Paper: Han et al., "Bi-bimodal modality fusion for correlation-controlled multimodal sentiment analysis", ICMI 2021
        (arXiv 2107.13669).
    Differs: features take the place of BERT and of the words' sound and picture; each vector is a mean over time, where
        the paper takes the first token; a classifier takes the place of the regression of sentiment; narrow, for the
        1,447 utterances of CMU-MOSI.

    Args:
        shapes: modality -> [T, D] of its features.
        main: the modality that is in every pair.
        width: E, a multiple of `heads`.
        layers: of each pair.

    Raises:
        RecipeError: no such main modality, nothing to pair it with, or a modality that is not of features over time.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        main: str = "text",
        width: int = 32,
        layers: int = 2,
        heads: int = 4,
        drop: float = 0.3,
        tiny: bool = False,
    ) -> None:
        super().__init__()
        if main not in shapes or len(shapes) < 2 or any(len(shape) != 2 for shape in shapes.values()):
            raise RecipeError(
                f"bbfn pairs {main!r} with each other modality, all of features [T, D]; here are "
                f"{', '.join(f'{name} {list(shape)}' for name, shape in shapes.items())}"
            )
        width, layers = (8, 1) if tiny else (width, layers)
        self.main, self.others = main, tuple(name for name in shapes if name != main)
        self.encoders = nn.ModuleDict({name: SequenceEncoder(s[1], width, s[0]) for name, s in shapes.items()})
        self.pairs = nn.ModuleDict({name: Pair(width, layers, heads, drop) for name in self.others})
        joint = 2 * width * len(self.others)
        self.mix = nn.Sequential(nn.Linear(joint, joint), nn.ReLU(), nn.Dropout(drop), nn.Linear(joint, joint))
        self.head = nn.Linear(joint, classes)

    def forward(self, inputs: Inputs) -> Output:
        told: dict[str, tuple[Tensor, Tensor]] = {
            name: encoder.over_time(*modality(inputs, name))  # type: ignore[operator]
            for name, encoder in self.encoders.items()
        }
        parts, separators = [], []
        for name, pair in self.pairs.items():
            main, other, separator = pair(told[self.main], told[name])
            parts += [main, other]
            separators.append(separator)
        joint = torch.cat(parts, 1)
        embedding = joint + self.mix(joint)
        return Output(self.head(embedding), embedding, {"separator": torch.cat(separators, 1)})


@MODELS.register("bbfn", paper="Han et al., ICMI 2021", parameters=181_894, classes=2, size=1, modality="streams")
def bbfn(
    classes: int = 2,
    shapes: Mapping[str, Sequence[int]] = MOSI_SHAPES,
    main: str = "text",
    width: int = 32,
    layers: int = 2,
    heads: int = 4,
    drop: float = 0.3,
    tiny: bool = False,
) -> BBFN:
    """BBFN, by default for CMU-MOSI's three kinds of features."""
    return BBFN(classes, shapes, main, width, layers, heads, drop, tiny)
