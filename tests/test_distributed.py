"""Two processes train as one: the same gradients, the same weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from mien.datasets import DATASETS, FAKES  # noqa: E402
from mien.train.distributed import Team  # noqa: E402

# one step without chance in the pictures and with batch norm frozen; the gradients are kept before the step
SCRIPT = """
import sys
from pathlib import Path
import torch
from torch import nn
from mien.augment import Augment
from mien.train.distributed import join
from mien.train.loop import Trainer
from mien.train.recipe import Optimiser, Recipe

still = Augment(roll=0, scale=0, shift=0, stretch=0, flip=0, contrast=0, blur=0, noise=0, erase=0, mix_share=0)
data, out = map(Path, sys.argv[1:])
team = join()
plain = Optimiser(lr=0.01, half=False, warmup_epochs=0)
recipe = Recipe("two", "mini-s", epochs=1, batch=16, augment=still, optimiser=plain, arguments={"dropout": 0.0})
trainer = Trainer(recipe, data, out / f"run{team.size}", torch.device("cpu"), team=team)
for module in trainer.model.modules():
    if isinstance(module, nn.BatchNorm2d):
        module.train = lambda mode=True: module
        module.training = False
trainer.losses.train()
batch = torch.arange(16)
trainer.loss_of(team.share(batch), 48)[0].backward()
parameters = list(trainer.model.parameters())
team.average_gradients(parameters)
if team.leads:
    torch.save([p.grad for p in parameters], out / f"gradients{team.size}.pt")
trainer.optimiser.zero_grad()
trainer.run(lambda line: None)
if team.leads:
    torch.save(trainer.model.state_dict(), out / f"weights{team.size}.pt")
"""


def start(size: int, script: Path, data: Path, out: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"] if size > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, *launcher, str(script), str(data), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    data, script = tmp_path / "data", tmp_path / "step.py"
    DATASETS.names()  # finds the fakes as well
    FAKES["ferplus"](data, rows=48)
    script.write_text(SCRIPT)
    for size in (1, 2):
        start(size, script, data, tmp_path)
    one, two = (torch.load(tmp_path / f"gradients{n}.pt") for n in (1, 2))
    largest = max(float(g.abs().max()) for g in one)
    assert largest > 1e-3
    assert max(float((a - b).abs().max()) for a, b in zip(one, two, strict=True)) < 1e-5 * max(1.0, largest)
    ours, theirs = (torch.load(tmp_path / f"weights{n}.pt") for n in (1, 2))
    assert all(torch.allclose(ours[key], theirs[key], atol=1e-4) for key in ours)
    assert (tmp_path / "run2" / "log.jsonl").is_file()


def test_shares_are_equal_and_cover_the_batch() -> None:
    batch = torch.arange(11)
    shares = [Team(rank, 2).share(batch).tolist() for rank in range(2)]
    assert shares == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    assert Team().share(batch).tolist() == list(range(11))
