"""One recipe under its protocol: every fold trained, then tested once, with figures that say what they rest on."""

from __future__ import annotations

import csv
import datetime
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mien
from mien.datasets.faces import FaceSet
from mien.datasets.streams import Streams
from mien.errors import RecipeError
from mien.metrics import accuracy, both_ways, confusion, uar
from mien.metrics.calibration import log_softmax
from mien.metrics.evaluation import Evaluation
from mien.models.ensemble import Ensemble
from mien.pipeline.writers import whole_file, write_whole
from mien.protocols import Fold, Leak
from mien.report.research import Curves, confusion_figure, folds_figure, reliability_figure, training_figure
from mien.train.checkpoint import load_network, load_state, save_arrays
from mien.train.dimensions import figures, mean_ccc
from mien.train.distributed import Team
from mien.train.ensemble import LEARNT, Joiner, ensemble_logits
from mien.train.evaluate import evaluate_scores, rated_intensity
from mien.train.feed import angles_of
from mien.train.folding import folds_of
from mien.train.fuse import Fuser, Member, member_recipe
from mien.train.loop import Trainer
from mien.train.oracle import read_oracle
from mien.train.prepare import read_faces
from mien.train.recipe import Recipe
from mien.train.views import predict


@dataclass
class Study:
    """A recipe, the faces it is for, and the folder that its folds are trained in.

    Attributes:
        folder: of the run; with several folds each has a folder `fold-01` ... in it.
        data: folder that the faces were read from, for members of an ensemble that look at them in another size.
    """

    recipe: Recipe
    faces: FaceSet
    folder: Path
    device: torch.device
    team: Team
    data: Path | None = None
    _members: list[Member] = field(default_factory=list, repr=False)
    _fusers: dict[Path, Fuser] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, recipe: Recipe, data: Path, runs: Path, device: torch.device, team: Team | None = None) -> Study:
        """Read the data of a recipe; the run's folder is `runs/<name of the recipe>`."""
        # what joins runs sees the data as its first member does
        first = member_recipe(recipe.fusion.members[0], recipe, Path(runs)) if recipe.fusion.members else recipe
        faces = read_faces(first, data, Path(runs))
        return cls(recipe, faces, Path(runs) / recipe.name, device, team or Team(), data)

    def place(self, number: int, of: int) -> Path:
        return self.folder if of == 1 else self.folder / f"fold-{number + 1:02d}"

    def train(self, say: Callable[[str], None] = print) -> list[Fold]:
        """Train every fold that is not finished, and write down what it was trained with."""
        folds, leaks = folds_of(self.recipe, self.faces)
        for leak in leaks:
            say(f"note: {leak}")
        for number, fold in enumerate(folds):
            folder = self.place(number, len(folds))
            if len(folds) > 1:
                say(f"{fold.name}: {len(fold.train)} faces to train on, {len(fold.test)} to test on")
            start = time.perf_counter()
            trainer = self._trainer(fold, number, folder)
            trainer.run(say)
            if self.team.leads:
                write_record(trainer, fold, time.perf_counter() - start)
        return folds

    def _trainer(self, fold: Fold, number: int, folder: Path) -> Trainer | Joiner | Fuser:
        if self.recipe.fusion.members:
            return self._fuser(fold, number, folder)
        shared: dict[str, Any] = {"team": self.team, "home": self.folder}
        if self.recipe.ensemble.members:
            shared |= {"fold": fold, "number": number, "read": self._read}
            return Joiner(self.recipe, self.faces, folder, self.device, **shared)
        shared |= {"rows": (fold.train, fold.val), "watched": fold.test}
        return Trainer(self.recipe, self.faces, folder, self.device, **shared)

    def _fuser(self, fold: Fold, number: int, folder: Path) -> Fuser:
        if folder not in self._fusers:
            self._members = self._members or [self._member(name) for name in self.recipe.fusion.members]
            self._fusers[folder] = Fuser(
                self.recipe,
                self._members,
                folder,
                self.device,
                fold=fold,
                number=number,
                place=lambda home: home / folder.relative_to(self.folder),
                team=self.team,
            )
        return self._fusers[folder]

    def _member(self, name: str) -> Member:
        if self.data is None:
            raise RecipeError(f"{self.recipe.name}: members of a fusion read the data themselves; use Study.open")
        theirs, folder = member_recipe(name, self.recipe, self.folder.parent), self.folder.parent / name
        faces = read_faces(theirs, self.data, self.folder.parent)
        study = Study(theirs, faces, folder, self.device, self.team, self.data)
        return Member(name, folder, theirs, faces, study.scores)

    def _read(self, recipe: Recipe) -> FaceSet:
        if self.data is None:
            raise RecipeError(f"{recipe.name}: a member's faces have another size or colour; use Study.open")
        return read_faces(recipe, self.data)

    def test(self) -> dict[str, Any]:
        """Score the test rows of every fold, once: figures over all of them together, and the accuracy of each fold.

        The scores are kept in `predictions.npz` (rows, truth, scores, fold), the figures drawn in PNG files beside it.

        Raises:
            WeightsError: a fold has not been trained.
        """
        folds, leaks = folds_of(self.recipe, self.faces)
        rows = np.concatenate([fold.test for fold in folds])
        scores = np.concatenate([self.scores(fold, self.place(i, len(folds))) for i, fold in enumerate(folds)])
        which = np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds])
        tested = self.faces[rows]
        if self.recipe.dimensions:
            return self._test_numbers(folds, leaks, rows, scores)
        save_arrays(self.folder / "predictions.npz", rows=rows, truth=tested.majority, scores=scores, fold=which)
        results = evaluate_scores(scores, self.faces.labels, tested, self.recipe.dataset)
        self._draw(results[0])
        right = (scores.argmax(1) == tested.majority).astype(np.float64)
        known = tested.majority >= 0
        per_fold = [round(float(right[(which == i) & known].mean()), 4) for i in range(len(folds))]
        if len(folds) > 1:
            folds_figure({self.recipe.name: per_fold}, self.folder / "folds.png")
        facts: dict[str, Any] = {result.name.split(": ")[-1]: result.figures() for result in results}
        twins = [leak.test for leak in leaks if leak.what == "copy"]
        copied = np.isin(rows, np.concatenate(twins)) if twins else np.zeros(len(rows), bool)
        if copied.any():
            both = both_ways(lambda r: float(r.mean()), copied[known], right[known])
            facts["without_copies"] = {"accuracy": round(both.distinct, 4), "copies": both.copies, "faces": both.rows}
        intensity = rated_intensity(scores, self.faces.labels, tested)
        if intensity:
            facts["intensity"] = intensity
        if self.recipe.streams.missing and len(self.modalities) > 1:
            facts["missing"] = self._missing(folds)
        if self.recipe.oracle:
            facts["oracle"] = self._oracle(folds)
        joined: dict[str, Any] = {"members": list(self.recipe.joins)} if self.recipe.joins else {}
        if self._fusers:
            joined |= {"fusion": self.recipe.fusion.rule, "learnt": [f.fusion.learnt for f in self._fusers.values()]}
        return {"figures": facts, "per_fold": per_fold, "leaks": [str(leak) for leak in leaks], **joined}

    def _test_numbers(self, folds: list[Fold], leaks: list[Leak], rows: np.ndarray, said: np.ndarray) -> dict[str, Any]:
        """Figures of numbers [N, V] that were predicted for the test rows."""
        tested, names = self.faces[rows], self.recipe.dimensions
        save_arrays(self.folder / "predictions.npz", rows=rows, truth=tested.targets, scores=said)
        facts: dict[str, Any] = {self.recipe.dataset: figures(tested.targets, said, names, tested.group)}
        if self.recipe.streams.missing and len(self.modalities) > 1:
            facts["missing"] = self._missing(folds)
        ends = np.cumsum([len(fold.test) for fold in folds])[:-1]
        parts = zip(np.split(tested.targets, ends), np.split(said, ends), strict=True)
        per_fold = [round(mean_ccc(truth, numbers), 4) for truth, numbers in parts]
        return {"figures": facts, "per_fold": per_fold, "leaks": [str(leak) for leak in leaks]}

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the network or the members of a fusion read; empty for a network of faces alone."""
        read = [name for member in self._members for name in member.modalities]
        return tuple(dict.fromkeys(read)) or self.recipe.modalities

    def _missing(self, folds: list[Fold]) -> dict[str, Any]:
        """Accuracy and UAR of the test rows with each modality absent, and with it taken from another test row."""
        found: dict[str, Any] = {}
        truth = np.concatenate([self.faces.majority[fold.test] for fold in folds])
        for name in self.modalities:
            for what in ("absent", "wrong"):
                parts = [self.scores(fold, self.place(i, len(folds)), **{what: name}) for i, fold in enumerate(folds)]
                if self.recipe.dimensions:
                    numbers = np.concatenate([self.faces.targets[fold.test] for fold in folds])
                    found.setdefault(name, {})[what] = {"ccc": round(mean_ccc(numbers, np.concatenate(parts)), 4)}
                    continue
                matrix = confusion(
                    truth[truth >= 0], np.concatenate(parts)[truth >= 0].argmax(1), len(self.faces.labels)
                )
                figures = {"accuracy": round(accuracy(matrix), 4), "uar": round(uar(matrix), 4)}
                found.setdefault(name, {})[what] = figures
        return found

    def _oracle(self, folds: list[Fold]) -> dict[str, Any]:
        """Figures had each fold stopped at the epoch that was best on its own test rows. Never a result."""
        best = []
        for i, fold in enumerate(folds):
            truth = self.faces.majority[fold.test]
            epochs = read_oracle(self.place(i, len(folds)))
            if not epochs:
                raise RecipeError(
                    f"{self.recipe.name}: {fold.name} kept no oracle.npz; delete the run and train it again"
                )
            # of equally good epochs the last
            best.append(max(reversed(epochs.values()), key=lambda z: float((z.argmax(1) == truth).mean())))
        rows = np.concatenate([fold.test for fold in folds])
        scores = np.asarray(np.exp(log_softmax(np.concatenate(best))))
        result = evaluate_scores(scores, self.faces.labels, self.faces[rows], self.recipe.dataset)[0].figures()
        return {name: result[name] for name in ("accuracy", "uar", "macro_f1")}

    def _draw(self, result: Evaluation) -> None:
        confusion_figure(result.matrix, result.labels, self.folder / "confusion.png", title=self.recipe.name)
        reliability_figure(result.scores, result.truth, self.folder / "reliability.png", title=self.recipe.name)

    def scores(self, fold: Fold, folder: Path, *, absent: str = "", wrong: str = "") -> np.ndarray:
        """Scores [N, K] of a fold's test rows, or numbers [N, V], by the network trained in that folder.

        Args:
            absent: a modality that is taken from every row.
            wrong: a modality that every row has from another of the rows.
        """
        if self.recipe.fusion.members:
            folds = folds_of(self.recipe, self.faces)[0]
            number = [known.name for known in folds].index(fold.name)
            return self._fuser(folds[number], number, folder).scores(fold.test, absent, wrong)
        network = load_network(folder, self.device)
        state = load_state(folder / "best.pt") or {}
        tested = self.faces[fold.test]
        angles = angles_of(self.recipe, tested)
        if isinstance(network, Ensemble):
            logits = ensemble_logits(network, tested, self.device, self.recipe.views)
        else:
            shown = tested.shown
            if isinstance(shown, Streams):
                shown = shown.without(absent) if absent else shown.wrong(wrong) if wrong else shown
            logits = predict(network, shown, self.device, views=self.recipe.views, angles=angles)
        if self.recipe.dimensions:
            return np.asarray(logits)
        share = state.get("line", {}).get("prior_share", 0.0)
        logits = logits + share * state["tau"] * np.log(np.maximum(state["prior"], 1e-6))
        return np.asarray(np.exp(log_softmax(logits)))


def machine(device: torch.device) -> str:
    """The kind of machine, in words: cores and processor, or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()}-core {platform.machine()}, {platform.system()}, no GPU"


def write_record(trainer: Trainer | Joiner | Fuser, fold: Fold, seconds: float) -> None:
    """Leave beside the weights: recipe, versions, data, seeds, the curves as CSV and PNG, and a card."""
    recipe, folder, history = trainer.recipe, trainer.folder, trainer.history
    known = json.loads((folder / "run.json").read_text()) if (folder / "run.json").is_file() else {}
    record = {
        "recipe": asdict(recipe),
        "protocol": {"fold": fold.name, "train": len(fold.train), "val": len(fold.val), "test": len(fold.test)},
        "data": {"name": recipe.dataset, "sha256": trainer.fingerprint},
        "versions": {"mien": mien.__version__, "torch": torch.__version__, "numpy": np.__version__}
        | {"python": platform.python_version()},
        "machine": machine(trainer.device),
        "processes": trainer.team.size,
        **({"faces_trained": len(trainer.train)} if recipe.faces else {}),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "seconds": round(sum(line.get("seconds", 0.0) for line in history) or seconds, 1),
        # a finished run that is started again keeps its date
        "finished": known.get("finished") or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_whole(folder / "run.json", json.dumps(record, indent=1) + "\n")
    columns = (
        "epoch",
        "loss",
        "train_accuracy",
        "train_ccc",
        "val_accuracy",
        "val_ccc",
        "val_uar",
        "prior_share",
        "selected",
        "seconds",
    )
    with whole_file(folder / "curves.csv") as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(history)
    if isinstance(trainer, Joiner | Fuser):
        trainer.draw()
        card = trainer.card(record)
    else:
        card = _card(record, trainer)
    if recipe.ensemble.rule in LEARNT or not recipe.joins:
        draw_curves(trainer)
    write_whole(folder / "card.md", card)


def draw_curves(trainer: Trainer | Joiner | Fuser) -> None:
    """`curves.png`: training loss, and accuracy on the validation faces or, without any, on the training faces."""
    history = trainer.history
    key, measured = ("val_accuracy", "validation") if len(trainer.val) else ("train_accuracy", "training, augmented")
    known = [(line["epoch"], line[key]) for line in history if key in line]
    if not known:
        return
    # accuracy is not measured after every epoch; the line runs straight between
    epochs, values = (np.array(column, float) for column in zip(*known, strict=True))
    accuracy = np.interp(np.array([line["epoch"] for line in history], float), epochs, values)
    curves = {trainer.recipe.name: Curves([line["loss"] for line in history], accuracy.tolist())}
    training_figure(curves, trainer.folder / "curves.png", measured=f"accuracy, {measured}", title=trainer.recipe.name)


def _card(record: dict[str, Any], trainer: Trainer) -> str:
    recipe, best = trainer.recipe, max(trainer.history, key=lambda line: line.get("selected", -1.0), default={})
    selected = "val_accuracy" in best
    counts = np.bincount(trainer.train.majority[trainer.train.majority >= 0], minlength=len(trainer.labels))
    drawn = ", ".join(f"{label} {count:,}" for label, count in zip(trainer.labels, counts, strict=True))
    if recipe.dimensions:
        drawn = f"numbers for {', '.join(recipe.dimensions)}"
    rows = "faces" if trainer.train.streams is None else "rows"
    return (
        f"# {recipe.name}\n\n{recipe.model}, {record['parameters']:,} parameters, trained on {recipe.dataset} "
        f"({record['protocol']['train']:,} {rows}: {drawn}), seed {recipe.seed}, {len(trainer.history)} epochs, "
        f"{record['seconds'] / 60:.0f} minutes on {record['machine']}.\n\n"
        f"Selected by `{recipe.select}` on {record['protocol']['val']:,} validation {rows}"
        + (f": accuracy {best['val_accuracy']}, UAR {best['val_uar']} (epoch {best['epoch']})" if selected else "")
        + f".\nThe test {rows} were not looked at.\n\nEverything else is in `run.json`; the curves in `curves.csv` and "
        "`curves.png`.\n"
    )
