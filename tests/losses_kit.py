"""What the tests of the losses share: one batch, a loss made for it, slow pieces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from mien.losses import LOSSES  # noqa: E402
from mien.losses.base import build  # noqa: E402
from mien.models import Output  # noqa: E402

N, K, D, HEADS = 7, 4, 5, 3
COUNTS = [90, 3, 20, 11]
LABELS = [0, 2, 1, 2, 3, 0, 2]
READY = [name for name in LOSSES.names() if "needs" in LOSSES.facts(name)]


def batch(seed: int = 0, labels: list[int] | None = None, dtype: torch.dtype = torch.float64) -> tuple[Output, Tensor]:
    """An output with everything that a loss may read, and soft targets whose largest share is the label."""
    generator = torch.Generator().manual_seed(seed)
    labels = LABELS if labels is None else labels
    n = len(labels)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    aux = {"heads": draw(n, HEADS, D), "features": draw(n, D, 2, 2)}
    share = torch.rand(n, K, generator=generator, dtype=torch.float64)
    targets = 0.4 * share / share.sum(1, keepdim=True) + 0.6 * torch.eye(K, dtype=torch.float64)[labels]
    output = Output(draw(n, K), draw(n, D), aux)
    aux |= {"by_modality": draw(n, HEADS, K), "separator": draw(n, 2, 2)}
    return output, targets


def make(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(1)
    return build(name, batch()[0], **{"counts": COUNTS, **arguments}).double()


def log_softmax(z: np.ndarray) -> list[float]:
    total = math.log(sum(math.exp(v - max(z)) for v in z)) + max(z)
    return [v - total for v in z]


def rows(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def same(loss: Tensor, slow: float) -> None:
    assert float(loss.detach()) == pytest.approx(slow, rel=1e-5, abs=1e-9)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    def dot(u: np.ndarray, v: np.ndarray) -> float:
        return sum(float(p) * float(q) for p, q in zip(u, v, strict=True))

    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))
