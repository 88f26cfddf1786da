"""The training loop, in full view: one recipe in, one folder with checkpoint, log and the best weights out."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.datasets import DATASETS
from mien.datasets.faces import FaceSet, load_faces
from mien.errors import RecipeError
from mien.losses import LOSSES
from mien.metrics import accuracy, confusion, uar
from mien.models import MODELS, Output
from mien.train.checkpoint import channels_last, last_weights, load_network, load_state, save_state, start_from
from mien.train.recipe import Recipe


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def build_model(recipe: Recipe, classes: int) -> nn.Module:
    return MODELS.create(recipe.model, classes=classes)


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay goes to weights, not to biases and norms.

    Raises:
        RecipeError: an unknown kind of optimiser.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    o = recipe.optimiser
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": o.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if o.kind == "sgd":
        return torch.optim.SGD(groups, lr=o.lr, momentum=o.momentum, nesterov=True)
    if o.kind == "adamw":
        return torch.optim.AdamW(groups, lr=o.lr)
    raise RecipeError(f"{recipe.name}: optimiser kind {o.kind!r} is unknown; use sgd or adamw")


def soft_targets(faces: FaceSet, recipe: Recipe) -> np.ndarray:
    """Training targets [N, K]: the votes, joined by FER2013's own label as `second_opinion` further votes."""
    targets = faces.targets
    if recipe.least_votes > 1 and "votes" in faces.extra:
        votes = faces.extra["votes"]
        kept = np.where(votes >= recipe.least_votes, votes, 0)
        # a face on which no two taggers agree keeps all its votes
        kept = np.where(kept.sum(1, keepdims=True) > 0, kept, votes)
        targets = kept / kept.sum(1, keepdims=True)
    if recipe.second_opinion and "fer2013" in faces.extra:
        other = np.eye(len(faces.labels), dtype=np.float32)[faces.extra["fer2013"]]
        targets = (10 * targets + recipe.second_opinion * other) / (10 + recipe.second_opinion)
    return targets.astype(np.float32)


def sampling(targets: np.ndarray, balance: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each row when drawing [N], and the frequency of each class among the rows drawn [K]."""
    prior = targets.mean(0)
    weight = targets @ (np.maximum(prior, 1e-6) ** -balance)
    weight = weight / weight.sum()
    return weight, weight @ targets


@torch.no_grad()
def predict(
    model: nn.Module, pixels: np.ndarray, device: torch.device, *, mirror: bool = False, batch: int = 256
) -> np.ndarray:
    """Logits [N, K] of grey faces uint8 [N, S, S]; with `mirror`, the mean with the mirrored faces' logits."""
    model.eval()
    parts = []
    for start in range(0, len(pixels), batch):
        x = torch.from_numpy(pixels[start : start + batch]).to(device)[:, None].float() / 255
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(x).logits.float()
            if mirror:
                logits = (logits + model(x.flip(3)).logits.float()) / 2
        parts.append(logits.cpu().numpy())
    return np.concatenate(parts)


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def side_at(epoch: int, epochs: int, size: tuple[int, ...]) -> int:
    """Side of the training faces at an epoch, a multiple of 4."""
    first, last = size[0], size[-1]
    share = min(1.0, epoch / max(1, epochs * 2 / 3))
    return round((first + (last - first) * share) / 4) * 4


def _average(ema: nn.Module, model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


class Trainer:
    """Holds one run; `run()` trains from the start or from the last checkpoint."""

    def __init__(self, recipe: Recipe, data: Path, folder: Path, device: torch.device) -> None:
        self.recipe, self.folder, self.device = recipe, Path(folder), device
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        faces = load_faces(DATASETS.create(recipe.dataset, root=data))
        self.labels = faces.labels
        self.train, self.val = faces.part("train"), faces.part("val")
        targets = soft_targets(self.train, recipe)
        weight, self.prior = sampling(targets, recipe.balance)
        self.weight = torch.from_numpy(weight)
        self.pixels = torch.from_numpy(self.train.pixels)
        self.targets = torch.from_numpy(targets)
        self.teachers = [load_network(self.folder.parent / name, device) for name in recipe.distill.teachers]
        self._blend_teachers()
        self.model = channels_last(build_model(recipe, len(faces.labels)).to(device))
        if recipe.init:
            start_from(self.model, last_weights(self.folder.parent / recipe.init), recipe.init)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.startswith(recipe.frozen) if recipe.frozen else True)
        self.ema = copy.deepcopy(self.model).eval()
        self.optimiser = build_optimiser(self.model, recipe)
        self.loss = LOSSES.create(
            "soft-cross-entropy", prior=self.prior.tolist(), tau=recipe.tau, smoothing=recipe.smoothing
        ).to(device)
        self.epoch = 0
        self.best = -1.0
        self.history: list[dict[str, Any]] = []

    def _blend_teachers(self) -> None:
        """Ask the teachers once about every training face, unless they are asked about each view."""
        d = self.recipe.distill
        if not self.teachers or d.per_view:
            return
        logits = [predict(t, self.train.pixels, self.device, mirror=True) for t in self.teachers]
        taught = torch.stack([self._taught(torch.from_numpy(z)) for z in logits]).mean(0)
        self.targets = (1 - d.weight) * self.targets + d.weight * taught

    def _taught(self, logits: Tensor) -> Tensor:
        """Teachers' scores, put back on the class frequencies of this run (their logits leave them out)."""
        prior = torch.from_numpy(self.prior).float().to(logits.device)
        return torch.softmax(logits + self.recipe.tau * prior.clamp_min(1e-6).log(), 1)

    def resume(self) -> None:
        state = load_state(self.folder / "last.pt")
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.epoch, self.best, self.history = state["epoch"], state["best"], state["history"]

    def run(self, say: Callable[[str], None] = print) -> dict[str, Any]:
        """Train to the last epoch; returns the last line of the log."""
        self.resume()
        last = min(self.recipe.stop or self.recipe.epochs, self.recipe.epochs)
        while self.epoch < last:
            start = time.perf_counter()
            loss = self._train_epoch()
            self.epoch += 1
            line: dict[str, Any] = {"epoch": self.epoch, "loss": round(loss, 4)}
            if self.epoch % 2 == 0 or self.epoch == last:
                line |= self._validate()
            line["seconds"] = round(time.perf_counter() - start, 1)
            self.history.append(line)
            self._save()
            say(json.dumps(line))
        return self.history[-1] if self.history else {}

    def _train_epoch(self) -> float:
        r, total = self.recipe, 0.0
        rows = torch.multinomial(self.weight, len(self.weight), replacement=r.balance > 0, generator=self.generator)
        batches = torch.split(rows, r.batch)[: len(rows) // r.batch] or (rows,)
        side = side_at(self.epoch, r.epochs, r.size)
        warmup = int(r.optimiser.warmup_epochs * len(batches))
        peak = r.optimiser.lr * r.batch / 128
        self.model.train()
        for index, batch in enumerate(batches):
            step = self.epoch * len(batches) + index
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(step, r.epochs * len(batches), warmup, peak)
            x = self.pixels[batch].to(self.device)[:, None].float() / 255
            x = r.augment(x, side, self.generator)
            x, (targets,) = r.augment.mix(x, [self.targets[batch].to(self.device)], self.generator)
            targets = self._per_view(x, targets)
            with torch.autocast(self.device.type, torch.bfloat16):
                output: Output = self.model(x.contiguous(memory_format=torch.channels_last))
            value = self.loss(output.logits, targets)
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
            _average(self.ema, self.model, min(r.optimiser.ema, (step + 1) / (step + 10)))
            total += float(value.detach()) / len(batches)
        return total

    @torch.no_grad()
    def _per_view(self, x: Tensor, targets: Tensor) -> Tensor:
        d = self.recipe.distill
        if not self.teachers or not d.per_view:
            return targets
        with torch.autocast(self.device.type, torch.bfloat16):
            taught = torch.stack([self._taught(t(x).logits.float()) for t in self.teachers]).mean(0)
        return (1 - d.weight) * targets + d.weight * taught

    def _validate(self) -> dict[str, Any]:
        faces = self.val[self.val.majority >= 0]
        logits = predict(self.ema, faces.pixels, self.device)
        log_prior = np.log(np.maximum(self.prior, 1e-6))
        best = {"selected": -1.0}
        # the share of the prior that is put back trades accuracy for recall of rare classes
        for share in np.linspace(0, 1, 11):
            matrix = confusion(
                faces.majority, (logits + share * self.recipe.tau * log_prior).argmax(1), len(self.labels)
            )
            now = {"val_accuracy": round(accuracy(matrix), 4), "val_uar": round(uar(matrix), 4)}
            score = (now["val_accuracy"] + now["val_uar"]) / 2
            if score > best["selected"]:
                best = {**now, "prior_share": round(float(share), 2), "selected": round(score, 4)}
        return best

    def _save(self) -> None:
        line = self.history[-1]
        facts = {"model": self.recipe.model, "classes": len(self.labels), "labels": list(self.labels)}
        if line.get("selected", -1.0) > self.best:
            self.best = line["selected"]
            facts |= {"prior": self.prior.tolist(), "tau": self.recipe.tau, "line": line}
            save_state(self.folder / "best.pt", {**facts, "state": self.ema.state_dict()})
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "epoch": self.epoch,
            "best": self.best,
            "history": self.history,
        }
        save_state(self.folder / "last.pt", state)
        lines = "".join(json.dumps(entry) + "\n" for entry in self.history)
        (self.folder / "log.jsonl").write_text(lines, encoding="utf-8")
