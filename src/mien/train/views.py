"""Scoring faces with a network, from one or several views of each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mien.datasets.faces import holds_clips
from mien.datasets.streams import Streams
from mien.faces.angles import mirror_map
from mien.models import Inputs


def to_tensor(pixels: Tensor) -> Tensor:
    """uint8 [N, H, W] or [N, H, W, 3] to float32 [N, C, H, W] in [0, 1]; clips uint8 [N, T, H, W] to [N, T, 1, H, W].

    Embeddings of clips, float32 [N, T, D], pass as they are.
    """
    if pixels.is_floating_point():
        return pixels
    x = pixels.float() / 255
    if holds_clips(x):
        return x[:, :, None]
    return x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)


def on(inputs: Inputs, device: torch.device) -> Inputs:
    """The inputs of a network, moved to a device."""
    return inputs.to(device) if isinstance(inputs, Tensor) else {name: x.to(device) for name, x in inputs.items()}


def as_inputs(streams: Streams) -> dict[str, Tensor]:
    """What a network over modalities is given: each `<modality>`, and `<modality>_mask` bool [N, T] of what is there.

    Features float32 [N, T, D] and maps [N, C, S, S] pass as they are; pictures become float32 [N, C, S, S] in [0, 1],
    clips [N, T, 1, S, S].
    """
    inputs = {}
    for name, array in streams.items.items():
        inputs[name] = to_tensor(torch.from_numpy(np.ascontiguousarray(array)))
        inputs[f"{name}_mask"] = torch.from_numpy(np.ascontiguousarray(streams.masks[name]))
    return inputs


def ten_crops(x: Tensor, share: float = 0.9) -> list[Tensor]:
    """The four corners and the middle of faces [N, C, S, S], enlarged back to S, and their mirror images.

    Paper: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep CNNs", NeurIPS 2012, section 4.1.
    """
    side = x.shape[-1]
    cut = round(side * share)
    places = [(0, 0), (0, side - cut), (side - cut, 0), (side - cut, side - cut), ((side - cut) // 2,) * 2]
    crops = [
        nn.functional.interpolate(
            x[:, :, top : top + cut, left : left + cut], (side, side), mode="bilinear", align_corners=False
        )
        for top, left in places
    ]
    return [*crops, *(crop.flip(3) for crop in crops)]


def views_of(x: Tensor, views: str) -> list[Tensor]:
    """The test-time views of faces [N, C, S, S]: `one`, `mirror` or `ten`; of clips [N, T, 1, S, S] not `ten`."""
    if views == "ten":
        return ten_crops(x)
    return [x, x.flip(-1)] if views == "mirror" else [x]


@torch.no_grad()
def predict(
    model: nn.Module,
    pixels: np.ndarray | Streams,
    device: torch.device,
    *,
    views: str = "one",
    batch: int = 256,
    angles: np.ndarray | None = None,
) -> np.ndarray:
    """Logits [N, K] of faces uint8 [N, S, S] or [N, S, S, 3], of clips as `to_tensor` takes them, or of streams.

    The mean over the views.

    Args:
        angles: float32 [N, A, 68, 68], maps of the change of angles, for networks that read them.
    """
    model.eval()
    if isinstance(pixels, Streams):
        return _predict_streams(model, pixels, device, batch)
    parts = []
    if holds_clips(pixels):
        batch = max(1, batch // pixels.shape[1])  # of clips, as many faces at a time
    for start in range(0, len(pixels), batch):
        x = to_tensor(torch.from_numpy(pixels[start : start + batch]).to(device))
        faces = views_of(x, views)
        shown: list[Inputs] = list(faces)
        if angles is not None:
            maps = torch.from_numpy(angles[start : start + batch]).to(device)
            half = len(faces) // 2
            # the second half of several views is mirrored
            shown = [{"face": v, "angles": mirror_map(maps) if 0 < half <= i else maps} for i, v in enumerate(faces)]
        with torch.autocast(device.type, torch.bfloat16):
            logits = torch.stack([model(view).logits.float() for view in shown]).mean(0)
        parts.append(logits.cpu().numpy())
    return np.concatenate(parts)


@torch.no_grad()
def embeddings(model: nn.Module, shown: np.ndarray | Streams, device: torch.device, batch: int = 256) -> np.ndarray:
    """What the last linear layer of a network reads [N, D], of faces or streams as `predict` takes them."""
    model.eval()
    parts = []
    for start in range(0, len(shown), batch):
        rows = shown[start : start + batch]
        inputs = as_inputs(rows) if isinstance(rows, Streams) else {"face": to_tensor(torch.from_numpy(rows))}
        given = {name: x.to(device) for name, x in inputs.items()}
        alone = given if isinstance(rows, Streams) else given["face"]
        parts.append(model(alone).embedding.float().cpu().numpy())
    return np.concatenate(parts)


def _predict_streams(model: nn.Module, streams: Streams, device: torch.device, batch: int) -> np.ndarray:
    parts = []
    for start in range(0, len(streams), batch):
        inputs = as_inputs(streams[start : start + batch])
        parts.append(model({name: x.to(device) for name, x in inputs.items()}).logits.float().cpu().numpy())
    return np.concatenate(parts)
