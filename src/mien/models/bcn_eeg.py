"""Bilinear convolution networks over EEG pictures and faces, LSTMs with attention, and BiLSTMs that join them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.attend_steps import AttendSteps, at_least_one, to_front
from mien.layers.bilinear import BilinearNetwork
from mien.layers.conv_unit import own
from mien.layers.irnn import Recurrent
from mien.layers.over_modalities import modality
from mien.models import MODELS, Inputs, Output

SHAPES = {"face": (1, 48, 48), "eeg": (10, 768)}
"""A grey face, and EEG in ten windows: three bands of 16 x 16 pixels each (`band-images`)."""


class PictureSequence(nn.Module):
    """Pictures over time [N, T, C, S, S] to [N, dim]: a bilinear network each, an LSTM, attention over its states.

    A single picture, `still`, is not a sequence and has the bilinear network alone.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], dim: int, still: bool) -> None:
        super().__init__()
        self.pictures = BilinearNetwork(channels, widths, dim)
        self.lstm = None if still else Recurrent("lstm", dim, dim)
        self.attend = None if still else AttendSteps(dim)

    def forward(self, x: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """The vector, 0 where nothing is there, and the weights of the steps, those that are there first."""
        if self.lstm is None or self.attend is None:
            weight = there.to(x.dtype)
            return self.pictures(x[:, 0]) * weight, weight
        x, there = to_front(x, there)
        # only pictures that are there, for the sake of the batch norms' statistics
        some = at_least_one(there)
        found = x.new_zeros(*some.shape, self.lstm.width).masked_scatter(some[:, :, None], self.pictures(x[some]))
        states, _ = self.lstm(found, some)
        pooled: tuple[Tensor, Tensor] = self.attend(states, there)
        return pooled


class BCNEEG(nn.Module):
    """Each modality's pictures to one vector; the vectors, one step each, through three layers of a bidirectional LSTM.

    A modality that is missing is a step of zeros. The embedding is the last layer's state at each step, side by side.

    Paper: Zhao, Chen, "Expression EEG multimodal emotion recognition method based on the bidirectional LSTM and
        attention mechanism", Computational and Mathematical Methods in Medicine, 2021, 9967592: bilinear convolution
        networks on faces and on three groups of frequency-band pictures of the EEG, LSTM with attention, fusion by
        three BiLSTM layers.
    Differs: its text beyond the abstract could not be read: all widths are ours, the attention is Yang et al.'s (NAACL
        2016), and what the fusion reads, one step a modality, is our reading.

    Args:
        shapes: pictures [C, S, S], clips [T, C, S, S], or EEG pictures flattened to [T, bands side^2].
        bands: channels of flattened pictures.
        widths: of the bilinear networks.
        dim: of each modality's vector.
        hidden: of the fusion, each direction.
        dropout: between the fusion's layers and before the head, in [0, 1).

    Raises:
        RecipeError: features that are no square pictures.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        bands: int = 3,
        widths: Sequence[int] = (16, 32),
        dim: int = 64,
        hidden: int = 32,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.names, self.bands = tuple(shapes), bands
        self.sides = {name: self._side(name, shape) for name, shape in shapes.items() if len(shape) == 2}
        channels = {name: bands if len(shape) == 2 else int(shape[-3]) for name, shape in shapes.items()}
        still = {name: len(shape) == 3 or shape[0] == 1 for name, shape in shapes.items()}
        self.encoders = nn.ModuleDict(
            {name: PictureSequence(channels[name], tuple(widths), dim, still[name]) for name in self.names}
        )
        self.fuse = nn.LSTM(dim, hidden, 3, batch_first=True, bidirectional=True, dropout=dropout / 2)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden * len(self.names), classes)

    def _side(self, name: str, shape: Sequence[int]) -> int:
        side = math.isqrt(shape[1] // self.bands)
        if self.bands * side * side != shape[1]:
            raise RecipeError(
                f"{name}: {shape[1]} numbers are not {self.bands} square pictures; draw them with "
                f'{name} = {{ name = "band-images" }} under [features]'
            )
        return side

    def _pictures(self, x: Tensor, name: str) -> Tensor:
        """[N, T, C, S, S] of whatever holds the modality."""
        if name in self.sides:
            return x.reshape(*x.shape[:2], self.bands, self.sides[name], self.sides[name])
        return x[:, None] if x.ndim == 4 else x

    def forward(self, inputs: Inputs) -> Output:
        said: list[Tensor] = []
        aux: dict[str, Tensor] = {}
        for name in self.names:
            x, there = modality(inputs, name)
            x = self._pictures(x, name)
            there = there if there.shape[1] == x.shape[1] else there[:, :1].expand(-1, x.shape[1])
            vector, aux[f"attention:{name}"] = self.encoders[name](x, there)
            said.append(vector)
        embedding = self.fuse(torch.stack(said, 1))[0].flatten(1)
        return Output(self.head(self.dropout(embedding)), embedding, aux)


@MODELS.register("bcn-eeg", paper="Zhao, Chen 2021", parameters=280004, classes=4, size=48, modality="streams")
def bcn_eeg(
    classes: int = 4, shapes: Mapping[str, Sequence[int]] = SHAPES, *, tiny: bool = False, **arguments: Any
) -> BCNEEG:
    """Two halvings of 16 and 32 channels, 64 numbers a modality, 32 units a direction."""
    return BCNEEG(classes, shapes, **own({}, tiny, {"widths": (4, 6), "dim": 8, "hidden": 6}, arguments))
