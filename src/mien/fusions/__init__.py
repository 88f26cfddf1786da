"""Fusions: what several modalities say, joined into one answer. Arrays in, arrays out; one file each.

Decision-level fusions join scores, feature-level ones join features before a classifier, hybrid ones do both. A
modality that is missing is a row of NaN, or left out of the mapping. Joint training, attention and the like are
networks: `mien list models`.
"""

from __future__ import annotations

from mien.fusions.base import Fusion
from mien.registry import Registry

FUSIONS: Registry[Fusion] = Registry("fusion", "mien.fusions")

__all__ = ["FUSIONS", "Fusion"]
