"""Feature extractors, one file each: from one medium of one sample to what a network over several modalities reads.

A factory registered here takes its options by keyword and returns a function from an item, as `mien.datasets.media`
reads it, to an array: features over time [T, D], one vector [D], maps float [C, S, S], or a picture uint8 [S, S] or
[S, S, 3]. An item that shows nothing of use gives an array of no rows; steps that hold NaN are missing.

Facts: `paper` or what it is, `reads` (the kind of medium), `gives` (the axes), `extra` (what has to be installed), and
`version`, which is raised when its numbers change, so that features kept from before are made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mien.registry import Registry

Extractor = Callable[[Any], np.ndarray]

FEATURES: Registry[Extractor] = Registry("feature extractor", "mien.features")
