"""NumPy's .npy and .npz files read without trust: no pickles, and no array larger than its file.

A header may state any shape, and an archive may unpack to a thousand times its size; both are looked at first.
"""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from mien.errors import DataError

MOST_BYTES = 8 * 2**30
"""Of all arrays of an archive together, unpacked."""
DAMAGED = (OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, OverflowError, AttributeError)
_HEADER = (SyntaxError, RecursionError, tokenize.TokenError, UnicodeError)
_ARCHIVE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, RuntimeError)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def _array(file: BinaryIO | Any, size: int) -> np.ndarray:
    """One array; `size` is the number of bytes that are there."""
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version}")
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > size or min(shape, default=0) < 0:
        raise ValueError(f"its header states {list(shape)} {dtype}, more than the file holds")
    data = file.read(wanted)
    flat = np.frombuffer(data, dtype).copy() if dtype.itemsize else np.zeros(math.prod(shape), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def read_npy(path: str | Path) -> np.ndarray:
    """The array of a .npy file.

    Raises:
        DataError: the file is missing or damaged, or holds Python objects.
    """
    try:
        with open(path, "rb") as file:
            return _array(file, os.fstat(file.fileno()).st_size)
    except (*DAMAGED, *_HEADER) as error:
        raise DataError(f"{path} is missing or not a readable .npy file ({error})") from error


def read_names(path: str | Path) -> list[str]:
    """Names of the arrays of a .npz file.

    Raises:
        DataError: the file is missing or no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (*DAMAGED, *_HEADER, *_ARCHIVE) as error:
        raise DataError(f"{path} is missing or not a readable .npz file ({error})") from error


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name.

    Raises:
        DataError: the file is missing or damaged, holds Python objects, or unpacks to more than `MOST_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if sum(info.file_size for info in parts) > MOST_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_BYTES >> 30} GiB")
            arrays = {}
            for info in parts:
                with archive.open(info) as file:
                    arrays[info.filename.removesuffix(".npy")] = _array(file, info.file_size)
    except (*DAMAGED, *_HEADER, *_ARCHIVE) as error:
        raise DataError(f"{path} is missing or not a readable .npz file ({error})") from error
    return arrays
