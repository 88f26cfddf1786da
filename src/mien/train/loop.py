"""The training loop, in full view: one recipe in, one folder with checkpoint, log and the best weights out."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.datasets.faces import FaceSet
from mien.datasets.streams import Streams
from mien.errors import RecipeError, WeightsError
from mien.losses import LOSSES
from mien.losses.base import build
from mien.losses.margin import MarginLoss, give_head
from mien.metrics import accuracy, confusion, uar
from mien.models import Inputs, Output
from mien.models.composite import CASCADE, Cascade, Composite, core, create, has_map
from mien.models.scaled import Scaled
from mien.pipeline.writers import write_whole
from mien.train.checkpoint import (
    channels_last,
    last_weights,
    load_network,
    load_state,
    save_state,
    start_from,
)
from mien.train.dimensions import mean_ccc
from mien.train.distributed import Team
from mien.train.feed import ClipFeed, Feed, StreamFeed, angles_of, scales
from mien.train.oracle import keep_oracle
from mien.train.prepare import few, fingerprint, read_faces, sampling, soft_targets, trainable
from mien.train.recipe import Recipe
from mien.train.stages import run_stage
from mien.train.tasks import make
from mien.train.views import as_inputs, on, predict, to_tensor


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def earlier_runs(recipe: Recipe, beside: Path) -> dict[str, dict[str, Any]]:
    """What the best.pt of each `run:NAME` among the recipe's inputs says.

    Raises:
        WeightsError: such a run is not finished.
        RecipeError: it cannot be an input.
    """
    found = {}
    for kind in recipe.inputs:
        if kind.startswith(CASCADE):
            state = load_state(beside / kind.removeprefix(CASCADE) / "best.pt")
            if state is None:
                raise WeightsError(f"inputs: {kind} is missing in {beside}; train that run first")
            if "margin" in state or state.get("arguments", {}).get("channels", 1) != 1:
                raise RecipeError(
                    f"inputs: {kind} has a margin head or reads colour; name a grey run with a plain head"
                )
            found[kind] = state
    return found


def build_model(
    recipe: Recipe,
    classes: int,
    heads: dict[str, int] | None = None,
    earlier: dict[str, dict[str, Any]] | None = None,
    dim: int = 0,
    streams: Streams | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """The recipe's network, and the facts from which a checkpoint builds it again.

    Args:
        heads: units of each further head.
        earlier: as `earlier_runs`.
        dim: numbers of each frame's embedding, where frames are embedded before; the network then has no encoder.
        streams: of the training rows, for a network over several modalities: it is told their `shapes`.
    """
    facts: dict[str, Any] = {"model": recipe.model, "classes": classes}
    embedded = {"encoder": "", "dim": dim} if dim else {}
    shown: dict[str, Any] = {"channels": 3} if recipe.colour else {}
    found = {}
    if streams is not None:
        shown, found = {"shapes": streams.shapes}, scales(streams) if recipe.streams.standardise else {}
        facts["scaled"] = {name: len(mean) for name, (mean, _) in found.items()}
    facts["arguments"] = {**shown, **embedded, **recipe.arguments}
    if recipe.inputs or heads:
        described = {
            kind: {key: state[key] for key in ("model", "classes", "arguments", "around") if key in state}
            for kind, state in (earlier or {}).items()
        }
        facts["around"] = {"inputs": list(recipe.inputs), "heads": heads or {}, "earlier": described}
    model = create(facts)
    if isinstance(model, Scaled):
        model.scale.set({name: (mean.tolist(), deviation.tolist()) for name, (mean, deviation) in found.items()})
    if isinstance(model, Composite):
        for kind, part in zip(model.inputs, model.maps, strict=True):
            if isinstance(part, Cascade):
                part.network.load_state_dict((earlier or {})[kind]["state"])
                if not has_map(part.network, torch.zeros(1, 1, recipe.size[-1], recipe.size[-1])):
                    raise RecipeError(f"inputs: {kind} has no feature map of more than one place; name another run")
    return model, facts


def half_is_safe(model: nn.Module, device: torch.device) -> bool:
    """Whether steps may run in 16-bit brain floats.

    On CPUs with matrix units, torch 2.13 now and then fills part of the weight gradient of a 3-D convolution with
    garbage (1e34 where 1e-2 is due, at the same step in one run and not in the next): those networks stay in 32 bits.
    """
    return device.type != "cpu" or not any(isinstance(part, nn.Conv3d) for part in model.modules())


def build_losses(recipe: Recipe, model: nn.Module, shown: Inputs, targets: Tensor, prior: np.ndarray) -> nn.ModuleList:
    """The terms of the loss, each called with (output, targets), made to fit what the network gives for these faces.

    Args:
        shown: inputs of the network on the CPU; a few rows are enough.
        targets: of all training faces [N, K].
        prior: frequency of each class among the faces drawn [K].

    Raises:
        RecipeError: a term does not take the arguments given, or reads what the network does not give.
    """
    device = next(model.parameters()).device
    with torch.no_grad():
        output = model.eval()(on(shown, device))
    terms = nn.ModuleList()
    for term in recipe.loss:
        adjusted = {"prior": prior.tolist(), "tau": recipe.tau, "smoothing": recipe.smoothing}
        arguments = {**(adjusted if term.name == "soft-cross-entropy" else {}), **term.arguments}
        if "counts" not in arguments:
            arguments["counts"] = (prior * len(targets)).tolist()
        terms.append(build(term.name, output, **arguments))
    trains = [LOSSES.facts(term.name) for term in recipe.loss]
    if not any("logits" in facts.get("needs", ()) or facts.get("head") for facts in trains):
        raise RecipeError(f"{recipe.name}: no term of the loss trains the classifier; add cross-entropy")
    for loss in terms:
        if isinstance(loss, MarginLoss):
            give_head(core(model), loss)
    return terms


def build_optimiser(parts: list[nn.Module], recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay goes to weights, not to biases and norms.

    Raises:
        RecipeError: an unknown kind of optimiser.
    """
    # a margin loss shares its head with the network: each tensor is stepped once
    trained = list(dict.fromkeys(p for part in parts for p in part.parameters() if p.requires_grad))
    o = recipe.optimiser
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": o.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if o.kind == "sgd":
        return torch.optim.SGD(groups, lr=o.lr, momentum=o.momentum, nesterov=o.momentum > 0)
    if o.kind == "adamw":
        return torch.optim.AdamW(groups, lr=o.lr)
    if o.kind == "adam":
        return torch.optim.Adam(groups, lr=o.lr)
    raise RecipeError(f"{recipe.name}: optimiser kind {o.kind!r} is unknown; use sgd, adam or adamw")


def learning_rate(step: int, steps: int, warmup: int, peak: float, schedule: str = "cosine") -> float:
    """Linear warm-up, then a cosine to zero or, with `constant`, no change."""
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def side_at(epoch: int, epochs: int, size: tuple[int, ...]) -> int:
    """Side of the training faces at an epoch, a multiple of 4."""
    first, last = size[0], size[-1]
    share = min(1.0, epoch / max(1, epochs * 2 / 3))
    return round((first + (last - first) * share) / 4) * 4


def move_average(ema: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


class Trainer:
    """Holds one run; `run()` trains from the start or from the last checkpoint.

    Args:
        data: folder of the data set, or faces already read.
        rows: (train, val) row numbers of those faces; by default the official splits.
        home: folder of the whole run, where this is one fold of several; other runs are looked for beside it.
        watched: test rows that a recipe with `oracle` has scored after every epoch; nothing is chosen by them.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Path | FaceSet,
        folder: Path,
        device: torch.device,
        *,
        rows: tuple[np.ndarray, np.ndarray] | None = None,
        team: Team | None = None,
        home: Path | None = None,
        watched: np.ndarray | None = None,
    ) -> None:
        self.recipe, self.folder, self.device = recipe, Path(folder), device
        self.team = team or Team()
        self.beside = beside = (home or self.folder).parent
        self.folder.mkdir(parents=True, exist_ok=True)
        self.generator = torch.Generator()
        self._seed(0)
        faces = data if isinstance(data, FaceSet) else read_faces(recipe, data)
        self.fingerprint = fingerprint(faces)
        self.labels = faces.labels
        train, self.val = (faces[r] for r in rows) if rows else (faces.part("train"), faces.part("val"))
        self.watched = faces[watched] if watched is not None and recipe.oracle else None
        self.train = few(trainable(train, recipe), recipe)
        targets = soft_targets(self.train, recipe)
        # numbers are no shares of classes: all rows are drawn alike
        shares = np.full_like(targets, 1 / targets.shape[1]) if recipe.dimensions else targets
        weight, self.prior = sampling(shares, recipe.balance)
        self.weight = torch.from_numpy(weight)
        self.pixels = torch.from_numpy(self.train.pixels)
        self.targets = torch.from_numpy(targets)
        self.people = torch.from_numpy(np.unique(self.train.group, return_inverse=True)[1])
        self.teachers = [load_network(beside / name, device) for name in recipe.distill.teachers]
        self._blend_teachers()
        further = {head.task: make(head.task) for head in recipe.head}
        known = {name: (task, task.targets(self.train)) for name, task in further.items()}
        self.feed: Feed | ClipFeed | StreamFeed
        streams = self.train.streams
        if streams is not None:
            self.feed = StreamFeed(recipe, streams, self.targets, device)
        elif "every" in self.train.extra:
            every, last = self.train.extra["every"], self.train.extra["last"]
            self.feed = ClipFeed(recipe, every, last, self.targets, device)
        else:
            self.feed = Feed(recipe, self.pixels, self.targets, angles_of(recipe, self.train), known, device)
        heads = {name: task.units for name, task in further.items()}
        dim = self.train.pixels.shape[-1] if recipe.clips.embed else 0
        model, self.facts = build_model(recipe, len(faces.labels), heads, earlier_runs(recipe, beside), dim, streams)
        self.model = channels_last(model.to(device))
        if recipe.init:
            start_from(core(self.model), last_weights(beside / recipe.init), recipe.init)
        if recipe.frozen:
            for name, parameter in core(self.model).named_parameters():
                if name.startswith(recipe.frozen):
                    parameter.requires_grad_(False)
        self.half = recipe.optimiser.half and half_is_safe(self.model, device)
        self.team.agree(self.model)
        # before the average, for a margin loss replaces the network's head
        shown = to_tensor(self.pixels[:2]) if streams is None else as_inputs(streams[:2])
        self.losses = build_losses(recipe, self.model, shown, self.targets, self.prior).to(device)
        self.ema = copy.deepcopy(self.model).eval()
        self.team.agree(self.losses)
        self.optimiser = build_optimiser([self.model, self.losses], recipe)
        self.epoch = 0
        self.best = -1.0
        self.history: list[dict[str, Any]] = []
        self.stages: list[dict[str, Any]] = []

    def _seed(self, epoch: int) -> None:
        """Chance of an epoch depends on seed, epoch and process only, so that a resumed run draws the same."""
        number = (self.recipe.seed * 1_000_003 + epoch) * 1_009
        torch.manual_seed(number)
        self.order = torch.Generator().manual_seed(number)
        self.generator.manual_seed(number + self.team.rank)

    def _blend_teachers(self) -> None:
        """Ask the teachers once about every training face, unless they are asked about each view."""
        d = self.recipe.distill
        if not self.teachers or d.per_view:
            return
        logits = [self._asked(name, t) for name, t in zip(d.teachers, self.teachers, strict=True)]
        taught = torch.stack([self._taught(torch.from_numpy(z)) for z in logits]).mean(0)
        self.targets = (1 - d.weight) * self.targets + d.weight * taught

    def _asked(self, name: str, teacher: nn.Module) -> np.ndarray:
        """A teacher's logits of the training faces [N, K], kept beside the runs for others that ask the same."""
        asked = hashlib.sha256((self.beside / name / "best.pt").read_bytes())
        streams = self.train.streams
        asked.update(np.ascontiguousarray(self.train.pixels if streams is None else streams.prints()).tobytes())
        kept = self.beside / f"scores-{name}-{asked.hexdigest()[:16]}.npy"
        if kept.is_file():
            return np.asarray(np.load(kept))
        logits = predict(
            teacher, self.train.shown, self.device, views="mirror" if self.train.streams is None else "one"
        )
        if self.team.leads:
            scratch = kept.with_suffix(".part.npy")
            np.save(scratch, logits)
            os.replace(scratch, kept)
        return logits

    def _taught(self, logits: Tensor) -> Tensor:
        """Teachers' scores, put back on the class frequencies of this run (their logits leave them out)."""
        prior = torch.from_numpy(self.prior).float().to(logits.device)
        return torch.softmax(logits + self.recipe.tau * prior.clamp_min(1e-6).log(), 1)

    def resume(self) -> None:
        state = load_state(self.folder / "last.pt")
        if state is None:
            return
        if state.get("fingerprint", self.fingerprint) != self.fingerprint:
            raise RecipeError(f"{self.folder} was trained on other data; name another folder of runs, or delete it")
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.losses.load_state_dict(state.get("losses", self.losses.state_dict()))
        self.epoch, self.best, self.history = state["epoch"], state["best"], state["history"]
        self.stages = state.get("stages", [])

    def run(self, say: Callable[[str], None] = print) -> dict[str, Any]:
        """Train to the last epoch; returns the last line of the log."""
        self.resume()
        self._prepare(say)
        last = min(self.recipe.stop or self.recipe.epochs, self.recipe.epochs)
        while self.epoch < last:
            start = time.perf_counter()
            self._seed(self.epoch + 1)
            loss, right = self._train_epoch()
            if not math.isfinite(loss):
                raise RecipeError(
                    f"{self.recipe.name}: the loss is {loss} in epoch {self.epoch + 1}; what came before is kept in "
                    f"{self.folder}. Lower lr, or set half = false"
                )
            self.epoch += 1
            share = "train_ccc" if self.recipe.dimensions else "train_accuracy"
            line: dict[str, Any] = {"epoch": self.epoch, "loss": round(loss, 4), share: round(right, 4)}
            if self.team.leads:
                if len(self.val) and (self.epoch % 2 == 0 or self.epoch == last):
                    line |= self._validate()
                self._watch()
                line["seconds"] = round(time.perf_counter() - start, 1)
                self.history.append(line)
                self._save(self.epoch == last)
                say(json.dumps(line))
            self.team.wait()
        return self.history[-1] if self.history else {}

    def _prepare(self, say: Callable[[str], None]) -> None:
        """The recipe's stages that are not done yet; each process does the same, for chance is the same."""
        for number in range(len(self.stages), len(self.recipe.stage)):
            stage, start = self.recipe.stage[number], time.perf_counter()
            self._seed(-1 - number)
            figures = run_stage(stage, self)
            self.team.agree(self.model)
            self.ema.load_state_dict(self.model.state_dict())
            self.stages.append({"stage": stage.name, **figures, "seconds": round(time.perf_counter() - start, 1)})
            if self.team.leads:
                self._save_last()
                say(json.dumps(self.stages[-1]))
            self.team.wait()

    def _train_epoch(self) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch's batches, as augmented."""
        r, total = self.recipe, np.zeros(2)
        rows = torch.multinomial(self.weight, len(self.weight), replacement=r.balance > 0, generator=self.order)
        batches = torch.split(rows, r.batch)[: len(rows) // r.batch] or (rows,)
        side = side_at(self.epoch, r.epochs, r.size)
        warmup = int(r.optimiser.warmup_epochs * len(batches))
        peak = r.optimiser.lr * r.batch / 128
        self.model.train()
        self.losses.train()
        for index, batch in enumerate(batches):
            step = self.epoch * len(batches) + index
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(step, r.epochs * len(batches), warmup, peak, r.optimiser.schedule)
            total += np.array(self.take(self.team.share(batch), side)) / len(batches)
            move_average(self.ema, self.model, min(r.optimiser.ema, (step + 1) / (step + 10)))
        return float(total[0]), float(total[1])

    def take(self, batch: Tensor, side: int) -> tuple[float, float]:
        """One step on these rows; returns their loss and accuracy."""
        self.optimiser.zero_grad(set_to_none=True)
        value, right = self.loss_of(batch, side)
        value.backward()  # type: ignore[no-untyped-call]
        trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.team.average_gradients(trained)
        nn.utils.clip_grad_norm_(trained, 5.0)
        self.optimiser.step()
        return float(value.detach()), right

    def loss_of(self, batch: Tensor, side: int) -> tuple[Tensor, float]:
        """The loss of these training rows, augmented, as a tensor to be differentiated; and their accuracy."""
        r = self.recipe
        given = self.feed(batch, side, self.generator)
        targets = self._per_view(given.face, given.targets)
        subject = self.people[batch].to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            output: Output = self.model(given.inputs)
        terms = [
            term.weight * loss(output, targets, subject=subject) for term, loss in zip(r.loss, self.losses, strict=True)
        ]
        for head in r.head:
            task, _ = self.feed.further[head.task]
            terms.append(head.weight * task.loss(output.aux[f"head:{head.task}"].float(), given.further[head.task]))
        if r.dimensions:
            right = mean_ccc(targets.cpu().numpy(), output.logits.detach().float().cpu().numpy())
        else:
            right = float((output.logits.argmax(1) == targets.argmax(1)).float().mean())
        return torch.stack(terms).sum(), right

    @torch.no_grad()
    def _per_view(self, x: Inputs, targets: Tensor) -> Tensor:
        d = self.recipe.distill
        if not self.teachers or not d.per_view:
            return targets
        with torch.autocast(self.device.type, torch.bfloat16):
            taught = torch.stack([self._taught(t(x).logits.float()) for t in self.teachers]).mean(0)
        return (1 - d.weight) * targets + d.weight * taught

    def _validate(self) -> dict[str, Any]:
        faces = self.val[self.val.majority >= 0]
        logits = predict(self.ema, faces.shown, self.device, angles=angles_of(self.recipe, faces))
        if self.recipe.dimensions:
            value = round(mean_ccc(faces.targets, logits), 4)
            return {"val_ccc": value, "selected": value}
        log_prior = np.log(np.maximum(self.prior, 1e-6))
        best = {"selected": -1.0}
        # the share of the prior that is put back trades accuracy for recall of rare classes
        for share in np.linspace(0, 1, 11) if self.recipe.tau else (1.0,):
            matrix = confusion(
                faces.majority, (logits + share * self.recipe.tau * log_prior).argmax(1), len(self.labels)
            )
            now = {"val_accuracy": round(accuracy(matrix), 4), "val_uar": round(uar(matrix), 4)}
            score = now["val_accuracy"] if self.recipe.select == "accuracy" else sum(now.values()) / 2
            if score > best["selected"]:
                best = {**now, "prior_share": round(float(share), 2), "selected": round(score, 4)}
        return best

    def _watch(self) -> None:
        """Keep what the network says of the watched rows after this epoch."""
        if self.watched is None or not len(self.watched):
            return
        logits = predict(self.ema, self.watched.shown, self.device, angles=angles_of(self.recipe, self.watched))
        keep_oracle(self.folder, self.epoch, logits)

    def _margin(self) -> dict[str, Any]:
        """What it takes to build the head of a margin loss again."""
        for term, loss in zip(self.recipe.loss, self.losses, strict=True):
            if isinstance(loss, MarginLoss):
                classes, dim = loss.head.weight.shape
                return {"margin": {"name": term.name, "arguments": {"classes": classes, "dim": dim, **term.arguments}}}
        return {}

    def _save(self, last: bool) -> None:
        line = self.history[-1]
        facts = {**self.facts, "labels": list(self.labels)}
        keep_last = last and (self.recipe.select == "last" or not len(self.val))
        chosen = self.recipe.select != "last" and line.get("selected", -1.0) > self.best
        if chosen or keep_last:
            self.best = line.get("selected", self.best)
            facts |= {"prior": self.prior.tolist(), "tau": self.recipe.tau, "line": line}
            facts |= self._margin()
            save_state(self.folder / "best.pt", {**facts, "state": self.ema.state_dict()})
        self._save_last()

    def _save_last(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "losses": self.losses.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "fingerprint": self.fingerprint,
            "epoch": self.epoch,
            "best": self.best,
            "history": self.history,
            "stages": self.stages,
        }
        save_state(self.folder / "last.pt", state)
        lines = "".join(json.dumps(entry) + "\n" for entry in [*self.stages, *self.history])
        write_whole(self.folder / "log.jsonl", lines)
