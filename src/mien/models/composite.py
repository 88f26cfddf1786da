"""What a recipe puts around a network: maps of the face as its input, an earlier network before it, further heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.input_maps import MAPS, Angles, Grey, InputMap
from mien.models import MODELS, Inputs, Output, face
from mien.models.scaled import Scaled

CASCADE = "run:"


class Cascade(InputMap):
    """An earlier, frozen network as input: where it looks [N, 1, S, S] and what it says [N, K, S, S].

    Where: the mean size of its last feature map over the channels, from 0 to 1 in each face. What: its scores, each a
    plane of one value.

    Paper: Li, Deng, "Deep facial expression recognition: a survey", IEEE TAC 2020, section 4.1.6 (cascaded networks):
        the outputs of the former network are used by the latter.
    Differs: the survey's cascades are each made for one pair of networks; this one takes any two.

    Args:
        network: gives `aux["features"]` [N, D, h, w].
    """

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.channels = 1 + classes

    def train(self, mode: bool = True) -> Cascade:
        """Stays in evaluation mode: the earlier network is finished."""
        super().train(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        output: Output = self.network(x)
        features = output.aux["features"]
        looked = features.abs().mean(1, keepdim=True).to(x.dtype)
        low, high = looked.amin((2, 3), keepdim=True), looked.amax((2, 3), keepdim=True)
        where = F.interpolate((looked - low) / (high - low + 1e-6), x.shape[-2:], mode="bilinear", align_corners=False)
        said = torch.softmax(output.logits.to(x.dtype), 1)[:, :, None, None]
        return torch.cat([where, said.expand(-1, -1, *x.shape[-2:])], 1)


class Composite(nn.Module):
    """A network whose input is a stack of maps, with further linear heads on its embedding.

    `aux["head:TASK"]` of its output is what the head of that task says, [N, units].

    Args:
        name: of the registered network.
        classes: K.
        arguments: of its constructor, without `channels`.
        inputs: names of `MAPS`, or `run:NAME`; none for the face as it is.
        heads: units of each further head, by task.
        earlier: for each `run:NAME`, what it takes to build that network: `model`, `classes`, `arguments`.
        channels: of the face where `inputs` is empty.

    Raises:
        RecipeError: an unknown map, or an earlier network without a feature map.
    """

    def __init__(
        self,
        name: str,
        classes: int,
        arguments: Mapping[str, Any],
        *,
        inputs: Sequence[str] = (),
        heads: Mapping[str, int] | None = None,
        earlier: Mapping[str, Mapping[str, Any]] | None = None,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        maps = [_map(kind, earlier or {}) for kind in inputs]
        self.maps = nn.ModuleList(maps)
        self.grey = Grey()
        if inputs:
            channels = sum(made.channels for made in maps)
        self.net = MODELS.create(name, classes=classes, **{**arguments, "channels": channels})
        self.heads = nn.ModuleDict()
        if heads:
            dim = _dim(self.net, channels, int(MODELS.facts(name)["size"]))
            self.heads.update({task: nn.Linear(dim, units) for task, units in heads.items()})

    def forward(self, inputs: Inputs) -> Output:
        x = face(inputs)
        if self.maps:
            grey = self.grey(x)
            angles = inputs.get("angles") if isinstance(inputs, Mapping) else None
            parts = [m(grey, angles) if isinstance(m, Angles) else m(grey) for m in self.maps]
            x = torch.cat(parts, 1)
        output: Output = self.net({**inputs, "face": x} if isinstance(inputs, Mapping) else x)
        said = {f"head:{task}": head(output.embedding) for task, head in self.heads.items()}
        return Output(output.logits, output.embedding, {**output.aux, **said})


def _map(kind: str, earlier: Mapping[str, Mapping[str, Any]]) -> InputMap:
    if kind in MAPS:
        return MAPS[kind]()
    if kind not in earlier:
        raise RecipeError(f"inputs: {kind!r} is unknown; use {', '.join(MAPS)} or run:NAME of an earlier run")
    facts = earlier[kind]
    return Cascade(create(facts), int(facts["classes"]))


def _dim(net: nn.Module, channels: int, size: int) -> int:
    training = net.training
    with torch.no_grad():
        dim = int(net.eval()(torch.zeros(1, channels, size, size)).embedding.shape[1])
    net.train(training)
    return dim


def create(facts: Mapping[str, Any]) -> nn.Module:
    """The network that a checkpoint's facts describe: `model`, `classes`, `arguments`, and what is put around it:
    `around` for a composite, `scaled` (modality -> width) for standardised features.
    """
    if facts.get("scaled"):
        return Scaled(create({**facts, "scaled": {}}), facts["scaled"])
    around = facts.get("around") or {}
    if not around:
        return MODELS.create(facts["model"], classes=facts["classes"], **facts.get("arguments", {}))
    arguments = dict(facts.get("arguments", {}))
    channels = int(arguments.pop("channels", 1))
    return Composite(facts["model"], facts["classes"], arguments, channels=channels, **around)


def core(network: nn.Module) -> nn.Module:
    """The registered network inside a composite or behind a standardisation, or the network itself."""
    return network.net if isinstance(network, Composite | Scaled) else network


def has_map(network: nn.Module, probe: Tensor) -> bool:
    """Whether a network gives a feature map of more than one place for these faces."""
    with torch.no_grad():
        output: Output = network.eval()(probe)
    features = output.aux.get("features")
    return features is not None and features.ndim == 4 and features.shape[-1] > 1
