"""Read the face-description network of the npm package `@vladmandic/human` as a run to start others from.

    npm pack @vladmandic/human@3.3.6 && tar xzf vladmandic-human-3.3.6.tgz
    python scripts/read_faceres.py package/models runs        (writes runs/faceres/last.pt)

The network ("faceres") is a MobileNet that was trained to recognise people, then to estimate age and gender: Savchenko,
"Efficient facial representations for age, gender and identity recognition in organizing photo albums using multi-output
ConvNet", PeerJ Computer Science 5:e197, 2019. The package and its files are MIT. Only its convolutions are used.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.models.mobilenet import BLOCKS, mobilenet_face
from mien.train.checkpoint import save_state

# standard deviation of a face crop's pixels in [0, 255]: the published net saw pixels less their mean, ours sees
# standardised ones
DEVIATION = 62.0


def read_arrays(entries: list[dict[str, Any]], content: bytes) -> dict[str, np.ndarray]:
    """All arrays of a TensorFlow.js model by name; 16-bit floats and packed integers come as 32-bit floats.

    Args:
        entries: of its manifest of weights.
        content: of its file of weights.
    """
    arrays, offset = {}, 0
    for entry in entries:
        packing = entry.get("quantization", {})
        stored = np.dtype(packing.get("dtype", entry["dtype"]))
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(content, stored, count, offset).reshape(entry["shape"]).astype(entry["dtype"])
        if "scale" in packing:
            values = values * np.float32(packing["scale"]) + np.float32(packing["min"])
        arrays[entry["name"]] = values
        offset += count * stored.itemsize
    if offset != len(content):
        sys.exit(f"this is another release of the network; {len(content) - offset} bytes are left over")
    return arrays


def to_state(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Weights of `mobilenet-face` without its head. TensorFlow's kernels are [H, W, C, K]."""

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))

    state = {}
    # a grey picture has three equal channels, so that their kernels add up
    first = arrays["conv1/convolution/merged_input"].sum(2, keepdims=True) * DEVIATION
    state["layers.0.0.weight"] = tensor(first.transpose(3, 2, 0, 1))
    state["layers.0.0.bias"] = tensor(arrays["conv1_bn/batchnorm_1/sub"])
    for block in range(1, len(BLOCKS) + 1):
        scale = arrays[f"conv_dw_{block}_bn/batchnorm_1/mul"]
        depthwise = arrays[f"conv_dw_{block}/depthwise_kernel"][..., 0] * scale
        place = f"layers.{2 * block - 1}.0"
        state[f"{place}.weight"] = tensor(depthwise.transpose(2, 0, 1)[:, None])
        state[f"{place}.bias"] = tensor(arrays[f"conv_dw_{block}_bn/batchnorm_1/sub"])
        pointwise = arrays[f"conv_pw_{block}/convolution/merged_input"]
        state[f"layers.{2 * block}.0.weight"] = tensor(pointwise.transpose(3, 2, 0, 1))
        state[f"layers.{2 * block}.0.bias"] = tensor(arrays[f"conv_pw_{block}_bn/batchnorm_1/sub"])
    return state


def main(models: str, runs: str) -> None:
    folder = Path(models)
    entries = json.loads((folder / "faceres.json").read_text())["weightsManifest"][0]["weights"]
    state = to_state(read_arrays(entries, (folder / "faceres.bin").read_bytes()))
    unmatched = set(mobilenet_face().state_dict()) ^ set(state)
    if unmatched != {"head.weight", "head.bias"}:
        sys.exit(f"{models}: this is another release of the network; {sorted(unmatched)} do not match")
    folder = Path(runs) / "faceres"
    folder.mkdir(parents=True, exist_ok=True)
    save_state(folder / "last.pt", {"ema": state})
    print(f"{folder}/last.pt written")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
