"""Inputs of networks over clips and flow, and the still-picture network that reads each frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.over_time import check_length, mask_of
from mien.models import MODELS, Inputs, Output


def modality(inputs: Inputs, name: str, axes: str) -> Tensor:
    """The tensor of one modality; a bare tensor is taken for it.

    Args:
        axes: its axes, as `N, T, C, H, W`.

    Raises:
        RecipeError: the input lacks it, or it has another number of axes.
    """
    if isinstance(inputs, Mapping) and name not in inputs:
        raise RecipeError(f"this network reads {name} [{axes}]; the input holds {', '.join(inputs) or 'nothing'}")
    x = inputs[name] if isinstance(inputs, Mapping) else inputs
    if x.ndim != axes.count(",") + 1:
        raise RecipeError(f"this network reads {name} [{axes}], not a tensor of shape {list(x.shape)}")
    return x


def frames(inputs: Inputs) -> tuple[Tensor, Tensor | None]:
    """Frames [N, T, C, H, W] and the length of each clip [N], None where none is given.

    Raises:
        RecipeError: as `modality`, or a length outside 1 to T.
    """
    x = modality(inputs, "frames", "N, T, C, H, W")
    length = inputs.get("length") if isinstance(inputs, Mapping) else None
    if length is not None:
        check_length(length, x.shape[1])
    return x, length


def flow(inputs: Inputs) -> Tensor:
    """Flow images [N, 3, S, S] of u, v and strain (`mien.faces.flow.flow_image`); a bare tensor means them.

    Raises:
        RecipeError: as `modality`, or not three channels.
    """
    x = inputs if isinstance(inputs, Tensor) else modality(inputs, "flow", "N, 3, S, S")
    if x.shape[1] != 3:
        raise RecipeError(f"this network reads flow [N, 3, S, S] of u, v and strain, not shape {list(x.shape)}")
    return x


def linear_head(dim: int, classes: int) -> nn.Linear:
    """The classifier of a network over clips: weights of deviation 0.01, no bias at first."""
    head = nn.Linear(dim, classes)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return head


class FrameEncoder(nn.Module):
    """Each frame of a clip by a registered still-picture network: [N, T, C, H, W] to embeddings [N, T, D].

    Only the frames that count are encoded, so that padding changes neither the result nor the statistics of batch norm.
    Embeddings computed before, `{"embeddings": [N, T, D], "length": [N]}` or a bare tensor [N, T, D], pass as they are.

    Args:
        encoder: name of a network with a linear `head`, which is left out; None reads embeddings only.
        arguments: of that network.
        dim: D where `encoder` is None.
        frozen: the encoder stays as it is.

    Raises:
        RecipeError: the network has no linear `head`.
    """

    def __init__(
        self,
        encoder: str | None,
        arguments: Mapping[str, Any] | None = None,
        dim: int = 128,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.frozen = dim, frozen
        self.network: nn.Module | None = None
        if not encoder:
            return
        network = MODELS.create(encoder, **(arguments or {}))
        head = getattr(network, "head", None)
        if not isinstance(head, nn.Linear):
            raise RecipeError(f"encoder = {encoder!r} has no linear head; choose a network for single faces that has")
        self.dim = head.in_features
        network.head = nn.Identity()
        self.network = network.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> FrameEncoder:
        """A frozen encoder stays in evaluation mode."""
        super().train(mode and not self.frozen)
        return self

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Weights of a trained still-picture network, whose head is ignored.

        Raises:
            RecipeError: there is no encoder, or the weights are another network's.
        """
        if self.network is None:
            raise RecipeError("encoder = None takes no weights; name an encoder")
        kept = {key: value for key, value in weights.items() if not key.startswith("head.")}
        try:
            self.network.load_state_dict(kept)
        except RuntimeError as error:
            raise RecipeError(f"the weights are not the encoder's: {str(error).splitlines()[-1].strip()}") from error

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor | None]:
        """Embeddings [N, T, D], zero beyond each clip's end, and the mask [N, T] of frames that count, or None."""
        given = inputs if isinstance(inputs, Mapping) else {"embeddings" if inputs.ndim == 3 else "frames": inputs}
        if "embeddings" in given:
            return self._known(given)
        x, length = frames(given)
        if self.network is None:
            raise RecipeError("encoder = None reads embeddings [N, T, D], not frames; name an encoder")
        mask = mask_of(length, x.shape[1])
        stills = {"face": x, **({"angles": given["angles"]} if "angles" in given else {})}
        flat = {key: value.flatten(0, 1) if mask is None else value[mask] for key, value in stills.items()}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output: Output = self.network(flat)
        found = output.embedding
        if mask is None:
            return found.reshape(x.shape[0], x.shape[1], self.dim), None
        return found.new_zeros(*mask.shape, self.dim).masked_scatter(mask[:, :, None], found), mask

    def _known(self, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        x = modality(given, "embeddings", "N, T, D")
        if x.shape[2] != self.dim:
            raise RecipeError(f"embeddings of {x.shape[2]} numbers, expected {self.dim}; set dim = {x.shape[2]}")
        mask = mask_of(given.get("length"), x.shape[1])
        return (x if mask is None else x.masked_fill(~mask[:, :, None], 0)), mask
