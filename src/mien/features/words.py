"""What is said, as hashed words and pairs of words: a transcript becomes one vector without any list of words."""

from __future__ import annotations

import itertools
import re
import zlib
from typing import Any

import numpy as np

from mien.errors import DataError, RecipeError
from mien.features import FEATURES, Extractor

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@FEATURES.register("words", paper="Weinberger et al., ICML 2009", reads="text", gives="1, D", version=1)
def words(size: int = 2048, pairs: bool = True) -> Extractor:
    """Words (and pairs of neighbours) counted in D places that a hash gives them, +1 or -1 each; then square roots.

    The vector has length 1. Nothing is learnt, so that nothing of a test split can leak in; two words may share a
    place, which the signs even out. Case does not count, apostrophes within a word do. A text without words is missing.

    Paper: Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
    Differs: the hash is CRC-32, and long texts are damped by the square root of each count.

    Args:
        size: D.
        pairs: count pairs of neighbouring words too.

    Raises:
        RecipeError: a size below 2.
        DataError: when an item is no text.
    """
    if size < 2:
        raise RecipeError(f"words: size = {size}; it must be 2 at least")

    def extract(item: Any) -> np.ndarray:
        if not isinstance(item, str):
            raise DataError(f"words reads text, not {type(item).__name__}; name another extractor")
        said = [word.lower() for word in WORD.findall(item)]
        counts = np.zeros(size)
        for term in [*said, *(map(" ".join, itertools.pairwise(said)) if pairs else ())]:
            number = zlib.crc32(term.encode())
            counts[(number >> 1) % size] += 1 if number & 1 else -1
        counts = np.sign(counts) * np.sqrt(np.abs(counts))
        length = np.linalg.norm(counts)
        return (counts / length)[None].astype(np.float32) if length else np.zeros((0, size), np.float32)

    return extract
