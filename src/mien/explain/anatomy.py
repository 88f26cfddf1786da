"""All there is to say about a registered network: its paper, blocks, costs and receptive field."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mien.explain.diagram import Row, rows
from mien.explain.macs import trace
from mien.explain.receptive import Field, receptive_field
from mien.models import MODELS


@dataclass(frozen=True)
class Anatomy:
    """What `mien show NETWORK` says.

    Attributes:
        about: first sentence of its description.
        paper, differs: what it follows, and where it leaves that.
        size: side of the picture that the costs are for, pixels.
        rows: its blocks.
        field: what one unit of the last feature map sees; None where there is no such map.
        attends: it has attention, through which its answer rests on all places at once.
    """

    name: str
    about: str
    paper: str
    differs: str
    size: int
    parameters: int
    macs: int
    rows: list[Row]
    field: Field | None
    attends: bool

    def sees(self) -> str:
        """The receptive field in words."""
        if self.field is None:
            return "whole picture: linear layers, no feature map"
        at = f"one unit of the last map (`{self.field.name}`, {'×'.join(map(str, self.field.shape))})"
        sides = (self.field.height, self.field.width)
        if None in sides:
            return f"{at}: not measured, for the network runs at {self.size} px only"
        if sides == (0, 0):
            return f"whole picture: {at} sees all of it" + (", by attention" if self.attends else "")
        seen = " × ".join(map(str, sides))
        if self.attends:
            return f"whole picture, by attention; before it, {at} sees {seen} px"
        beyond = f", more than the picture's {self.size}" if min(s or 0 for s in sides) > self.size else ""
        return f"{seen} px{beyond}: {at}"

    def facts(self) -> dict[str, Any]:
        """The same for a program to read; `receptive_field` is `whole`, [height, width] in pixels, or null."""
        known = self.field is not None and self.field.height is not None
        sides: Any = [self.field.height, self.field.width] if self.field is not None and known else None
        whole = self.field is None or self.attends or sides == [0, 0]
        return {
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
        UnknownName: no network has that name.
    """
    facts = MODELS.facts(name)
    network = MODELS.create(name)
    size = int(facts["size"])
    picture = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    root, attends = trace(network, picture)
    return Anatomy(
        name=name,
        **described(network),
        size=size,
        parameters=sum(p.numel() for p in network.parameters()),
        macs=root.macs,
        rows=rows(root),
        field=receptive_field(network, picture),
        attends=attends,
    )


def costs(name: str) -> tuple[nn.Module, int]:
    """A registered network and its multiply-accumulates for one grey face of its size."""
    network = MODELS.create(name)
    size = int(MODELS.facts(name)["size"])
    return network, trace(network, torch.zeros(1, 1, size, size))[0].macs


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
