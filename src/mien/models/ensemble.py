"""An ensemble: several finished networks that answer together, by one of five rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.conv_unit import own
from mien.layers.fixed_map import FixedMap
from mien.losses import LOSSES
from mien.losses.margin import give_head
from mien.models import MODELS, Inputs, Output, face
from mien.models.composite import core, create

RULES = ("mean", "logits", "majority", "weights", "features")
BT601 = (0.299, 0.587, 0.114)


def mean_score(logits: Tensor) -> Tensor:
    """Logarithm of the mean over members of their softmax scores: logits [N, M, K] to [N, K]."""
    return weighted_score(logits, logits.new_zeros(logits.shape[1]))


def weighted_score(logits: Tensor, mix: Tensor) -> Tensor:
    """Logarithm of sum_m softmax(mix)_m softmax(logits_m): logits [N, M, K] and mix [M] to [N, K]."""
    log_weight = F.log_softmax(mix, 0)[:, None]
    return torch.logsumexp(F.log_softmax(logits, 2) + log_weight, 1)


def vote_score(logits: Tensor) -> Tensor:
    """Logarithm of (votes + mean score) / (M + 1): logits [N, M, K] to [N, K].

    Each member gives one vote to its highest class. The mean score counts as one more vote that is divided among the
    classes: always less than a whole one, it decides between classes of equally many votes and nothing else.
    """
    classes = torch.arange(logits.shape[2], device=logits.device)
    votes = (logits.argmax(2, keepdim=True) == classes).to(logits.dtype).sum(1)
    mean = mean_score(logits).exp().clamp_min(1e-12)
    return ((votes + mean) / (logits.shape[1] + 1)).log()


class Member(nn.Module):
    """A finished network behind what it takes to show it faces of any size and colour.

    Args:
        classes: K.
        facts: `model` and `arguments`, `around` and `margin` as in a checkpoint; `size`, the side of its faces;
            `channels`, 1 for grey and 3 for RGB; `angles`, whether it reads maps of the change of angles.
    """

    bias: Tensor

    def __init__(self, classes: int, facts: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = create({**facts, "classes": classes})
        if facts.get("margin"):
            margin = LOSSES.create(facts["margin"]["name"], **facts["margin"]["arguments"])
            give_head(core(self.network), margin)  # type: ignore[arg-type]
        self.resize = FixedMap(int(facts.get("size", 48)))
        self.channels = int(facts.get("channels", 1))
        self.angles = bool(facts.get("angles", False))
        # the share of the class frequencies that the member's own scores put back
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Logits [N, K] and embedding [N, D], both in 32 bits."""
        x = face(inputs)
        if x.shape[1] == 3 and self.channels == 1:
            x = (x * x.new_tensor(BT601)[:, None, None]).sum(1, keepdim=True)
        elif x.shape[1] == 1 and self.channels == 3:
            x = x.repeat(1, 3, 1, 1)
        x = self.resize(x)
        maps = inputs.get("angles") if self.angles and isinstance(inputs, Mapping) else None
        output: Output = self.network(x if maps is None else {"face": x, "angles": maps})
        return output.logits.float() + self.bias, output.embedding.float()


class Ensemble(nn.Module):
    """M networks that answer together.

    - `mean`: the mean of their softmax scores.
    - `logits`: the mean of their logits, as one linear layer `head` on their embeddings side by side.
    - `majority`: one vote each; where votes are equal, the higher mean score.
    - `weights`: the mean of their scores with convex weights softmax(`mix`), learnt on validation faces.
    - `features`: their embeddings, standardised and concatenated, and a linear classifier `head` on these.

    The softmax of the logits gives the scores named above; `aux["members"]` [N, M, K] are the members' own logits, the
    embedding [N, D] is theirs, one after the other.

    Paper: Li, Deng, "Deep facial expression recognition: a survey", IEEE TAC 2020, section 4.1.4 (network ensemble):
        majority voting, simple average, weighted average at the decision level, concatenation at the feature level.
    Differs: the survey's weights are each paper's own; here they have the least cross-entropy. The concatenated
        features go to multinomial logistic regression. The mean of logits (up to a factor, the geometric mean of the
        scores) is ours: a file with one linear layer at its end, whose input is the ensemble's embedding.

    Args:
        classes: K.
        members: what each member is made from, see `Member`.
        rule: `mean`, `logits`, `majority`, `weights` or `features`.

    Raises:
        RecipeError: no members, or another rule.
    """

    members: Sequence[Member]
    centre: Tensor
    scale: Tensor

    def __init__(self, classes: int, members: Sequence[Mapping[str, Any]], rule: str = "mean") -> None:
        super().__init__()
        if not members:
            raise RecipeError("an ensemble needs members; name finished runs")
        if rule not in RULES:
            raise RecipeError(f"an ensemble's rule is {', '.join(RULES[:-1])} or {RULES[-1]}, not {rule!r}")
        self.rule = rule
        self.members = nn.ModuleList([Member(classes, facts) for facts in members])  # type: ignore[assignment]
        if rule == "weights":
            self.mix = nn.Parameter(torch.zeros(len(members)))
        if rule in ("features", "logits"):
            dim = self._dim(int(members[0].get("size", 48)))
            self.head = nn.Linear(dim, classes)
        if rule == "features":
            self.register_buffer("centre", torch.zeros(dim))
            self.register_buffer("scale", torch.ones(dim))

    def _dim(self, side: int) -> int:
        """D, found by showing the members an empty face."""
        training = self.training
        self.eval()
        with torch.no_grad():
            dim = int(self.ask(torch.zeros(1, 1, side, side))[1].shape[1])
        self.train(training)
        return dim

    @torch.no_grad()
    def join_heads(self) -> None:
        """Make `head` give the mean of the members' logits.

        Raises:
            RecipeError: a member's logits are not those of a linear layer on its embedding.
        """
        heads = [getattr(core(member.network), "head", None) for member in self.members]
        for number, head in enumerate(heads):
            if not isinstance(head, nn.Linear):
                raise RecipeError(f"member {number + 1} ends in no linear layer; join these by rule = 'mean'")
        linear = [head for head in heads if isinstance(head, nn.Linear)]
        weight = torch.cat([head.weight for head in linear], 1) / len(linear)
        if weight.shape != self.head.weight.shape:
            raise RecipeError("a member's last layer does not read its embedding; join these by rule = 'mean'")
        self.head.weight.copy_(weight)
        pairs = zip(self.members, linear, strict=True)
        bias = [member.bias if head.bias is None else head.bias + member.bias for member, head in pairs]
        self.head.bias.copy_(torch.stack(bias).mean(0))

    def ask(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """What the members say: logits [N, M, K] and embeddings side by side [N, D]."""
        said = [member(inputs) for member in self.members]
        return torch.stack([logits for logits, _ in said], 1), torch.cat([embedding for _, embedding in said], 1)

    def fuse(self, logits: Tensor, embedding: Tensor) -> Tensor:
        """Logits [N, K] by the rule, from what `ask` gives."""
        if self.rule == "mean":
            return mean_score(logits)
        if self.rule == "majority":
            return vote_score(logits)
        if self.rule == "weights":
            return weighted_score(logits, self.mix)
        if self.rule == "features":
            embedding = (embedding - self.centre) / self.scale
        fused: Tensor = self.head(embedding)
        return fused

    def forward(self, inputs: Inputs) -> Output:
        logits, embedding = self.ask(inputs)
        # 8 bits of mantissa would tie scores that differ
        with torch.autocast(logits.device.type, enabled=False):
            fused = self.fuse(logits, embedding)
        return Output(fused, embedding, {"members": logits})


DEFAULT = ({"model": "mini-s"}, {"model": "mini-s-fine"})
TINY = {
    "members": (
        {"model": "mini-s", "arguments": {"widths": (4, 6), "depths": (1, 1)}},
        {"model": "mini-s-fine", "arguments": {"widths": (4, 6, 8), "depths": (1, 1, 1), "stem": 4}},
    )
}


@MODELS.register("ensemble", paper="Li and Deng 2020, section 4.1.4", parameters=1_582_424, size=48, modality="face")
def ensemble(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> Ensemble:
    """Made from finished runs by a recipe with a table `[ensemble]`; by default two networks of ours, untrained."""
    return Ensemble(classes, **own({"members": DEFAULT}, tiny, TINY, arguments))
