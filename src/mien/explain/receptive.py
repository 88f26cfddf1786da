"""The receptive field of one unit of a network's last feature map, in pixels of the picture."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mien.explain.maps import FeatureMap, last_map, watch
from mien.layers.deform import DeformConv2d
from mien.layers.fixed_map import FixedMap
from mien.layers.involution import Involution
from mien.layers.standardise import Standardise

_NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)
_LEVEL = {"relu", "relu_", "relu6", "hardswish", "hardtanh", "gelu", "silu", "leaky_relu", "prelu", "elu"}


@dataclass(frozen=True)
class Field:
    """What one unit sees.

    Attributes:
        name: of the module that gives the map.
        shape: of the map, [D, h, w].
        height, width: of the field, pixels; 0 where it is the whole picture, however large that is, and None where the
            network runs at one size only, at which the field may not fit.
    """

    name: str
    shape: tuple[int, ...]
    height: int | None
    width: int | None


def receptive_field(network: nn.Module, picture: Tensor) -> Field | None:
    """The theoretical field of the unit in the middle, by the gradient of a copy that hides nothing.

    In the copy all weights are positive, activations and norms let everything pass, and maximum pooling takes the
    mean; at a black picture, the gradient is then not zero for exactly the pixels that the unit can see through
    convolutions, pooling and attention. Gates (squeeze-and-excitation, CBAM) and the standardisation of the picture,
    which see all of it, multiply or shift only and do not count; deformable convolutions count with their taps at rest.
    Pictures are widened until the field ends inside.

    Args:
        picture: [1, C, S, S], which says on what size the network runs.

    Returns:
        None where the network has no feature map.
    """
    output, found = watch(network.eval(), picture, copies=True)
    item = last_map(output, found)
    if item is None or item.value.ndim != 4:
        return None
    shape = tuple(item.value.shape[1:])
    glass = transparent(network)
    try:
        sides = [_extent(glass, item, picture, axis) for axis in (2, 3)]
    except RuntimeError:
        return Field(item.name, shape, None, None)
    return Field(item.name, shape, *sides)


def transparent(network: nn.Module) -> nn.Module:
    """A copy of a network whose gradient is positive wherever something is connected."""
    glass = copy.deepcopy(network).double().eval()
    replaced: list[str] = []
    for name, module in list(glass.named_modules()):
        other = _stand_in(module)
        if other is None or not name or name.startswith(tuple(replaced)):
            continue
        parent, _, last = name.rpartition(".")
        setattr(glass.get_submodule(parent), last, other.double())
        replaced.append(f"{name}.")
    with torch.no_grad():
        for weight in glass.parameters():
            weight.fill_(weight.shape[0] / weight.numel() if weight.ndim > 1 else 0)
            weight.requires_grad_(False)
    return glass


def _stand_in(module: nn.Module) -> nn.Module | None:
    if isinstance(module, _NORMS) or type(module).__module__ == "torch.nn.modules.activation":
        return nn.Identity()
    if isinstance(module, Standardise | FixedMap):
        return nn.Identity()
    if isinstance(module, DeformConv2d):
        k = module.kernel
        return nn.Conv2d(module.offsets.in_channels, module.mix.out_channels, k, 1, k // 2)
    if isinstance(module, Involution):
        first, k = module.reduce.get_submodule("0"), module.kernel
        assert isinstance(first, nn.Conv2d)
        width = first.in_channels
        return nn.Conv2d(width, width, k, 1, k // 2, groups=width)
    return None


class _Whole(Exception):
    """Every unit sees every place."""


class _Level(TorchFunctionMode):
    """Lets activations pass and pools by the mean where networks call them as functions."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention" or (name == "softmax" and args[0].ndim > 2):
            raise _Whole
        if name in _LEVEL:
            return args[0]
        if "max_pool2d" in name:
            return _mean_pool(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _mean_pool(x: Tensor, size: Any, stride: Any = None, padding: Any = 0, *_: Any, **named: Any) -> Tensor:
    stride, padding = named.get("stride", stride), named.get("padding", padding)
    return F.avg_pool2d(x, size, stride, padding, bool(named.get("ceil_mode")))


class _Enough(Exception):
    """The map has been made; the rest of the network need not run."""


def _extent(glass: nn.Module, item: FeatureMap, picture: Tensor, axis: int) -> int:
    """Length of the field along one axis of the picture, or 0."""
    for factor in (4, 8, 16):
        sides = list(picture.shape)
        sides[axis] *= factor
        try:
            seen = _seen(glass, item, sides).amax(2 if axis == 3 else 3).flatten()
        except _Whole:
            return 0
        inside = torch.nonzero(seen).flatten()
        if len(inside) and inside[0] > 0 and inside[-1] < len(seen) - 1:
            return int(inside[-1] - inside[0] + 1)
    return 0


def _seen(glass: nn.Module, item: FeatureMap, sides: list[int]) -> Tensor:
    """Size of the gradient of the middle unit by each pixel, [1, 1, H, W]."""
    x = torch.zeros(sides, dtype=torch.float64, requires_grad=True)
    kept: list[Tensor] = []
    handle = glass.get_submodule(item.name).register_forward_hook(_keep(kept, item.call))
    try:
        with _Level(), torch.enable_grad():
            glass(x)
    except _Enough:
        pass
    finally:
        handle.remove()
    if not kept:
        raise RuntimeError(f"{item.name} was not called")
    unit = kept[0][0, :, kept[0].shape[2] // 2, kept[0].shape[3] // 2]
    (slope,) = torch.autograd.grad(unit.sum(), x)
    return slope.abs().amax(1, keepdim=True)


def _keep(kept: list[Tensor], call: int) -> Callable[..., None]:
    count = -1

    def hook(module: nn.Module, given: Any, made: Tensor) -> None:
        nonlocal count
        count += 1
        if count == call:
            kept.append(made)
            raise _Enough

    return hook
