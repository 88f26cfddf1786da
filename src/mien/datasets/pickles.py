"""Pickles of arrays read without trust: a pickle may call any function when loaded, so none of its own is ever called.

What a pickle names is looked up in a table of four stand-ins, which only write down what they are given; NumPy's own
functions are not among them, for a data type that a pickle describes may point outside its array. Arrays are made when
all has been read, from plain types and from bytes that are there.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mien.errors import DataError

_PLAIN = re.compile(r"[<>|=]?(?:[biufc](?:1|2|4|8|16)|[SU]\d{1,6}|b1|O|O8)")
_REFUSED = pickle.UnpicklingError


class _Dtype:
    """What a pickle says of a data type: a plain one, and its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not _PLAIN.fullmatch(code):
            raise _REFUSED(f"a data type {code!r}")
        self.code, self.order = code.lstrip("<>|="), "|"

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=") or any(state[2:5]):
            raise _REFUSED("a data type with parts")
        self.order = state[1]

    def made(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code) if self.code[0] != "O" else np.dtype(object)


class _Array:
    """What a pickle says of an array."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _REFUSED("an array without its five parts")
        self.state = state[1:]

    def made(self, made: Callable[[Any], Any]) -> np.ndarray:
        """The array; `made` makes what it holds."""
        if not self.state:
            raise _REFUSED("an array without content")
        shape, kind, fortran, raw = self.state
        if not isinstance(kind, _Dtype) or not isinstance(shape, tuple):
            raise _REFUSED("an array without a data type")
        return _filled(raw, kind.made(), shape, "F" if fortran else "C", made)


def _filled(
    raw: Any, dtype: np.dtype[Any], shape: tuple[Any, ...], order: Any, made: Callable[[Any], Any]
) -> np.ndarray:
    count = math.prod(shape)
    if dtype.hasobject:
        if not isinstance(raw, list) or len(raw) != count:
            raise _REFUSED("an array of objects without them")
        flat = np.empty(count, object)
        for place, value in enumerate(raw):
            flat[place] = made(value)
        return np.asarray(flat.reshape(shape, order=order))
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if not isinstance(raw, bytes | bytearray) or len(raw) != count * dtype.itemsize:
        raise _REFUSED(f"an array of {list(shape)} {dtype} without its bytes")
    if not dtype.itemsize:
        return np.zeros(shape, dtype)
    flat = np.frombuffer(bytes(raw), dtype).astype(dtype.newbyteorder("="))
    return np.asarray(flat.reshape(shape, order=order))


class _Scalar:
    """One number: a data type and its bytes."""

    def __init__(self, kind: Any, raw: Any = b"", *_: Any) -> None:
        self.kind, self.raw = kind, raw

    def made(self, made: Callable[[Any], Any]) -> Any:
        if not isinstance(self.kind, _Dtype):
            raise _REFUSED("a number without a data type")
        return _filled(self.raw, self.kind.made(), (1,), "C", made)[0]


class _Buffer(_Array):
    """An array as protocol 5 writes it: bytes, type, shape and order."""

    def __init__(self, raw: Any = b"", kind: Any = None, shape: Any = (), order: Any = "C", *_: Any) -> None:
        self.state = (shape, kind, order == "F", raw)

    def __setstate__(self, state: Any) -> None:
        raise _REFUSED("an array that was made already")


def _empty(*values: Any) -> bytes:
    """How Python 3 writes no bytes at all for Python 2."""
    if values:
        raise _REFUSED("bytes made of something")
    return b""


def _encode(text: Any, codec: Any = "latin1") -> bytes:
    """How Python 3 writes bytes for Python 2; nothing but latin1 is ever needed."""
    if codec != "latin1" or not isinstance(text, str):
        raise _REFUSED(f"codec {codec!r}")
    return text.encode("latin1")


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",  # only ever handed to _reconstruct, which takes no notice of it
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty,
    **{
        (f"numpy.{core}.{module}", name): maker
        for core in ("core", "_core")
        for module, name, maker in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _Scalar),
            ("numeric", "_frombuffer", _Buffer),
        )
    },
}


class _Arrays(pickle._Unpickler):
    """The reader in Python: the one in C takes as much memory as a pickle asks for, be it written in ten bytes."""

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        try:
            found = _NAMES[module, name]
        except KeyError:
            raise _REFUSED(f"it names {module}.{name}") from None
        # a function or class of its own each time, so that a pickle has nothing to alter
        return (lambda *values: found(*values)) if callable(found) else found

    def load_build(self) -> None:
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        state = stack.pop()
        if not isinstance(stack[-1], _Dtype | _Array):
            raise _REFUSED(f"it alters a {type(stack[-1]).__name__}")
        stack[-1].__setstate__(state)

    def load_bytearray8(self) -> None:
        size = struct.unpack("<Q", self.read(8))[0]  # type: ignore[attr-defined]
        data = self.read(size)  # type: ignore[attr-defined]
        if len(data) != size:
            raise _REFUSED("it is cut short")
        self.append(bytearray(data))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8  # type: ignore[assignment]
    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]


def _made(value: Any, known: dict[int, Any]) -> Any:
    """The value with arrays in place of their descriptions; each thing once, however often it is referred to."""
    if id(value) in known:
        return known[id(value)]

    def inner(part: Any) -> Any:
        return _made(part, known)

    if isinstance(value, _Array | _Scalar):
        known[id(value)] = value.made(inner)
    elif isinstance(value, _Dtype):
        known[id(value)] = value.made()
    elif isinstance(value, dict):
        whole: dict[Any, Any] = {}
        known[id(value)] = whole
        whole.update({inner(key): inner(part) for key, part in value.items()})
    elif isinstance(value, list):
        items: list[Any] = []
        known[id(value)] = items
        items.extend(inner(part) for part in value)
    elif isinstance(value, tuple | set | frozenset):
        known[id(value)] = type(value)(inner(part) for part in value)
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes | bytearray):
        known[id(value)] = value
    else:
        raise _REFUSED(f"it holds a {type(value).__name__}")
    return known[id(value)]


def load_arrays(path: Path) -> Any:
    """The content of a pickle of Python 2 or 3: containers, numbers, text and NumPy arrays.

    Raises:
        DataError: the file is missing, damaged or holds anything else, which is never run.
    """
    try:
        with open(path, "rb") as file:
            found = _Arrays(file, encoding="latin1").load()
        return _made(found, {})
    except (OSError, EOFError, _REFUSED, ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{path} is missing or not a pickle of arrays ({error})") from error
    except (AttributeError, MemoryError, OverflowError, RecursionError, AssertionError, SyntaxError) as error:
        raise DataError(f"{path} is a damaged pickle ({type(error).__name__}: {error})") from error
    except (ImportError, NameError, SystemError, BufferError, struct.error) as error:
        raise DataError(f"{path} is a damaged pickle ({type(error).__name__}: {error})") from error
