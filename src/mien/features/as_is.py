"""What a data set holds as arrays already, unaltered."""

from __future__ import annotations

from typing import Any

import numpy as np

from mien.errors import DataError
from mien.features import FEATURES, Extractor


@FEATURES.register("as-is", about="what the data set holds", reads="arrays, pictures", gives="as it comes", version=1)
def as_is() -> Extractor:
    """The item itself: features over time [T, D], a vector [D], a map, or a picture.

    Raises:
        DataError: when an item is no array of numbers, or sound, which is no feature.
    """

    def extract(item: Any) -> np.ndarray:
        array = np.asarray(item)
        if array.dtype.kind not in "fiub" or not array.ndim:
            raise DataError(f"{str(item)[:40]!r} is no array of numbers; name an extractor for it under [features]")
        return array

    return extract
