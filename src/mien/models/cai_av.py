"""Speech by convolutions and an LSTM, the face by blocks of small kernels, and a deep network over both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.conv_unit import conv_unit, initialise, own
from mien.layers.masked_lstm import lengths
from mien.layers.over_modalities import modality
from mien.layers.standardise import Standardise
from mien.models import MODELS, Inputs, Output

AV_SHAPES = {"audio": (300, 64), "face": (1, 48, 48)}
"""Three seconds of log-mel and a grey face."""


def check_av(name: str, shapes: Mapping[str, Sequence[int]], sound: str = "features [T, D]") -> None:
    """Whether a network over `audio` and `face` can read these shapes; one of the two is enough.

    Raises:
        RecipeError: it cannot.
    """
    axes = {"audio": 2, "face": 3}
    if not shapes or any(axes.get(kind) != len(shape) for kind, shape in shapes.items()):
        found = ", ".join(f"{kind} {list(shape)}" for kind, shape in shapes.items()) or "nothing"
        raise RecipeError(f"{name} reads audio as {sound} and face as pictures [C, S, S], not {found}")


class SpeechLSTM(nn.Module):
    """Convolutions of width 5 over time, each halving the pace, then an LSTM; its last state that is there [N, H]."""

    def __init__(self, bands: int, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        inputs = [bands, *widths[:-1]]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv1d(i, o, 5, 2, 2, bias=False), nn.BatchNorm1d(o), nn.ReLU())
            for i, o in zip(inputs, widths, strict=True)
        )
        self.lstm = nn.LSTM(widths[-1], hidden, batch_first=True)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        x = x.transpose(1, 2) * there[:, None].to(x.dtype)
        for block in self.blocks:
            there = there[:, ::2]
            x = block(x) * there[:, None].to(x.dtype)
        states = self.lstm(x.transpose(1, 2))[0]
        last = (lengths(there) - 1)[:, None, None].expand(-1, 1, states.shape[2])
        said: Tensor = states.gather(1, last)
        return said[:, 0]


class CaiAV(nn.Module):
    """e = DNN([LSTM(CNN(speech)); blocks(face)]).

    Paper: Cai, Dong, Wei, "Multi-modal emotion recognition from speech and facial expression based on deep learning",
        Chinese Automation Congress 2020, as Liang and Dong's survey describes it.
    Differs: the paper's widths could not be read; these are ours, for 48-pixel faces and log-mel. Each face block is
        two 3x3 convolutions and a max-pool; a modality that is not there gives zeros.

    Args:
        classes: K.
        shapes: `audio` [T, D], `face` [C, S, S]; one of them alone leaves the other branch out.
        speech: channels of the speech convolutions.
        hidden: H of the LSTM.
        blocks: channels of the face blocks.
        layers: units of the deep network's hidden layers; the last is the embedding.
        drop: between its layers, in [0, 1).

    Raises:
        RecipeError: other modalities or shapes.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        speech: Sequence[int] = (64, 96, 128),
        hidden: int = 128,
        blocks: Sequence[int] = (32, 64, 96, 128),
        layers: Sequence[int] = (256, 128),
        drop: float = 0.3,
    ) -> None:
        super().__init__()
        check_av("cai-av", shapes)
        self.names = tuple(shapes)
        self.speech = SpeechLSTM(shapes["audio"][1], speech, hidden) if "audio" in shapes else None
        self.face: nn.Sequential | None = None
        if "face" in shapes:
            parts: list[nn.Module] = [Standardise()]
            for i, o in zip([shapes["face"][0], *blocks[:-1]], blocks, strict=True):
                parts += [conv_unit(i, o, 3), conv_unit(o, o, 3), nn.MaxPool2d(2, ceil_mode=True)]
            self.face = nn.Sequential(*parts)
        inputs = (hidden if "audio" in shapes else 0) + (blocks[-1] if "face" in shapes else 0)
        deep: list[nn.Module] = []
        for i, o in zip([inputs, *layers[:-1]], layers, strict=True):
            deep += [nn.Linear(i, o), nn.ReLU(), nn.Dropout(drop)]
        self.deep = nn.Sequential(*deep)
        self.head = nn.Linear(layers[-1], classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        said: dict[str, Tensor] = {}
        for name in self.names:
            x, there = modality(inputs, name)
            found = self.speech(x, there) if name == "audio" and self.speech else self._look(x)
            said[name] = found * there.any(1, keepdim=True).to(found.dtype)
        embedding = self.deep(torch.cat([said[name] for name in self.names], 1))
        return Output(self.head(embedding), embedding, {f"embedding:{name}": part for name, part in said.items()})

    def _look(self, x: Tensor) -> Tensor:
        assert self.face is not None
        return torch.as_tensor(self.face(x)).mean((2, 3))


TINY: dict[str, Any] = {"speech": (4, 5), "hidden": 6, "blocks": (3, 4, 5), "layers": (12, 8)}


@MODELS.register("cai-av", paper="Cai et al. 2020", parameters=807_400, size=48, modality="streams", shapes=AV_SHAPES)
def cai_av(
    classes: int = 8, shapes: Mapping[str, Sequence[int]] = AV_SHAPES, *, tiny: bool = False, **arguments: Any
) -> CaiAV:
    """Speech CNN + LSTM and small-kernel blocks on the face, joined by a deep network."""
    return CaiAV(classes, shapes, **own({}, tiny, TINY, arguments))
