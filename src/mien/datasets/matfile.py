"""Numeric arrays of MATLAB level 5 files (`save` of version 6 or 7), without scipy.

A file is a header of 128 bytes and one element per variable, plain or zlib-compressed; an element is a tag (type,
bytes) and its data, padded to eight bytes. Variables that are not asked for are skipped over, not read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import DataError

STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Type of the stored numbers -> numpy's name."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Class of the MATLAB array -> numpy's name; MATLAB stores whole doubles in fewer bytes."""
MATRIX, COMPRESSED = 14, 15
MOST_BYTES = 4 * 2**30
"""Of one compressed array, unpacked."""
HEAD = 512
"""Bytes that hold the flags, size and name of any variable of ours."""


def read_mat(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """The variables called `names`, in MATLAB's shapes.

    Raises:
        DataError: the file is missing, damaged or of another version, or lacks one of the names.
    """
    try:
        with open(path, "rb") as file:
            order = _byte_order(path, file.read(128))
            arrays = {}
            while tag := file.read(8):
                kind, size = struct.unpack(order + "II", tag)
                if kind not in (MATRIX, COMPRESSED):
                    file.seek(size, 1)
                    continue
                start = file.tell()
                head = file.read(min(size, HEAD))
                head = zlib.decompressobj().decompress(head, HEAD)[8:] if kind == COMPRESSED else head
                name, shape, class_, place = _header(head, order)
                if name in names:
                    file.seek(start)
                    body = file.read(size)
                    body = _unpacked(body)[8:] if kind == COMPRESSED else body
                    arrays[name] = _numbers(body, order, shape, class_, place)
                file.seek(start + size)
    except (OSError, struct.error, zlib.error, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} is missing or no readable MATLAB file of version 5 to 7 ({error})") from error
    missing = sorted(set(names) - set(arrays))
    if missing:
        raise DataError(f"{path} holds no array called {', '.join(missing)}")
    return arrays


def _unpacked(data: bytes) -> bytes:
    """The content of a compressed element, of at most `MOST_BYTES`."""
    unpacker = zlib.decompressobj()
    body = unpacker.decompress(data, MOST_BYTES)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError(f"an array is cut short, or unpacks to more than {MOST_BYTES >> 30} GiB")
    return body


def _byte_order(path: Path, header: bytes) -> str:
    if header[:10] == b"MATLAB 7.3" or header[:4] == b"\x89HDF":
        raise DataError(f"{path} is a MATLAB file of version 7.3 (HDF5); save it again with save(..., '-v7')")
    if len(header) < 128 or header[126:128] not in (b"IM", b"MI"):
        raise DataError(f"{path} is no MATLAB file of version 5 to 7")
    return "<" if header[126:128] == b"IM" else ">"


def _element(data: bytes, order: str, place: int) -> tuple[int, int, int, int]:
    """(type, first byte, bytes, place of the next element); up to four bytes are kept inside the tag itself."""
    kind, size = struct.unpack_from(order + "II", data, place)
    if kind >> 16:
        return kind & 0xFFFF, place + 4, kind >> 16, place + 8
    return kind, place + 8, size, place + 8 + (size + 7) // 8 * 8


def _header(data: bytes, order: str) -> tuple[str, tuple[int, ...], int, int]:
    """(name, shape, class, place of the numbers) of a matrix element without its tag."""
    _, first, _, place = _element(data, order, 0)
    class_ = struct.unpack_from(order + "I", data, first)[0] & 0xFF
    _, first, size, place = _element(data, order, place)
    shape = struct.unpack_from(f"{order}{size // 4}i", data, first)
    _, first, size, place = _element(data, order, place)
    return data[first : first + size].decode("latin-1"), shape, class_, place


def _numbers(data: bytes, order: str, shape: tuple[int, ...], class_: int, place: int) -> np.ndarray:
    if class_ not in CLASSES:
        raise ValueError(f"an array of class {class_} is not numeric")
    kind, first, size, _ = _element(data, order, place)
    stored = np.dtype(order + STORED[kind])
    flat = np.frombuffer(data, stored, size // stored.itemsize, first)
    return flat.astype(CLASSES[class_], copy=False).reshape(shape, order="F")


class MatImages:
    """Rows of one array [N, H, W] of a MATLAB file, read when the first is asked for and then kept."""

    def __init__(self, path: Path, name: str, rows: np.ndarray, kept: dict[str, np.ndarray] | None = None) -> None:
        self.path, self.name, self.rows = Path(path), name, np.asarray(rows)
        self._kept: dict[str, np.ndarray] = {} if kept is None else kept

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> np.ndarray:
        if self.name not in self._kept:
            self._kept.update(read_mat(self.path, (self.name,)))
        images = self._kept[self.name]
        place = int(self.rows[row])
        if images.ndim != 3 or place >= len(images):
            raise DataError(f"{self.path}: {self.name} has shape {images.shape}, expected [more than {place}, H, W]")
        return np.ascontiguousarray(images[place], np.uint8)

    def take(self, rows: np.ndarray) -> MatImages:
        return MatImages(self.path, self.name, self.rows[rows], self._kept)

    def files(self, row: int) -> tuple[Path, ...]:
        return (self.path,)


def write_mat(path: Path, arrays: Mapping[str, Any], compress: bool = False) -> None:
    """Write numeric arrays as a level 5 file, for the fakes."""
    kinds = {np.dtype(name): kind for kind, name in STORED.items()}
    classes = {np.dtype(name): class_ for class_, name in CLASSES.items()}
    parts = [b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"]
    for name, values in arrays.items():
        array = np.asarray(values)
        shape = struct.pack(f"<{array.ndim}i", *array.shape)
        body = _pack(6, struct.pack("<II", classes[array.dtype], 0)) + _pack(5, shape) + _pack(1, name.encode())
        matrix = _pack(MATRIX, body + _pack(kinds[array.dtype], array.tobytes(order="F")))
        packed = zlib.compress(matrix) if compress else b""
        parts.append(struct.pack("<II", COMPRESSED, len(packed)) + packed if compress else matrix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))


def _pack(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)
