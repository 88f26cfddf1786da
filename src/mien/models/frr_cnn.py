"""FRR-CNN: kernels that diverge, and features that do not mind small transformations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mien.layers.conv_unit import Conv, conv_unit, initialise, own
from mien.layers.fixed_map import FixedMap
from mien.layers.standardise import Standardise
from mien.layers.transform_pool import TransformSet, transform_pool
from mien.models import MODELS, Inputs, Output, face

# upright and turned by ten degrees either way, each also mirrored
TRANSFORMS = tuple((mirror, degrees, 1.0) for mirror in (1, -1) for degrees in (0, 10, -10))


class FrrCnn(nn.Module):
    """Convolutions shared by transformed copies of the face, whose features are joined by their maximum.

    `aux["maps1"]`, `aux["maps2"]`, ... are the feature maps [N, C, h, w] of each convolution for the face as it is, and
    `aux["kernels1"]`, ... its kernels [1, C, inputs * k * k]: what the loss `redundancy` reads.

    Paper: Xie, Hu, "Facial expression recognition with FRR-CNN", Electronics Letters 53(4), 2017.

    Differs: built from the abstract, which names the two parts, and from Laptev et al. (CVPR 2016), which it cites for
        the pooling; layers, widths and the set of transforms are ours. Batch norm after each convolution; each picture
        is standardised.

    Args:
        classes: K.
        channels: of the picture.
        widths: channels of each convolution; a 2x2 max-pooling follows each.
        kernels: side of each convolution.
        dim: D of the embedding.
        side: of the map that the linear layer reads.
        transforms: (mirror: 1 or -1, degrees, zoom) of each copy, first the one that changes nothing.
        dropout: before the last linear layer, in [0, 1).
    """

    def __init__(
        self,
        classes: int = 8,
        channels: int = 1,
        widths: Sequence[int] = (32, 64, 128),
        kernels: Sequence[int] = (5, 3, 3),
        dim: int = 256,
        side: int = 6,
        transforms: Sequence[Sequence[float]] = TRANSFORMS,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.copies = nn.Sequential(Standardise(), TransformSet(transforms))
        self.count = len(transforms)
        inputs, units = channels, []
        for width, kernel in zip(widths, kernels, strict=True):
            units.append(conv_unit(inputs, width, kernel))
            inputs = width
        self.units = nn.ModuleList(units)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.embed = nn.Sequential(FixedMap(side), nn.Flatten(), nn.Linear(inputs * side**2, dim), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)
        initialise(self)

    def forward(self, inputs: Inputs) -> Output:
        x = self.copies(face(inputs))
        aux: dict[str, Tensor] = {}
        for number, unit in enumerate(self.units, 1):
            conv = unit.get_submodule("0")
            assert isinstance(conv, Conv)
            x = unit(x)
            aux[f"maps{number}"] = x.unflatten(0, (self.count, -1))[0]
            aux[f"kernels{number}"] = conv.weight.flatten(1)[None]
            x = self.pool(x)
        aux["features"] = x.unflatten(0, (self.count, -1))[0]
        embedding = transform_pool(self.embed(x), self.count)
        return Output(self.head(self.dropout(embedding)), embedding, aux)


@MODELS.register("frr-cnn", paper="Xie and Hu 2017", parameters=1_275_368, size=48, modality="face")
def frr_cnn(classes: int = 8, *, tiny: bool = False, **arguments: Any) -> FrrCnn:
    """Three convolutions over six copies of the face."""
    return FrrCnn(classes, **own({}, tiny, {"widths": (4, 6, 8), "dim": 16}, arguments))
