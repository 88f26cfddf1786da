"""Temperature and validation figures of a network, on rows that it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from mien.datasets.faces import FaceSet
from mien.metrics import accuracy, calibration_error, confusion, fit_temperature, uar
from mien.metrics.calibration import log_softmax
from mien.train.views import predict


def calibrated(network: nn.Module, rows: FaceSet) -> tuple[float, dict[str, Any]]:
    """What the logits are to be divided by, and the figures with that; 1 and a note where no row has a label."""
    known = rows[rows.majority >= 0]
    if not len(known):
        return 1.0, {"note": "no validation rows: not calibrated"}
    logits = predict(network, known.shown, torch.device("cpu"))
    temperature = round(fit_temperature(logits, known.majority), 4)
    scores = np.exp(log_softmax(logits / temperature))
    matrix = confusion(known.majority, scores.argmax(1), len(rows.labels))
    figures = {"val_accuracy": round(accuracy(matrix), 4), "val_uar": round(uar(matrix), 4)}
    figures["val_ece"] = round(calibration_error(scores, known.majority), 4)
    return temperature, {**figures, "temperature": temperature}
