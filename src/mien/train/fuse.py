"""A fusion's run: finished runs over modalities answer together; what the rule learns, it learns without test rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from mien.datasets.faces import FaceSet
from mien.datasets.streams import Streams, exchanged
from mien.errors import RecipeError
from mien.fusions import FUSIONS, Fusion
from mien.metrics import accuracy, confusion, uar
from mien.models import MODELS
from mien.pipeline.store import sha256
from mien.pipeline.writers import write_whole
from mien.protocols import Fold
from mien.report.members import members_figure
from mien.train.checkpoint import load_network
from mien.train.distributed import Team
from mien.train.folding import folds_of
from mien.train.prepare import few, fingerprint, trainable
from mien.train.recipe import Recipe, read_record
from mien.train.views import embeddings

Line = dict[str, Any]


class Asks(Protocol):
    """Scores of the rows of a fold, by the network trained in a folder: `Study.scores` of a member."""

    def __call__(self, fold: Fold, folder: Path, *, absent: str = "", wrong: str = "") -> np.ndarray: ...


@dataclass(frozen=True)
class Member:
    """A finished run that a fusion joins.

    Attributes:
        name: of the run.
        folder: of the run; of one with several folds, each has a folder in it.
        recipe: that it was trained by.
        faces: its data, as its recipe reads them.
        ask: its scores.
    """

    name: str
    folder: Path
    recipe: Recipe
    faces: FaceSet
    ask: Asks

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.recipe.modalities or (str(MODELS.facts(self.recipe.model).get("modality", "face")),)

    def scores(self, fold: Fold, folder: Path, absent: str = "", wrong: str = "") -> np.ndarray:
        """Scores [N, K] of the fold's test rows; NaN where all that it reads is absent."""
        if self.modalities == (absent,):
            return np.full((len(fold.test), len(self.faces.labels)), np.nan)
        if self.modalities == (wrong,):
            return np.asarray(self.ask(fold, folder)[exchanged(len(fold.test))])
        return self.ask(
            fold,
            folder,
            absent=absent if absent in self.modalities else "",
            wrong=wrong if wrong in self.modalities else "",
        )


def member_recipe(name: str, recipe: Recipe, runs: Path) -> Recipe:
    """The recipe that a member was trained by.

    Raises:
        RecipeError: there is no such run, it joins others itself, or it is of another data set or protocol.
    """
    folder = runs / name
    first = folder if (folder / "run.json").is_file() else folder / "fold-01"
    if not (first / "run.json").is_file():
        raise RecipeError(f"{recipe.name}: member {name!r} has no finished run in {folder}; train it first")
    theirs = read_record(first)[0]
    if theirs.joins:
        raise RecipeError(f"{recipe.name}: member {name!r} joins other runs itself; name those")
    for key in ("dataset", "target", "protocol", "folds", "seed", "select"):
        if getattr(theirs, key) != getattr(recipe, key) and (key != "folds" or recipe.protocol == "kfold"):
            raise RecipeError(
                f"{recipe.name}: member {name!r} was trained with {key} = {getattr(theirs, key)!r}; "
                f"a fusion's members share its own, {getattr(recipe, key)!r}"
            )
    return theirs


class Fuser:
    """Joins the members' scores of one fold by the recipe's fusion.

    Args:
        fold, number: whose test rows nobody looks at, and its number from 0.
        folder: of the fold.
        place: folder of the fold in the folder of a member.
    """

    def __init__(
        self,
        recipe: Recipe,
        members: list[Member],
        folder: Path,
        device: torch.device,
        *,
        fold: Fold,
        number: int,
        place: Callable[[Path], Path],
        team: Team | None = None,
    ) -> None:
        self.recipe, self.joined, self.folder, self.device = recipe, members, Path(folder), device
        self.fold, self.place, self.team = fold, place, team or Team()
        if len({member.name for member in members}) < len(members):
            raise RecipeError(f"{recipe.name}: members {', '.join(recipe.fusion.members)}: name each run once")
        for member in members:
            _check_rows(member, recipe, fold, number)
        faces = members[0].faces
        self.labels = faces.labels
        self.fingerprint = ", ".join(fingerprint(member.faces) for member in members)
        self.train = few(trainable(faces[fold.train], recipe), recipe)
        val = faces[fold.val]
        self.val = val[val.majority >= 0]
        self.fusion: Fusion = self._fitted()
        self.members: list[Line] = []
        self.history: list[Line] = []
        self.model: nn.Module = nn.ModuleList(load_network(place(member.folder), device) for member in members)

    def _fitted(self) -> Fusion:
        """The fusion, having learnt what it learns."""
        facts = FUSIONS.facts(self.recipe.fusion.rule)
        try:
            fusion = FUSIONS.create(self.recipe.fusion.rule, **self.recipe.fusion.arguments)
        except TypeError as error:
            raise RecipeError(f"{self.recipe.name}: [fusion] {facts['name']}: {error}") from error
        if facts["reads"] != "scores":
            rows = self.fold.train[self.joined[0].faces.majority[self.fold.train] >= 0]
            group = self.joined[0].faces.group[rows]
            fusion.fit_features(self.features(rows), self.joined[0].faces.majority[rows], group)
        rows = self._known(self.fold.val)
        if len(rows):
            fusion.fit(self._scores(rows), self.joined[0].faces.majority[rows], self.features(rows))
        elif facts["level"] == "decision" and facts["learns"] != "nothing":
            raise RecipeError(
                f"{self.recipe.name}: {facts['name']} learns from validation rows and select = "
                f"{self.recipe.select!r} leaves none; take mean, or select = 'balanced'"
            )
        return fusion

    def _known(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(rows[self.joined[0].faces.majority[rows] >= 0])

    def _scores(self, rows: np.ndarray, absent: str = "", wrong: str = "") -> dict[str, np.ndarray]:
        nothing = np.zeros(0, np.int64)
        part = Fold(self.fold.name, nothing, nothing, rows)
        return {m.name: m.scores(part, self.place(m.folder), absent, wrong) for m in self.joined}

    def features(self, rows: np.ndarray, absent: str = "", wrong: str = "") -> dict[str, np.ndarray]:
        """Features [N, D] of each modality: means over time, or, of what is no feature, a member's embeddings.

        NaN where the modality is missing; none at all for a rule that reads scores only.
        """
        if FUSIONS.facts(self.recipe.fusion.rule)["reads"] == "scores":
            return {}
        found: dict[str, np.ndarray] = {}
        for member in self.joined:
            streams = member.faces.streams
            for name in member.modalities:
                if name in found:
                    continue
                if streams is not None and streams.items[name].ndim == 3 and streams.items[name].dtype != np.uint8:
                    array = over_time(streams[rows], name)
                elif len(member.modalities) == 1:
                    network = load_network(self.place(member.folder), self.device)
                    array = embeddings(network, member.faces[rows].shown, self.device)
                else:
                    continue
                found[name] = array[exchanged(len(rows))] if name == wrong else array
        return {name: np.full_like(array, np.nan) if name == absent else array for name, array in found.items()}

    def scores(self, rows: np.ndarray, absent: str = "", wrong: str = "") -> np.ndarray:
        """Joint scores [N, K] of some rows."""
        return self.fusion(self._scores(rows, absent, wrong), self.features(rows, absent, wrong))

    def run(self, say: Callable[[str], None] = print) -> Line:
        """Measure members and fusion on the validation rows, and write that down."""
        rows = self._known(self.fold.val)
        truth = self.joined[0].faces.majority[rows]
        for member, network in zip(self.joined, self.model.children(), strict=True):
            line: Line = {"member": member.name, "model": member.recipe.model, "modalities": list(member.modalities)}
            line["parameters"] = sum(p.numel() for p in network.parameters())
            line["sha256"] = sha256(self.place(member.folder) / "best.pt")
            self.members.append(line)
        self.history = [{"epoch": 0, **self.fusion.learnt}]
        if len(rows):
            for line, scores in zip(self.members, self._scores(rows).values(), strict=True):
                line |= self._measure(scores, truth)
            self.history[0] |= self._measure(self.scores(rows), truth)
        if self.team.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
            lines = "".join(json.dumps(line) + "\n" for line in (*self.members, *self.history))
            write_whole(self.folder / "log.jsonl", lines)
            for line in (*self.members, *self.history):
                say(json.dumps(line))
        return self.history[0]

    def _measure(self, scores: np.ndarray, truth: np.ndarray) -> Line:
        matrix = confusion(truth, scores.argmax(1), len(self.labels))
        return {"val_accuracy": round(accuracy(matrix), 4), "val_uar": round(uar(matrix), 4)}

    def draw(self) -> None:
        """`members.png`: validation accuracy of each member and of them together."""
        if len(self.val):
            members_figure(
                {line["member"]: line["val_accuracy"] for line in self.members},
                self.history[0]["val_accuracy"],
                len(self.val),
                self.folder / "members.png",
                rule=self.recipe.fusion.rule,
                title=self.recipe.name,
                what="rows",
            )

    def card(self, record: Mapping[str, Any]) -> str:
        """The text of card.md: the members, and what was learnt from which rows."""
        facts, rows = FUSIONS.facts(self.recipe.fusion.rule), record["protocol"]
        lines = [
            f"# {self.recipe.name}\n",
            f"{len(self.members)} finished runs joined by the fusion `{facts['name']}` ({facts['paper']}) on "
            f"{self.recipe.dataset} ({rows['fold']}). It learnt: {facts['learns']}, from {rows['val']:,} validation "
            f"rows" + (f" and {rows['train']:,} training rows' features.\n" if facts["reads"] != "scores" else ".\n"),
            "| member | network | modalities | validation accuracy | SHA-256 of best.pt |",
            "| --- | --- | --- | --- | --- |",
        ]
        for line in self.members:
            known = str(line.get("val_accuracy", ""))
            cells = [line["member"], line["model"], ", ".join(line["modalities"]), known, line["sha256"][:12]]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "The test rows were not looked at. Everything else is in `run.json` and `log.jsonl`."]
        return "\n".join(lines) + "\n"


def over_time(streams: Streams, name: str) -> np.ndarray:
    """Mean [N, D] of a modality's features over the steps that are there; NaN where none is."""
    there = streams.masks[name]
    count = there.sum(1)
    total = (streams.items[name].astype(np.float64) * there[:, :, None]).sum(1)
    return np.asarray(np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan))


def _check_rows(member: Member, recipe: Recipe, fold: Fold, number: int) -> None:
    """Refuse a member that learnt from other rows than this fold's, or other labels.

    Raises:
        RecipeError: it is such a member.
    """
    folds = folds_of(member.recipe, member.faces)[0]
    same = number < len(folds) and all(
        np.array_equal(getattr(folds[number], side), getattr(fold, side)) for side in ("train", "val", "test")
    )
    if not same:
        raise RecipeError(
            f"{recipe.name}: member {member.name!r} was not trained on the rows of {fold.name}; train all members on "
            "the same data under the same protocol, seed and select"
        )
