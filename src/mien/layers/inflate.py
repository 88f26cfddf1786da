"""From filters over pictures to filters over clips."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mien.errors import RecipeError


def inflate(weight: Tensor, depth: int) -> Tensor:
    """A filter that answers a still clip as the given one answers the picture: [O, I, h, w] to [O, I, depth, h, w].

    W3(t, y, x) = W2(y, x) / depth.

    Paper: Carreira, Zisserman, "Quo vadis, action recognition?", CVPR 2017, section 2.4.1.
    """
    return weight[:, :, None].expand(-1, -1, depth, -1, -1) / depth


def inflate_into(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Start a network over clips from one over pictures whose parts have the same names.

    Convolutions [O, I, h, w] or [O, I, 1, h, w] are inflated to the depth that the network has there, the rest is
    copied; `head` is left out.

    Raises:
        RecipeError: a weight is missing or does not fit.
    """
    own = network.state_dict()
    for key, target in own.items():
        if key.startswith("head."):
            continue
        if key not in weights:
            raise RecipeError(f"the weights to inflate lack {key!r}; give those of the same network over pictures")
        value = weights[key]
        if value.ndim == 5 and value.shape[2] == 1:
            value = value[:, :, 0]
        if value.ndim == 4 and target.ndim == 5:
            value = inflate(value, target.shape[2])
        if value.shape != target.shape:
            raise RecipeError(f"{key!r} has the shape {list(value.shape)}; it inflates to {list(target.shape)} only")
        own[key] = value
    network.load_state_dict(own)
