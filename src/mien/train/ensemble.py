"""An ensemble's run: finished runs are joined by the recipe's rule; what it learns, it learns without the test rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mien.datasets.faces import FaceSet
from mien.errors import RecipeError
from mien.metrics import accuracy, confusion, uar
from mien.metrics.calibration import log_softmax
from mien.models import Inputs, Output
from mien.models.ensemble import Ensemble
from mien.pipeline.writers import write_whole
from mien.protocols import Fold
from mien.report.members import members_figure
from mien.train.checkpoint import channels_last, load_network, load_state, save_state
from mien.train.distributed import Team
from mien.train.ensemble_fit import Line, fit_features, fit_weights
from mien.train.members import MemberRun, check_member, find_member
from mien.train.prepare import few, fingerprint, sampling, soft_targets, trainable
from mien.train.recipe import Recipe
from mien.train.views import predict

LEARNT = ("weights", "features")


class _Asked(nn.Module):
    """What the members say, as one row [N, M * K + D], so that views average it."""

    def __init__(self, network: Ensemble) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Inputs) -> Output:
        logits, embedding = self.network.ask(inputs)
        return Output(torch.cat([logits.flatten(1), embedding], 1), embedding)


def ask(network: Ensemble, faces: FaceSet, device: torch.device, views: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, M, K] and embeddings [N, D] of the members, each the mean over the test-time views."""
    angles = faces.extra.get("angles") if any(member.angles for member in network.members) else None
    said = predict(_Asked(network), faces.pixels, device, views=views, angles=angles)
    width = len(network.members) * len(faces.labels)
    return said[:, :width].reshape(len(faces), -1, len(faces.labels)), said[:, width:]


@torch.no_grad()
def ensemble_logits(network: Ensemble, faces: FaceSet, device: torch.device, views: str) -> np.ndarray:
    """Logits [N, K] of an ensemble: each member sees all views of a face before the rule joins them."""
    logits, embedding = ask(network, faces, device, views)
    fused = network.fuse(torch.from_numpy(logits).to(device), torch.from_numpy(embedding).to(device))
    return np.asarray(fused.cpu())


class Joiner:
    """Joins the members of one fold; `run()` does it once, and again only if a member has been trained anew.

    Args:
        fold, number: whose test rows nobody looks at, and its number from 0.
        folder: of the fold.
        home: of the whole run; members are looked for beside it.
        read: reads the faces by another recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        faces: FaceSet,
        folder: Path,
        device: torch.device,
        *,
        fold: Fold,
        number: int,
        home: Path,
        read: Callable[[Recipe], FaceSet],
        team: Team | None = None,
    ) -> None:
        self.recipe, self.faces, self.folder, self.device = recipe, faces, Path(folder), device
        self.fold, self.number, self.home, self.read, self.team = fold, number, Path(home), read, team or Team()
        names = recipe.ensemble.members
        if len(set(names)) < len(names) or recipe.name in names:
            raise RecipeError(f"{recipe.name}: members {', '.join(names)}: name each run once, and not this one")
        self.labels = faces.labels
        self.fingerprint = fingerprint(faces)
        self.train = few(trainable(faces[fold.train], recipe), recipe)
        val = faces[fold.val]
        self.val = val[val.majority >= 0]
        if recipe.ensemble.rule in LEARNT and not len(self.val):
            raise RecipeError(
                f"{recipe.name}: rule = {recipe.ensemble.rule!r} learns from validation rows and select = "
                f"{recipe.select!r} leaves none; take mean or majority, or select = 'accuracy'"
            )
        self.model: nn.Module = nn.Identity()
        self.history: list[Line] = []
        self.members: list[Line] = []
        self.tried: list[Line] = []

    def run(self, say: Callable[[str], None] = print) -> Line:
        """Join the members, unless that has been done; returns the line of the log that was chosen."""
        if self.team.leads and not self._done(say):
            self.folder.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            runs = [find_member(name, self.recipe, self.home, self.folder) for name in self.recipe.ensemble.members]
            for run in runs:
                check_member(run, self.recipe, self.faces, self.fold, self.number, self.read)
            network = self._join(runs)
            self.history[-1]["seconds"] = round(time.perf_counter() - start, 1)
            self._save(network, runs)
            for line in (*self.members, *self.tried, self.history[-1]):
                say(json.dumps(line))
        self.team.wait()
        self.model = load_network(self.folder, self.device)
        state = load_state(self.folder / "best.pt") or {}
        self.history, self.members, self.tried = state["history"], state["joined"], state["tried"]
        return self.history[-1]

    def _done(self, say: Callable[[str], None]) -> bool:
        """Whether best.pt joins these members by this rule; members that are no longer there are not missed."""
        state = load_state(self.folder / "best.pt")
        if state is None:
            return False
        if state.get("fingerprint") != self.fingerprint:
            raise RecipeError(f"{self.folder} was made from other data; name another folder of runs, or delete it")
        known = {line["member"]: line["sha256"] for line in state.get("joined", ())}
        if list(known) != list(self.recipe.ensemble.members) or state.get("made") != self._made():
            return False
        for name, sha in known.items():
            place = self.home.parent / name / self.folder.relative_to(self.home)
            if not (place / "best.pt").is_file():
                say(f"note: {name} is no longer in {place.parent}; the ensemble made from it is kept")
            elif find_member(name, self.recipe, self.home, self.folder).sha256 != sha:
                return False
        return True

    def _made(self) -> dict[str, Any]:
        """What of the recipe, besides the members, decides what is learnt."""
        keys = ("protocol", "folds", "seed", "select", "labels", "views", "colour", "faces")
        return {"rule": self.recipe.ensemble.rule} | {key: getattr(self.recipe, key) for key in keys}

    def _join(self, runs: list[MemberRun]) -> Ensemble:
        """The ensemble with its members' weights and what its rule learns."""
        rule = self.recipe.ensemble.rule
        network = Ensemble(len(self.labels), [run.facts for run in runs], rule)
        for member, run in zip(network.members, runs, strict=True):
            member.network.load_state_dict(run.state["state"])
            member.bias.copy_(torch.from_numpy(run.bias))
        if rule == "logits":
            network.join_heads()
        channels_last(network.to(self.device)).eval()
        logits, embedding = self._ask(network, self.val)
        self._describe(network, runs, logits)
        if rule == "weights":
            self._learn_weights(network, logits)
        elif rule == "features":
            self._learn_head(network, embedding)
        else:
            self.history = [{"epoch": 0}]
            if len(self.val):
                with torch.no_grad():
                    fused = network.fuse(torch.from_numpy(logits), torch.from_numpy(embedding)).numpy()
                loss = -(soft_targets(self.val, self.recipe) * log_softmax(fused)).sum(1).mean()
                self.history = [{"epoch": 0, "loss": round(float(loss), 6), **self._measure(fused)}]
        return network

    def _ask(self, network: Ensemble, faces: FaceSet) -> tuple[np.ndarray, np.ndarray]:
        if not len(faces):
            return np.zeros((0, len(network.members), len(self.labels)), np.float32), np.zeros((0, 0), np.float32)
        return ask(network, faces, self.device, self.recipe.views)

    def _measure(self, logits: np.ndarray) -> Line:
        """Validation figures of logits [V, K], and the one that the recipe selects by."""
        matrix = confusion(self.val.majority, logits.argmax(1), len(self.labels))
        found = {"val_accuracy": round(accuracy(matrix), 4), "val_uar": round(uar(matrix), 4)}
        score = found["val_accuracy"] if self.recipe.select == "accuracy" else sum(found.values()) / 2
        return {**found, "selected": round(score, 4)}

    def _describe(self, network: Ensemble, runs: list[MemberRun], logits: np.ndarray) -> None:
        self.members, self.tried = [], []
        for place, (run, member) in enumerate(zip(runs, network.members, strict=True)):
            parameters = sum(p.numel() for p in member.parameters())
            line: Line = {"member": run.name, "model": run.state["model"], "parameters": parameters}
            if len(self.val):
                line |= {key: value for key, value in self._measure(logits[:, place]).items() if key != "selected"}
            self.members.append({**line, "sha256": run.sha256})

    def _learn_weights(self, network: Ensemble, logits: np.ndarray) -> None:
        self.history = []
        z = torch.from_numpy(logits)

        def watch(loss: float, mix: np.ndarray) -> None:
            with torch.no_grad():
                network.mix.copy_(torch.from_numpy(mix))
                figures = self._measure(network.fuse(z.to(self.device), z).cpu().numpy())
            self.history.append({"epoch": len(self.history) + 1, "loss": round(loss, 6), **figures})

        fit_weights(logits, soft_targets(self.val, self.recipe), watch)
        for line, weight in zip(self.members, torch.softmax(network.mix.detach(), 0).tolist(), strict=True):
            line["weight"] = round(weight, 4)

    def _learn_head(self, network: Ensemble, val: np.ndarray) -> None:
        # the members see the training faces as they see the test faces
        _, train = self._ask(network, self.train)
        found = fit_features(train, soft_targets(self.train, self.recipe), val, self._measure)
        with torch.no_grad():
            network.centre.copy_(torch.from_numpy(found.centre))
            network.scale.copy_(torch.from_numpy(found.scale))
            network.head.weight.copy_(torch.from_numpy(found.weight))
            network.head.bias.copy_(torch.from_numpy(found.bias))
        self.tried = found.tried
        self.history = [{"epoch": number, **line} for number, line in enumerate(found.history, 1)]

    def _save(self, network: Ensemble, runs: list[MemberRun]) -> None:
        prior = sampling(soft_targets(self.train, self.recipe), 0.0)[1]
        facts = {"members": [run.facts for run in runs], "rule": self.recipe.ensemble.rule}
        state = {
            "model": "ensemble",
            "classes": len(self.labels),
            "labels": list(self.labels),
            "arguments": facts,
            "prior": prior.tolist(),
            # the members have put their class frequencies back themselves
            "tau": 0.0,
            "line": self.history[-1],
            "state": network.state_dict(),
            "fingerprint": self.fingerprint,
            "made": self._made(),
            "joined": self.members,
            "tried": self.tried,
            "history": self.history,
        }
        save_state(self.folder / "best.pt", state)
        lines = [*self.members, *self.tried, *self.history]
        write_whole(self.folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def draw(self) -> None:
        """`members.png`: validation accuracy of each member and of them together."""
        if len(self.val):
            members_figure(
                {line["member"]: line["val_accuracy"] for line in self.members},
                self.history[-1]["val_accuracy"],
                len(self.val),
                self.folder / "members.png",
                weights=[line["weight"] for line in self.members if "weight" in line],
                rule=self.recipe.ensemble.rule,
                title=self.recipe.name,
            )

    def card(self, record: dict[str, Any]) -> str:
        """The text of card.md: the members, and what was learnt from which faces."""
        recipe, rows = self.recipe, record["protocol"]
        lines = [
            f"# {recipe.name}\n",
            f"{len(self.members)} finished runs, {record['parameters']:,} parameters, joined by the rule "
            f"`{recipe.ensemble.rule}` on {recipe.dataset} ({rows['fold']}), in {record['seconds']:.0f} s on "
            f"{record['machine']}. None of the members' own weights was changed.\n",
            "| member | network | parameters | validation accuracy | weight | SHA-256 of best.pt |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for line in self.members:
            cells = [line["member"], line["model"], f"{line['parameters']:,}"]
            cells += [str(line.get("val_accuracy", "")), str(line.get("weight", "")), line["sha256"][:12]]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", self._learnt(rows), ""]
        lines += ["The test faces were not looked at.\n", "Everything else is in `run.json` and `log.jsonl`."]
        return "\n".join(lines) + "\n"

    def _learnt(self, rows: dict[str, Any]) -> str:
        best, faces = self.history[-1], f"{len(self.val):,} labelled validation faces"
        reached = f"accuracy {best['val_accuracy']}, UAR {best['val_uar']} on {faces}" if len(self.val) else ""
        if self.recipe.ensemble.rule == "weights":
            return (
                f"The weights were learnt on {faces} by cross-entropy ({best['loss']:.4f} in the end), in "
                f"{len(self.history)} steps. On these same faces: accuracy {best['val_accuracy']}, UAR "
                f"{best['val_uar']}, figures that flatter it."
            )
        if self.recipe.ensemble.rule == "features":
            tried = ", ".join(f"{line['l2']:g}" for line in self.tried)
            return (
                f"Logistic regression on the standardised embeddings was learnt on {len(self.train):,} training faces; "
                f"the penalty {best['l2']:g} was chosen among {tried} by `{self.recipe.select}`: {reached}."
            )
        return "Nothing was learnt." + (f" Together: {reached}." if reached else "")
