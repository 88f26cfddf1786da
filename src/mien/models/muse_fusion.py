"""Early, late and attention fusion of modalities over time, each with LSTMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.over_modalities import modality
from mien.layers.sequence_encoder import SequenceEncoder
from mien.models import MODELS, Inputs, Output
from mien.models.joint_fusion import MOSI_SHAPES

KINDS = ("early", "late", "attention")


def aligned(x: Tensor, there: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """A modality [N, T, D] spread over so many steps, each the nearest of those that are there; and [N, steps] there.

    >>> x = torch.tensor([[[1.0], [2.0], [9.0]]])
    >>> aligned(x, torch.tensor([[True, True, False]]), 4)[0].flatten().tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    order = torch.argsort((~there).to(torch.int8), dim=1, stable=True)
    count = there.sum(1)
    place = (torch.arange(steps, device=x.device)[None] * count[:, None]) // steps
    rows = order.gather(1, place.clamp_max(x.shape[1] - 1))
    some = (count > 0)[:, None].expand(-1, steps)
    return x.gather(1, rows[:, :, None].expand(-1, -1, x.shape[2])) * some[:, :, None].to(x.dtype), some


class MuseFusion(nn.Module):
    """Three ways to fuse; logits are scores of classes or, with the loss `ccc`, numbers such as valence and arousal.

    - `early`: the modalities' features side by side at every step, one LSTM.
    - `late`: an LSTM and a head for each modality, then a linear layer on their answers.
    - `attention`: an LSTM for each modality; their vectors are summed with weights that a small layer finds for each
      sample, by a softmax over the modalities that are there.

    `aux["attention"]` [N, M] holds the weights of the last kind.

    Paper: Li et al., "Multi-modal fusion for video sentiment analysis", MuSe workshop at ACM Multimedia 2020.
    Differs: built from the paper's description of its strategies; one answer for each sample, where MuSe asks for one
        at every quarter of a second; each modality is aligned to the longest by its share of the sample; widths are
        ours.

    Args:
        shapes: modality -> [T, D] of its features.
        fusion: `early`, `late` or `attention`.
        width: E.

    Raises:
        RecipeError: another kind of fusion, or a modality that is not of features over time.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        fusion: str = "attention",
        width: int = 64,
        drop: float = 0.3,
        tiny: bool = False,
    ) -> None:
        super().__init__()
        if fusion not in KINDS or any(len(shape) != 2 for shape in shapes.values()):
            raise RecipeError(
                f"muse-fusion: fusion = {fusion!r} of {', '.join(f'{n} {list(s)}' for n, s in shapes.items())}; "
                f"choose {', '.join(KINDS)}, of features [T, D]"
            )
        width = 8 if tiny else width
        self.names, self.fusion, self.steps = tuple(shapes), fusion, max(shape[0] for shape in shapes.values())
        # an LSTM even over one step, as in the paper
        if fusion == "early":
            dims, self.encoders = sum(shape[1] for shape in shapes.values()), nn.ModuleDict()
            self.encoders["all"] = SequenceEncoder(dims, width, 2)
        else:
            self.encoders = nn.ModuleDict({name: SequenceEncoder(s[1], width, 2) for name, s in shapes.items()})
        self.drop = nn.Dropout(drop)
        self.ask = nn.Linear(width, 1) if fusion == "attention" else None
        self.answers = nn.ModuleDict()
        if fusion == "late":
            self.answers.update({name: nn.Linear(width, classes) for name in shapes})
        self.head = nn.Linear(classes * len(shapes) if fusion == "late" else width, classes)

    def forward(self, inputs: Inputs) -> Output:
        given = {name: modality(inputs, name) for name in self.names}
        if self.fusion == "early":
            spread = [aligned(x, there, self.steps) for x, there in given.values()]
            some = torch.stack([there for _, there in spread]).any(0)
            embedding = self.encoders["all"](torch.cat([x for x, _ in spread], 2), some)
            return self._out(embedding, {})
        said = {name: self.encoders[name](x, there) for name, (x, there) in given.items()}
        there = torch.stack([mask.any(1) for _, mask in given.values()], 1)
        if self.fusion == "late":
            answers = [self.answers[name](self.drop(part)) for name, part in said.items()]
            known = torch.cat([part * there[:, m, None].to(part.dtype) for m, part in enumerate(answers)], 1)
            return Output(self.head(known), known, {})
        assert self.ask is not None
        parts = torch.stack(list(said.values()), 1)
        asked = self.ask(parts)[:, :, 0].masked_fill(~there & there.any(1, keepdim=True), -torch.inf)
        weights = torch.softmax(asked, 1)
        return self._out((weights[:, :, None] * parts).sum(1), {"attention": weights})

    def _out(self, embedding: Tensor, aux: dict[str, Tensor]) -> Output:
        return Output(self.head(self.drop(embedding)), embedding, aux)


@MODELS.register("muse-fusion", paper="Li et al., MuSe 2020", parameters=93_123, classes=2, size=1, modality="streams")
def muse_fusion(
    classes: int = 2,
    shapes: Mapping[str, Sequence[int]] = MOSI_SHAPES,
    fusion: str = "attention",
    width: int = 64,
    drop: float = 0.3,
    tiny: bool = False,
) -> MuseFusion:
    """Early, late or attention fusion, by default of CMU-MOSI's three kinds of features."""
    return MuseFusion(classes, shapes, fusion, width, drop, tiny)
