"""Gradient-weighted class activation maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.explain.maps import as_grid, last_map, watch
from mien.models import Inputs, face


def grad_cam(network: nn.Module, inputs: Inputs, classes: Tensor) -> Tensor | None:
    """Where a network finds what speaks for a class, as maps [N, S, S] in [0, 1].

    With A [D, h, w] the last feature map and z_c the class's logit, L = relu(sum_d a_d A_d), a_d = mean over places of
    dz_c / dA_d; enlarged bilinearly and divided by its largest value. A face in which nothing speaks for the class has
    a map of zeros.

    Paper: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV
        2017, eqs. (1)-(2).
    Differs: the largest value is made 1, so that maps of different faces can be shown side by side.

    Args:
        inputs: faces [N, C, S, S], alone or with what else the network reads.
        classes: [N], which logit of each face to explain.

    Returns:
        None where the network has no feature map (`mien.explain.occlusion` then helps).
    """
    network.eval()
    output, found = watch(network, inputs)
    item = last_map(output, found)
    if item is None:
        return None
    chosen = output.logits.gather(1, classes[:, None].to(output.logits.device)).sum()
    (slope,) = torch.autograd.grad(chosen, item.value)
    features, slope = as_grid(item, item.value.detach()).float(), as_grid(item, slope).float()
    weighted = (slope.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    sides = face(inputs).shape[-2:]
    maps = F.interpolate(weighted, tuple(sides), mode="bilinear", align_corners=False)[:, 0]
    top = maps.amax((1, 2), keepdim=True)
    return torch.where(top > 0, maps / top.clamp_min(1e-30), torch.zeros_like(maps))
