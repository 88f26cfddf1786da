"""All there is to say about a registered network: its paper, blocks, costs and receptive field."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mien.errors import UnknownName
from mien.explain.diagram import Row, rows
from mien.explain.macs import trace
from mien.explain.receptive import Field, receptive_field
from mien.models import MODELS

SHOWN = ("face", "flow", "frames")
"""Modalities of the networks that can be looked into."""


def example(name: str) -> torch.Tensor:
    """One input of a network's own size: a grey face [1, 1, S, S], a flow image [1, 3, S, S] or a clip [1, T, 1, S, S].

    Raises:
        UnknownName: no such network, or one that reads something else.
    """
    facts = MODELS.facts(name)
    if facts["modality"] not in SHOWN:
        raise UnknownName("network of faces, flow or clips", name, _shown())
    size = int(facts["size"])
    shape = {"flow": (1, 3, size, size), "frames": (1, int(facts.get("frames", 16)), 1, size, size)}
    chance = torch.Generator().manual_seed(0)
    return torch.rand(shape.get(facts["modality"], (1, 1, size, size)), generator=chance)


def _shown() -> list[str]:
    return [name for name in MODELS.names() if MODELS.facts(name)["modality"] in SHOWN]


@dataclass(frozen=True)
class Anatomy:
    """What `mien show NETWORK` says.

    Attributes:
        about: first sentence of its description.
        paper, differs: what it follows, and where it leaves that.
        input: shape of what the costs are for, [1, ..., S, S].
        rows: its blocks.
        field: what one unit of the last feature map sees; None where there is no such map.
        attends: it has attention, through which its answer rests on all places at once.
    """

    name: str
    about: str
    paper: str
    differs: str
    input: tuple[int, ...]
    parameters: int
    macs: int
    rows: list[Row]
    field: Field | None
    attends: bool

    def unit(self) -> str:
        """What the costs are for, in words."""
        size = f"{self.input[-1]} px"
        if len(self.input) == 5:
            return f"a grey clip of {self.input[1]} frames of {size}"
        return f"a grey face of {size}" if self.input[1] == 1 else f"a flow image of {size}"

    def sees(self) -> str:
        """The receptive field in words."""
        if len(self.input) == 5:
            return "not measured for networks over clips"
        size = self.input[-1]
        if self.field is None:
            return "whole picture: linear layers, no feature map"
        at = f"one unit of the last map (`{self.field.name}`, {'×'.join(map(str, self.field.shape))})"
        sides = (self.field.height, self.field.width)
        if None in sides:
            return f"{at}: not measured, for the network runs at {size} px only"
        if sides == (0, 0):
            return f"whole picture: {at} sees all of it" + (", by attention" if self.attends else "")
        seen = " × ".join(map(str, sides))
        if self.attends:
            return f"whole picture, by attention; before it, {at} sees {seen} px"
        beyond = f", more than the picture's {size}" if min(s or 0 for s in sides) > size else ""
        return f"{seen} px{beyond}: {at}"

    def facts(self) -> dict[str, Any]:
        """The same for a program to read; `receptive_field` is `whole`, [height, width] in pixels, or null."""
        known = self.field is not None and self.field.height is not None
        sides: Any = [self.field.height, self.field.width] if self.field is not None and known else None
        whole = len(self.input) == 4 and (self.field is None or self.attends or sides == [0, 0])
        return {
            "input": list(self.input),
            "about": self.about,
            "reference": self.paper,
            "differs": self.differs,
            "macs": self.macs,
            "receptive_field": "whole" if whole else sides,
            "last_map": None if self.field is None else {"name": self.field.name, "shape": list(self.field.shape)},
            "blocks": [row.facts() for row in self.rows],
        }


def anatomy(name: str) -> Anatomy:
    """Build a registered network and look inside it.

    Raises:
        UnknownName: no such network, or one that reads neither faces nor flow nor clips.
    """
    x = example(name)
    network = MODELS.create(name)
    root, attends = trace(network, x)
    return Anatomy(
        name=name,
        **described(network),
        input=tuple(x.shape),
        parameters=sum(p.numel() for p in network.parameters()),
        macs=root.macs,
        rows=rows(root),
        field=receptive_field(network, x) if x.ndim == 4 else None,
        attends=attends,
    )


def costs(name: str) -> tuple[nn.Module, int]:
    """A registered network and its multiply-accumulates for one input of its size.

    Raises:
        UnknownName: no such network, or one that reads neither faces nor flow nor clips.
    """
    x = example(name)
    network = MODELS.create(name)
    return network, trace(network, x)[0].macs


def described(network: nn.Module) -> dict[str, str]:
    """First sentence and the paragraphs `Paper:` and `Differs:` of a class's description; empty where it has none."""
    text = inspect.getdoc(type(network)) or ""
    return {
        "about": text.split("\n\n")[0].replace("\n", " "),
        "paper": _paragraph(text, "Paper"),
        "differs": _paragraph(text, "Differs"),
    }


def _paragraph(text: str, word: str) -> str:
    found = re.search(rf"^{word}:(.*?)(?=\n\S|\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return " ".join(found.group(1).split()) if found else ""
