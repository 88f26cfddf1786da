"""Train and export `landmarks68`: 68 points from few photographs, SYNTHETIC renders and a teacher's five points.

    python -m mien.train.landmarks --photos DIR --ict DIR --faces DIR --yunet FILE --out DIR

The run folder keeps the sources as it prepared them, a checkpoint after each epoch (run again to go on) and the
exported `landmarks68.onnx`.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import typer
from torch import Tensor, nn

from mien.models.landmark import LandmarkNet, landmark_68
from mien.train.checkpoint import load_network, load_state, save_state
from mien.train.landmarks_augment import Jitter, matrices, to_crop, training_batch
from mien.train.landmarks_data import Marked, five_of, teacher_bias
from mien.train.landmarks_data import faces as read_faces
from mien.train.landmarks_data import photos as read_photos
from mien.train.landmarks_data import renders as draw
from mien.train.landmarks_eval import evaluate, export

__all__ = ["export", "train", "wing"]

NETWORK = "landmark-68"
# rows of each batch: photographs with 68 points, photographs with five, renders, in-the-wild faces with five
SHARES = (24, 8, 56, 40)


@dataclass(frozen=True)
class Sources:
    """The four sources, teacher's bias removed from those with five points."""

    photos68: Marked
    photos5: Marked
    renders: Marked
    faces5: Marked

    def part(self, held_out: bool) -> Sources:
        """The rows for evaluation, or those for training."""
        return Sources(*(getattr(self, name).part(held_out) for name in self.__dataclass_fields__))


def wing(error: Tensor, width: float = 0.1, curve: float = 0.02) -> Tensor:
    """Wing loss of each element: logarithmic below `width`, linear above, continuous.

    w ln(1 + |x| / c) for |x| < w, else |x| - w + w ln(1 + w / c).

    Paper: Feng et al., "Wing Loss for Robust Facial Landmark Localisation with CNNs", CVPR 2018, eq. (5).

    >>> wing(torch.tensor([0.0])).item()
    0.0
    """
    size = error.abs()
    constant = width - width * float(np.log1p(width / curve))
    return torch.where(size < width, width * torch.log1p(size / curve), size - constant)


def sources(
    photo_folder: Path, ict: Path, face_folder: Path, yunet: Path, out: Path, counts: tuple[int, int, int], seed: int
) -> Sources:
    """Prepare or reload the four sources; counts are renders to train on, renders held out, in-the-wild faces."""
    marked, with_five = read_photos(photo_folder, yunet, out)
    drawn = draw(ict, out / "renders.npz", counts[0], counts[1], seed)
    wild = read_faces(face_folder, yunet, out / "faces5.npz", counts[2])
    known, taught = marked.part(False), with_five.part(False)
    both = [int((taught.pixels == picture).all((1, 2)).argmax()) for picture in known.pixels]
    bias = teacher_bias(five_of(known.points), taught.points[both])
    return Sources(marked, with_five.without(bias), drawn, wild.without(bias))


def _batch(data: Sources, rng: np.random.Generator, jitter: Jitter) -> tuple[Tensor, Tensor, Tensor]:
    """Crops [N, 1, S, S], 68-point targets of the rows that have them, five-point targets of the others, in order."""
    crops: list[np.ndarray] = []
    full: list[np.ndarray] = []
    five: list[np.ndarray] = []
    order = (data.photos68, data.renders, data.photos5, data.faces5)
    for source, rows in zip(order, (SHARES[0], SHARES[2], SHARES[1], SHARES[3]), strict=True):
        pick = rng.integers(0, len(source), rows)
        images, target = training_batch(source.pixels[pick], source.points[pick], source.box[pick], rng, jitter)
        crops.append(images)
        (full if target.shape[1] == 68 else five).append(target)
    together = (torch.from_numpy(np.concatenate(part)) for part in (crops, full, five))
    images_, full_, five_ = together
    return images_, full_, five_


def _step(model: LandmarkNet, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Loss of a batch: wing on all points known."""
    crops, full, five = batch
    with torch.autocast("cpu", torch.bfloat16):
        embedding = model.embed(crops.to(memory_format=torch.channels_last))
    points = model.locate(embedding.float()).reshape(len(crops), -1, 2)
    exact = wing(points[: len(full)] - full).mean()
    rest = points[len(full) :]
    eyes = rest[:, 36:42].mean(1), rest[:, 42:48].mean(1)
    taught = wing(torch.stack([*eyes, rest[:, 30], rest[:, 48], rest[:, 54]], 1) - five).mean()
    return exact * (len(full) / len(crops)) + taught * (len(five) / len(crops))


@dataclass
class Run:
    """What one training run changes: the network, its moving average, the optimiser and its plan."""

    model: LandmarkNet
    ema: LandmarkNet
    optimiser: torch.optim.Optimizer
    plan: torch.optim.lr_scheduler.LRScheduler

    @classmethod
    def start(cls, faces: Marked, rate: float, steps: int, begin: Path | None = None) -> Run:
        """A network that answers with the mean face of `faces`, or a finished run's; and a one-cycle plan."""
        model = landmark_68().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        mean = to_crop(faces.points, matrices(faces.box)).mean(0)
        model.mean.copy_(torch.from_numpy(mean.reshape(-1)))
        if begin is not None:
            model.load_state_dict(load_network(begin, torch.device("cpu")).state_dict())
        optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-3)
        plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=0.08)
        return cls(model, copy.deepcopy(model), optimiser, plan)

    def epoch(self, learn: Sources, rng: np.random.Generator, steps: int, done: int) -> float:
        """Take `steps` steps after `done` earlier ones; the mean loss."""
        self.model.train()
        total = 0.0
        for step in range(steps):
            loss = _step(self.model, _batch(learn, rng, Jitter()))
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            self.plan.step()
            self._average(done + step)
            total += float(loss.detach())
        return total / steps

    def _average(self, step: int, decay: float = 0.998) -> None:
        keep = min(decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for old, new in zip(self.ema.state_dict().values(), self.model.state_dict().values(), strict=True):
                if old.is_floating_point():
                    old.lerp_(new, 1 - keep)
                else:
                    old.copy_(new)

    def save(self, path: Path, epoch: int) -> None:
        """Write a checkpoint after `epoch`."""
        state = {name: getattr(self, name).state_dict() for name in self.__dataclass_fields__}
        save_state(path, {"epoch": epoch, **state})

    def finish(self, held: Sources, path: Path) -> str:
        """Measure the averaged network and keep it with its figures; the medians as text."""
        figures = evaluate(self.ema, held)
        save_state(path, {"model": NETWORK, "state": self.ema.state_dict(), "classes": 136, "figures": figures})
        return " ".join(f"{name} {value:.4f}" for name, value in figures.items() if "median" in name)

    def resume(self, path: Path) -> int:
        """Load a checkpoint where there is one; the epoch to go on with."""
        state = load_state(path)
        if state is None:
            return 0
        for name in self.__dataclass_fields__:
            getattr(self, name).load_state_dict(state[name])
        return int(state["epoch"]) + 1


def train(
    photos: Path,
    ict: Path,
    faces: Path,
    yunet: Path,
    out: Path,
    *,
    epochs: int = 12,
    steps: int = 200,
    rate: float = 2e-3,
    begin: Path | None = None,
    counts: tuple[int, int, int] = (10_000, 500, 9_000),
    seed: int = 1,
    threads: int = 1,
) -> dict[str, float]:
    """Train to the end, going on from the run's checkpoint, and export.

    Args:
        photos: folder of the Face Research Lab London set.
        ict: folder of the light ICT face model.
        faces: folder of FER2013.
        yunet: ONNX file of the YuNet detector.
        out: run folder.
        epochs: of `steps` steps each.
        steps: in an epoch; a step is 128 crops.
        rate: AdamW's highest learning rate.
        begin: a finished run whose weights to begin with, in place of random ones.
        counts: renders to train on, renders held out, in-the-wild faces.
        seed: decides renders, weights and batches.
        threads: of torch.

    Returns:
        figures on what was held out, see `evaluate`.

    Raises:
        DataError: a source is missing or malformed.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    data = sources(photos, ict, faces, yunet, out, counts, seed)
    learn, held = data.part(False), data.part(True)
    run = Run.start(learn.renders, rate, epochs * steps, begin)
    for epoch in range(run.resume(out / "last.pt"), epochs):
        start = time.perf_counter()
        loss = run.epoch(learn, np.random.default_rng([seed, epoch]), steps, epoch * steps)
        run.save(out / "last.pt", epoch)
        shown = ""
        if epoch % 6 == 5 or epoch + 1 == epochs:
            shown = run.finish(held, out / "best.pt")
        print(f"epoch {epoch + 1}/{epochs} loss {loss:.4f} {time.perf_counter() - start:.0f} s {shown}", flush=True)
    export(out, out / "landmarks68.onnx")
    return dict((load_state(out / "best.pt") or {})["figures"])


def main(
    photos: Path = typer.Option(..., help="folder of the Face Research Lab London set"),
    ict: Path = typer.Option(..., help="folder of the light ICT face model"),
    faces: Path = typer.Option(..., help="folder of FER2013"),
    yunet: Path = typer.Option(..., help="face_detection_yunet_2023mar.onnx"),
    out: Path = typer.Option(..., help="run folder"),
    begin: Path | None = typer.Option(None, help="finished run to begin with"),
    epochs: int = 12,
    rate: float = 2e-3,
    seed: int = 1,
    threads: int = 1,
) -> None:
    """Train and export landmarks68."""
    settings = {"epochs": epochs, "rate": rate, "seed": seed, "threads": threads}
    for name, value in train(photos, ict, faces, yunet, out, begin=begin, **settings).items():  # type: ignore[arg-type]
        print(f"{name:32} {value:.4f}")


if __name__ == "__main__":
    typer.run(main)
