"""Pickles of arrays read without trust: a pickle may call any function when loaded, so only NumPy's own are let in."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError


def _encode(text: str, codec: str) -> bytes:
    """How Python 3 writes bytes for Python 2; nothing but latin1 is ever needed."""
    if codec != "latin1":
        raise pickle.UnpicklingError(f"codec {codec!r}")
    return text.encode("latin1")


# taken from NumPy's own pickling, since the modules that old pickles name have moved
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", np.zeros(1).__reduce__()[0]),
            ("multiarray", "scalar", np.float64(0).__reduce__()[0]),
            ("numeric", "_frombuffer", np.zeros(1).__reduce_ex__(5)[0]),
        )
    },
}


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None


def load_arrays(path: Path) -> Any:
    """The content of a pickle of Python 2 or 3: containers, numbers, text and NumPy arrays.

    Raises:
        DataError: the file is missing, damaged or holds anything else, which is never run.
    """
    try:
        with open(path, "rb") as file:
            return _Arrays(file, encoding="latin1").load()
    except (OSError, EOFError, pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{path} is missing or not a pickle of arrays ({error})") from error
    except (AttributeError, ImportError, MemoryError, OverflowError) as error:
        raise DataError(f"{path} is a damaged pickle ({error})") from error
