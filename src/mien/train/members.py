"""The members of an ensemble: finished runs in the same folder of runs, which saw the same rows of the same data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.datasets.faces import FaceSet
from mien.errors import RecipeError
from mien.models import MODELS
from mien.pipeline.store import sha256
from mien.protocols import Fold
from mien.train.checkpoint import load_state
from mien.train.folding import folds_of
from mien.train.prepare import fingerprint
from mien.train.recipe import Recipe

KEYS = ("dataset", "protocol", "folds", "colour", "seed", "select")
"""Of a member's recipe, with `size`: what decides which rows it trained on and how they looked."""


@dataclass(frozen=True)
class MemberRun:
    """A finished run, or the fold of one.

    Attributes:
        name: of the run.
        folder: with `best.pt` and `run.json`.
        state: what `best.pt` holds.
        record: what `run.json` holds.
        recipe: the ensemble's recipe with the member's own data, protocol and seed.
    """

    name: str
    folder: Path
    state: dict[str, Any]
    record: dict[str, Any]
    recipe: Recipe

    @property
    def sha256(self) -> str:
        """Of `best.pt`."""
        return sha256(self.folder / "best.pt")

    @property
    def facts(self) -> dict[str, Any]:
        """What `mien.models.ensemble.Member` is made from."""
        kept = {key: self.state[key] for key in ("model", "arguments", "around", "margin") if self.state.get(key)}
        made = self.record["recipe"]
        reads = (*made.get("inputs", ()), *MODELS.facts(self.state["model"]).get("auxiliary", ()))
        shape = {"size": self.recipe.size[-1], "channels": 3 if self.recipe.colour else 1}
        return {"name": self.name, **kept, **shape, "angles": "angles" in reads}

    @property
    def bias(self) -> np.ndarray:
        """The share of the class frequencies that the member's own scores put back, in logits [K]."""
        share = self.state.get("line", {}).get("prior_share", 0.0)
        prior = np.log(np.maximum(np.asarray(self.state["prior"]), 1e-6))
        return np.asarray(share * self.state["tau"] * prior)


def find_member(name: str, recipe: Recipe, home: Path, folder: Path) -> MemberRun:
    """The run called `name` beside the ensemble's, or its fold of the same number.

    Args:
        home: folder of the ensemble's run.
        folder: `home`, or the folder of one fold in it.

    Raises:
        RecipeError: there is none, it is not finished, or its colour is not the ensemble's.
    """
    place = home.parent / name / folder.relative_to(home)
    state = load_state(place / "best.pt")
    if state is None or not (place / "run.json").is_file():
        raise RecipeError(
            f"{recipe.name}: member {name!r} has no finished run in {place}; train it first, under the same protocol"
        )
    record = json.loads((place / "run.json").read_text(encoding="utf-8"))
    made = record["recipe"]
    changes = {key: made[key] for key in KEYS if key in made}
    if changes["dataset"] != recipe.dataset:
        raise RecipeError(f"{recipe.name}: member {name!r} learnt {changes['dataset']}, not {recipe.dataset}")
    if changes["colour"] and not recipe.colour:
        raise RecipeError(f"{recipe.name}: member {name!r} reads colour; set colour = true in this recipe too")
    return MemberRun(name, place, state, record, dataclasses.replace(recipe, size=tuple(made["size"]), **changes))


def check_member(
    member: MemberRun, recipe: Recipe, faces: FaceSet, fold: Fold, number: int, read: Callable[[Recipe], FaceSet]
) -> None:
    """Refuse a member that learnt from other data, other labels or other rows than this fold's.

    Args:
        number: of the fold, from 0.
        read: reads the faces by the member's recipe, where its size or colour differs.

    Raises:
        RecipeError: it is such a member.
    """
    where = f"{recipe.name}: member {member.name!r}"
    theirs = member.recipe
    if (theirs.size[-1], theirs.colour) != (recipe.size[-1], recipe.colour):
        faces = read(theirs)
    if list(member.state["labels"]) != list(faces.labels):
        raise RecipeError(f"{where} knows {', '.join(member.state['labels'])}, and the data {', '.join(faces.labels)}")
    if member.record["data"]["sha256"] != fingerprint(faces):
        raise RecipeError(f"{where} was trained on other data; train it on these, or leave it out")
    folds = folds_of(theirs, faces)[0]
    same = number < len(folds) and all(
        np.array_equal(getattr(folds[number], side), getattr(fold, side)) for side in ("train", "val", "test")
    )
    said = member.record["protocol"]
    counts = {"train": len(fold.train), "val": len(fold.val), "test": len(fold.test)}
    if same and counts == {side: said[side] for side in counts}:
        return
    seen = np.concatenate([folds[number].train, folds[number].val]) if number < len(folds) else fold.test
    leaked = int(np.isin(fold.test, seen).sum())
    wanted = ", ".join(f"{key} = {getattr(recipe, key)!r}" for key in ("protocol", "folds", "seed", "select"))
    raise RecipeError(
        f"{where} was not trained on the rows of {fold.name}: it has seen {leaked} of the {len(fold.test)} faces "
        f"tested here; train it with {wanted}, as this recipe has them"
    )
